"""The spool's deny list is the database's, whatever happened to either."""

from __future__ import annotations

import hashlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.store.builders import NOW
from tests.store.engines import IDENTITY, KEK
from tpsd.domain.audit import AuditDraft
from tpsd.store.epochs import KeyFolder
from tpsd.store.journal import Secrets, SqlJournal
from tpsd.store.mirror import follow
from tpsd.store.queries import Q
from tpsd.store.spool import Spool

PAGE = 7  # cards, so that a list has many
BY = AuditDraft(NOW, "nobody", "deny", "a test")


def token(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


async def denied(journal: SqlJournal, tokens: list[bytes]) -> set[bytes]:
    def work(connection: object) -> set[bytes]:
        return {one for one in tokens if connection.execute(Q["deny_holds"], (one,)).get}  # type: ignore[attr-defined]

    return await journal._writer.read(work)


@pytest.fixture
async def spool(tmp_path: Path) -> AsyncIterator[Spool]:
    spool = await Spool.open(tmp_path / "spool.db", IDENTITY, Secrets(KEK, KeyFolder(tmp_path / "spool-epochs")))
    yield spool
    await spool.close()


async def test_it_follows_every_change(journal: SqlJournal, spool: Spool) -> None:
    rng, cards = random.Random(3), [token(number) for number in range(60)]
    assert await follow(journal._writer, spool._writer, PAGE) is None, "neither has ever had one"
    for _ in range(12):
        some = rng.sample(cards, rng.randrange(1, 20))
        match rng.randrange(3):
            case 0:
                await journal.denylist.add(some, BY)
            case 1:
                await journal.denylist.remove(some, None, BY)
            case _:
                generation = await journal.denylist.begin("file", NOW)
                await journal.denylist.fill(generation, b"".join(sorted(some)))
                await journal.denylist.go_live(generation, replace=rng.random() < 0.5, audit=BY)
        await follow(journal._writer, spool._writer, PAGE)
        assert await denied(spool, cards) == await denied(journal, cards)
        assert (await spool.denylist.totals()).version == (await journal.denylist.totals()).version
        assert await follow(journal._writer, spool._writer, PAGE) is None


async def test_a_copy_left_in_the_middle_is_mended(journal: SqlJournal, spool: Spool) -> None:
    cards = [token(number) for number in range(40)]
    await journal.denylist.add(cards, BY)

    class Ends(Exception):  # noqa: N818 - what a kill is
        pass

    class Failing:
        def __init__(self, reads: int) -> None:
            self.left = reads

        async def read(self, work: object) -> object:
            self.left -= 1
            if self.left < 0:
                raise Ends
            return await journal._writer.read(work)  # type: ignore[arg-type]

    for reads in range(1, 7):
        with pytest.raises(Ends):
            await follow(Failing(reads), spool._writer, PAGE)  # type: ignore[arg-type]
        assert (await spool.denylist.totals()).version is None
    assert await follow(journal._writer, spool._writer, PAGE) is not None
    assert await denied(spool, cards) == set(cards)
