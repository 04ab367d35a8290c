"""``tpsd denylist status`` and ``accept`` over a real socket to a real journal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.integration.test_denylist_commands import WHO, Desk, nothing
from tests.store.builders import NOW
from tests.store.engines import SqliteEngine
from tests.store.test_contract_denylist import others
from tpsd.admin import denylist
from tpsd.admin.feed import routes
from tpsd.admin.server import AdminServer
from tpsd.core.feed import Flush, Put, Take
from tpsd.domain.feed import Action, Loss, Parameters, RawPage, RawRecord
from tpsd.domain.picture import FeedFacts
from tpsd.store.sqlite import SqliteJournal

FACTS = FeedFacts(90.0, 90.0, 86400.0, "", 0, None, waits=False)


class Loop:
    """The other end of ``admin.feed``: the loop that asks TPS."""

    def __init__(self) -> None:
        self.told, self.looked = FACTS, 0

    def facts(self) -> FeedFacts:
        """As the test has it."""
        return self.told

    def look(self) -> None:
        """Counted."""
        self.looked += 1


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
async def desk(tmp_path: Path, loop: Loop, request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    journal = await SqliteEngine(tmp_path / "engine", inline=False).open()
    on = getattr(request, "param", True)
    feed = routes(journal.feed, loop if on else None, lambda: NOW, journal.parameters)
    server = AdminServer(
        tmp_path / "tpsd.sock", journal, nothing, [*denylist.routes(journal.denylist, lambda: NOW), *feed]
    )
    await server.start()
    try:
        yield Desk(journal, tmp_path / "tpsd.sock", tmp_path)
    finally:
        await server.stop()
        await journal.close()


async def listed(journal: SqliteJournal) -> None:
    await journal.feed.keep(Take((Put(tuple(sorted(others(1200)))),), "secret", True), (), NOW)


async def waiting(journal: SqliteJournal) -> None:
    await listed(journal)
    await journal.feed.keep(Take((Flush(), Put(tuple(sorted(others(100))))), "secret", True), (), NOW)
    await journal.feed.hold(Loss(1200, 1100, 100), NOW, NOW)


async def test_a_list_that_is_well(desk: Desk) -> None:
    await listed(desk.journal)
    assert await desk.answer("status") == {
        "on": True,
        "age_seconds": 90.0,
        "max_age_seconds": 86400.0,
        "stale": False,
        "stale_told": False,
        "cause": "",
        "version": 1,
        "heard_at": NOW,
        "whole_at": NOW,
        "tokens": 1200,
        "shadow": None,
        "whole": False,
        "waits_since": None,
        "loses": 0,
        "ignored": 0,
        "parameters": [],
    }
    code, out, _ = await desk.tpsd("status")
    assert (code, out.splitlines()) == (
        0,
        [
            "1200 cards of TPS are denied; deny list version 1",
            "complete 2026-09-21T14:13:20.000Z, 1.5 min ago; last page 2026-09-21T14:13:20.000Z",
        ],
    )


@pytest.mark.parametrize("desk", [False], indirect=True)
async def test_a_feed_that_is_off(desk: Desk) -> None:
    _, out, _ = await desk.tpsd("status")
    assert out.splitlines() == [
        "0 cards of TPS are denied; deny list version none",
        "the feed is off: set [feed] enabled = true",
    ]
    code, _, err = await desk.tpsd("accept")
    assert (code, err.strip()) == (1, "tpsd: no new deny list waits; 'tpsd denylist status' shows what there is")


async def test_a_feed_that_never_came(desk: Desk, loop: Loop) -> None:
    loop.told = replace(FACTS, age_seconds=None, cause="http.403")
    _, out, _ = await desk.tpsd("status")
    assert out.splitlines()[1:] == [
        "never complete; no page has come",
        "that is too old (more than 24 h): lanes go by their stale_list",
        "the last poll failed: http.403",
    ]


async def test_a_list_that_is_too_old(desk: Desk, loop: Loop) -> None:
    await listed(desk.journal)
    loop.told = replace(FACTS, age_seconds=90_000.0)
    _, out, _ = await desk.tpsd("status")
    assert "complete 2026-09-21T14:13:20.000Z, 1500.0 min ago" in out
    assert "that is too old (more than 24 h): lanes go by their stale_list" in out
    loop.told = replace(FACTS, age_seconds=None)
    _, out, _ = await desk.tpsd("status")
    assert "complete, of unknown age while the clock is not trusted" in out


async def test_stop_list_and_parameters_are_shown_where_some_came(desk: Desk) -> None:
    page = RawPage((RawRecord(Action.INSERT, "{}"),), True, "1")
    await desk.journal.parameters.keep(Parameters.STOP_LIST, page, NOW, anew=False, timed=True)
    _, out, _ = await desk.tpsd("status")
    assert (
        "stop list (no verdict looks at it: what its records mean is not public): version 1, 1 records kept"
        in " ".join(out.split())
    )
    assert "EMV" not in out
    kind, terminal = Parameters.EMV_PARAMETER, "GATE-X1:VAL00001"
    await desk.journal.parameters.keep(kind, page, NOW, anew=False, timed=True, terminal=terminal)
    _, out, _ = await desk.tpsd("status")
    assert f"EMV parameters of {terminal}: version 1, 1 records kept as they came" in " ".join(out.split())


async def test_a_new_list_waits_until_it_is_accepted(desk: Desk, loop: Loop) -> None:
    await waiting(desk.journal)
    _, out, _ = await desk.tpsd("status")
    told = "a new list of 100 cards waits since 2026-09-21T14:13:20.000Z: it lacks 1100 of the old one, both deny"
    assert told in " ".join(out.split())
    assert await desk.answer("accept", "--reason", "they paid") == {"tokens": 100, "version": 3}
    assert loop.looked == 1
    assert await desk.audited() == [(WHO, "denylist accept", "tps: 100 tokens instead of 1200", "they paid")]
    assert (await desk.journal.feed.state()).tokens == 100


async def test_the_feeds_list_is_nobody_elses(desk: Desk) -> None:
    code, _, err = await desk.tpsd("import", desk.file("0a" * 32), "--source", "tps")
    assert code == 1
    assert "the source tps is what TPS's feed lists; choose another name" in err
