"""What another daemon of the database changes is seen here at once, and what this one leaves is seen there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from tests.integration.conftest import Opens
from tests.integration.stage import Stage
from tests.integration.test_daemon_postgres import Database, database, lost
from tests.integration.test_daemon_renewal import replaced, with_own
from tpsd.app import open_journal
from tpsd.config import load
from tpsd.credentials import whom
from tpsd.daemon import Daemon
from tpsd.domain.audit import AuditDraft
from tpsd.domain.notice import NoticeDraft, NoticeKind
from tpsd.domain.time import Micros
from tpsd.sfey.certificates import Authority
from tpsd.sfey.tls import read_subject
from tpsd.store.journal import SqlJournal
from tpsd.store.queries import Q
from tpsd.store.spooled import SpooledJournal

__all__ = ["database"]

TOKEN = bytes(range(32))
NOW = Micros(1_790_000_000_000_000)


async def woken_alone(wake: asyncio.Event, wait_us: int) -> None:
    """No time passes for a poll."""
    del wait_us
    await wake.wait()


def only_hints(daemon: Daemon) -> None:
    """From now on nothing is found by looking."""
    assert daemon.leaseholder is not None
    daemon.leaseholder.pause = woken_alone
    if daemon.lists is not None:
        daemon.lists.pause = woken_alone


@asynccontextmanager
async def neighbour(stage: Stage) -> AsyncIterator[SqlJournal]:
    """Another daemon's journal, which the one here has seen."""
    config = load(stage.config_file)
    store = config.store.model_copy(update={"daemon": "neighbour", "spool": None})
    async with open_journal(config.model_copy(update={"store": store})) as journal:
        assert journal.leases is not None
        await journal.leases.renew()
        yield journal


async def seen(stage: Stage, others: tuple[str, ...]) -> None:
    holder = stage.daemon.leaseholder
    assert holder is not None
    await stage.until(lambda: holder.facts().others == others, f"others to be {others}")


async def test_a_neighbour_that_leaves(open_stage: Opens, database: Database) -> None:
    async with (
        open_stage(changes=database.changes) as stage,
        stage.daemon_running(before=only_hints),
        neighbour(stage) as journal,
    ):
        assert stage.daemon.leaseholder is not None
        assert journal.leases is not None
        stage.daemon.leaseholder.wake.set()
        await seen(stage, ("neighbour",))
        await journal.leases.leave()
        await seen(stage, ())


async def test_a_neighbours_notice_is_mailed(open_stage: Opens, database: Database) -> None:
    async with (
        open_stage(changes=database.changes) as stage,
        stage.daemon_running(before=only_hints),
        neighbour(stage) as journal,
    ):
        assert not journal.presides
        await journal.tell(NoticeDraft(NoticeKind.ALARM, "alarm/test", "somebody is to look"), NOW)

        async def mailed() -> bool:
            await stage.pass_time()
            return bool(stage.post.mails)

        await stage.until(mailed, "the mail")


async def test_a_neighbours_deny_list_comes_into_the_spool(open_stage: Opens, database: Database) -> None:
    changes = {"store": {**database.changes["store"], "spool": "spool/spool.db"}}
    async with open_stage(changes=changes) as stage:
        (stage.folder / "spool").mkdir(mode=0o700)
        async with stage.daemon_running(before=only_hints), neighbour(stage) as journal:
            here = stage.daemon.journal
            assert isinstance(here, SpooledJournal)
            spool = here._spool
            await journal.denylist.add([TOKEN], AuditDraft(NOW, "nobody", "deny", "a test"))

            async def denied() -> bool:
                return bool(await spool._writer.read(lambda one: one.execute(Q["deny_holds"], (TOKEN,)).get))

            await stage.until(denied, "the card in the spool")


async def test_who_stops_in_order_leaves_at_once(open_stage: Opens, database: Database) -> None:
    async with open_stage(changes=database.changes) as stage:
        async with stage.daemon_running():
            tap = stage.gate.tap()
            await stage.gate.verdict(tap)
            await stage.settled(tap)
        async with neighbour(stage) as journal:
            assert journal.leases is not None
            renewed = await journal.leases.renew()
            assert renewed.others == []
            assert renewed.left == renewed.gone.keys()
            assert journal.presides
        stage.seed += 1  # dice of its own for the next life
        async with stage.daemon_running():
            tap = stage.gate.tap()
            await stage.gate.verdict(tap)
            assert (await stage.settled(tap)).state == "approved"


async def test_a_new_certificate_is_said_to_the_others(open_stage: Opens, database: Database) -> None:
    """They, and this one, go on with what another leaves by whom TPS sees now."""
    async with open_stage(changes=database.changes) as stage, stage.daemon_running(before=only_hints):
        certificate, key = await with_own(stage)
        common = whom(stage.daemon.config)["common"]

        async def shown() -> object:
            query = "SELECT credentials::text FROM daemon"
            return json.loads(await stage.daemon.journal._writer.read(lambda one: one.execute(query).get))

        async def is_shown(credentials: dict[str, str]) -> None:
            async def said() -> bool:
                return await shown() == credentials

            await stage.until(said, "it to be said")

        await is_shown({"common": common, "door-1": common})
        other = Authority("Another", datetime.now(UTC)).client("another").write(stage.folder, "other")
        for mine, given in zip((certificate, key), other, strict=True):
            replaced(mine, given.read_bytes())
        await stage.daemon.renewal.look()
        await is_shown({"common": common, "door-1": read_subject(certificate)})


async def test_whose_end_is_none_in_order_keeps_its_lease(open_stage: Opens, database: Database) -> None:
    async def cut(stage: Stage) -> None:
        async with stage.daemon_running():
            await database.cut()
            await stage.until(lambda: False, "the end of the daemon")

    async with open_stage(changes=database.changes) as stage:
        await lost(cut(stage))
        async with neighbour(stage) as journal:
            assert journal.leases is not None
            renewed = await journal.leases.renew()
            assert (len(renewed.others), renewed.gone) == (1, {})
