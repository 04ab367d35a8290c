"""The daemon with its journal in a PostgreSQL database: taps to the end, and connections that are lost on the way."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.integration.conftest import Opens
from tests.integration.stage import Stage, Tap
from tests.store.databases import Databases
from tpsd.app import open_journal, open_journal_readonly
from tpsd.cli import app
from tpsd.cli.doctor import diagnoses
from tpsd.cli.machine import Machine
from tpsd.config import load
from tpsd.domain.time import Micros
from tpsd.domain.views import TapFilter
from tpsd.errors import JournalError
from tpsd.offline import check_journal, open_epochs

TWICE_503, CHARGED_UNHEARD = 60_004, 60_002  # amounts: what TPS answers
LIVES = 12


@pytest.fixture(params=[16, 18])
def database(request: pytest.FixtureRequest, databases: Callable[[int], Databases]) -> Iterator[Database]:
    here = databases(request.param)
    one = Database(here)
    yield one
    here.drop(one.name)


class Database:
    """An empty one, and a hand at its server."""

    def __init__(self, databases: Databases) -> None:
        self._cluster = databases.cluster
        self.name = databases.new()
        self.changes: dict[str, Any] = {"store": {"url": self._cluster.url(self.name)}}

    async def cut(self) -> None:
        """Every connection to it is lost."""
        query = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self.name}'"
        await asyncio.to_thread(self._cluster.run, query)


async def lost(work: Awaitable[None]) -> None:
    """The daemon ends, and for no other reason than that its connection is gone."""
    with pytest.raises(ExceptionGroup) as caught:
        await work
    assert caught.value.split(JournalError)[1] is None
    assert caught.group_contains(JournalError, match="the connection to PostgreSQL was lost")


async def all_approved(stage: Stage, taps: Sequence[Tap]) -> None:
    """Every tap gets its verdict and is charged, and nothing else is in the journal or in TPS's books."""
    for tap in taps:
        assert (await stage.gate.verdict(tap)).verdict == 1
    await stage.pass_time()
    rows = {row.tap_id: row for row in await stage.rows()}
    assert set(rows) == {tap.id for tap in taps}
    assert {row.state for row in rows.values()} == {"approved"}
    assert await stage.daemon.journal.upkeep.check() == []
    stage.check_books()
    await stage.check_money()


async def test_a_tap_is_sent_again_and_approved(playing: Opens, database: Database) -> None:
    async with playing(changes=database.changes) as stage:
        tap = stage.gate.tap(TWICE_503)
        assert (await stage.gate.verdict(tap)).verdict == 1
        await stage.pass_time()
        row = await stage.row(tap)
        assert (row.state, row.attempts) == ("approved", 3)
        assert stage.minutes(tap) == [0, 1, 2]
        assert await stage.daemon.journal.upkeep.check() == []


async def test_a_charge_whose_answer_was_lost_is_no_second_one(playing: Opens, database: Database) -> None:
    async with playing(changes=database.changes) as stage:
        tap = stage.gate.tap(CHARGED_UNHEARD)
        await stage.gate.verdict(tap)
        await stage.pass_time()
        assert (await stage.row(tap)).state == "approved"


async def test_the_journal_is_there_after_a_restart(open_stage: Opens, database: Database) -> None:
    async with open_stage(changes=database.changes) as stage:
        async with stage.daemon_running():
            tap = stage.gate.tap()
            await stage.gate.verdict(tap)
            await stage.settled(tap)
        config = load(stage.config_file)
        async with open_journal_readonly(config) as looked_at:
            assert [row.state for row in await looked_at.taps(TapFilter())] == ["approved"]
        assert await check_journal(config) == []
        assert await open_epochs(config) == 1
        assert not (stage.folder / "epochs").exists(), "the keys are rows"
        async with stage.daemon_running():
            stage.gate.again(tap)
            assert (await stage.gate.verdict(tap)).verdict == 1
            assert len(await stage.rows()) == 1
        stage.check_books()


async def test_a_second_daemon_does_not_start(open_stage: Opens, database: Database) -> None:
    async with open_stage(changes=database.changes) as stage, stage.daemon_running():
        with pytest.raises(JournalError, match="is in use by another daemon called"):
            async with open_journal(load(stage.config_file)):
                pytest.fail("it was opened")


async def test_a_database_that_is_not_there(open_stage: Opens, database: Database) -> None:
    url = database.changes["store"]["url"].replace(database.name, "nowhere")
    async with open_stage(changes={"store": {"url": url}}) as stage:
        with pytest.raises(JournalError, match=r"database nowhere at .* is not there: make the database"):
            async with stage.daemon_running():
                pytest.fail("it ran")


async def test_a_lost_connection_ends_the_daemon_and_nothing_is_told(open_stage: Opens, database: Database) -> None:
    unheard: list[Tap] = []

    async def cut(stage: Stage) -> None:
        async with stage.daemon_running():
            await stage.gate.verdict(stage.gate.tap())
            await database.cut()
            unheard.append(stage.gate.tap())
            await stage.until(lambda: False, "the end of the daemon")

    async with open_stage(changes=database.changes) as stage:
        await lost(cut(stage))
        stage.seed += 1  # dice of its own for the next life
        (tap,) = unheard
        assert tap.number not in stage.gate.verdicts
        async with stage.daemon_running():
            assert (await stage.gate.verdict(tap)).verdict == 1, "the validator still had it"
            assert (await stage.settled(tap)).state == "approved"
        stage.check_books()


async def test_connections_lost_at_any_moment(open_stage: Opens, database: Database) -> None:
    """Whatever was being committed: every tap gets its verdict in the end, and is charged once."""
    rng, taps = random.Random(7), list[Tap]()

    async def cut(stage: Stage) -> None:
        stage.seed += 1  # dice of its own for each life
        async with stage.daemon_running():
            some = [stage.gate.tap(rng.choice((250, TWICE_503, CHARGED_UNHEARD))) for _ in range(4)]
            taps.extend(some)
            for tap in some[: rng.randrange(3)]:
                await stage.gate.verdict(tap)
            await database.cut()
            await stage.until(lambda: False, "the end of the daemon")

    async with open_stage(changes=database.changes) as stage:
        for _ in range(LIVES):
            await lost(cut(stage))
        stage.seed += 1
        async with stage.daemon_running():
            await all_approved(stage, taps)


async def said(*words: str) -> tuple[int, str]:
    """A command's exit code and words, run as a person runs it."""
    result = await asyncio.to_thread(lambda: CliRunner().invoke(app, list(words)))
    return result.exit_code, result.output


async def test_people_look_at_it_with_and_without_a_daemon(open_stage: Opens, database: Database) -> None:
    async with open_stage(changes=database.changes) as stage:
        config = str(stage.config_file)
        async with stage.daemon_running():
            tap = stage.gate.tap()
            await stage.gate.verdict(tap)
            await stage.settled(tap)
        for command in (["taps"], ["show", tap.id], ["explain", tap.id], ["queue"], ["held"], ["store", "check"]):
            code, words = await said(*command, "--config", config)
            assert code == 0, (command, words)
        for command in (["store", "backup", str(stage.folder / "copy")], ["store", "try-update"]):
            code, words = await said(*command, "--config", config)
            assert code != 0
            assert "PostgreSQL" in words


async def test_the_doctor_before_and_after_the_first_start(
    open_stage: Opens, databases: Callable[[int], Databases], database: Database, tmp_path: Path
) -> None:
    machine = Machine(Micros(1_790_000_000_000_000), proc=tmp_path, udev=tmp_path, booted=tmp_path, units=(tmp_path,))
    cluster = databases(16).cluster
    cluster.run("CREATE DATABASE untouched")
    changes = {"store": {"url": cluster.url("untouched")}}
    async with open_stage(changes=changes) as stage:
        found = {one.name: one.found for one in await diagnoses(stage.config_file, machine)}
        assert found["journal"] == "not there yet: the first start makes it"
        assert re.fullmatch(r"PostgreSQL 16[.\d]*, fsync off: .*", found["database of the journal"]), (
            "a test's server is"
        )
        assert "folder epoch_dir" not in found
        async with stage.daemon_running():
            await stage.gate.verdict(stage.gate.tap())
        found = {one.name: one.found for one in await diagnoses(stage.config_file, machine)}
        assert (found["journal"], found["epoch keys"]) == ("whole", "1 open")
    databases(16).drop("untouched")
    found = {one.name: one.found for one in await diagnoses(stage.config_file, machine)}
    assert "is not there" in found["database of the journal"]
