"""``tpsd store copy``: a daemon's journal moves into a database, and what cannot be moved is told in a line."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.integration.conftest import Opens
from tests.integration.stage import Stage
from tests.store.databases import Databases
from tpsd.app import open_journal
from tpsd.cli import app
from tpsd.config import load
from tpsd.errors import JournalError
from tpsd.store.movable import TABLES

TWICE_503 = 60_004  # an amount: what TPS answers
ENTRIES = 60_000  # of a deny list: about a second to copy
KILLS = 5


@pytest.fixture(params=[18])
def places(request: pytest.FixtureRequest, databases: Callable[[int], Databases]) -> Iterator[Places]:
    made = Places(databases(request.param))
    yield made
    for name in made.names:
        made.databases.drop(name)


class Places:
    """Empty databases of one server."""

    def __init__(self, databases: Databases) -> None:
        self.databases = databases
        self.names: list[str] = []

    def new(self) -> str:
        """The URL of one more."""
        self.names.append(self.databases.new())
        return self.databases.cluster.url(self.names[-1])


def file_of(stage: Stage) -> Path:
    return stage.folder / "journal" / "journal.db"


def asked(stage: Stage, url: str, source: str | None = None) -> list[str]:
    """The command's words."""
    given = f"sqlite://{file_of(stage)}" if source is None else source
    return ["store", "copy", "--from", given, "--to", url, "--config", str(stage.config_file)]


async def copy(stage: Stage, url: str, *more: str, source: str | None = None) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    result = await asyncio.to_thread(CliRunner().invoke, app, [*asked(stage, url, source), *more])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


async def refused(stage: Stage, url: str, source: str | None = None) -> str:
    """What a person reads of one that is not done; nothing was marked."""
    code, _, told = await copy(stage, url, source=source)
    assert code != 0
    return " ".join(told.replace("│", " ").split())


def moved_to(stage: Stage, url: str) -> None:
    """From now on the daemon's journal is there."""
    text = stage.config_file.read_text()
    stage.config_file.write_text(text.replace(f"sqlite://{file_of(stage)}", url))


async def lived(stage: Stage) -> None:
    """A daemon has been here, and one tap is approved."""
    async with stage.daemon_running():
        tap = stage.gate.tap()
        await stage.gate.verdict(tap)
        await stage.settled(tap)


async def test_what_waited_is_sent_from_there(open_stage: Opens, places: Places) -> None:
    async with open_stage() as stage:
        async with stage.daemon_running():
            tap = stage.gate.tap(TWICE_503)
            await stage.gate.verdict(tap)

            async def waits() -> bool:
                return (await stage.row(tap)).attempts == 1 and (await stage.row(tap)).state == "pending"

            await stage.until(waits, "the first try")
            uuid = (await stage.row(tap)).uuid
        url = places.new()
        code, out, err = await copy(stage, url)
        assert code == 0, err
        assert "authorisation" in out
        assert "epoch_key" in out
        with pytest.raises(JournalError, match="was left by 'tpsd store copy'"):
            async with open_journal(load(stage.config_file)):
                pytest.fail("it was opened")
        moved_to(stage, url)
        async with stage.daemon_running():
            await stage.pass_time()
            row = await stage.row(tap)
            assert (row.state, row.attempts, row.uuid) == ("approved", 3, uuid)
            stage.gate.again(tap)
            await stage.gate.verdict(tap)
            assert len(await stage.rows()) == 1
            assert await stage.daemon.journal.upkeep.check() == []
            stage.check_books()
            await stage.check_money()


async def test_a_second_call_finds_it_done(open_stage: Opens, places: Places) -> None:
    async with open_stage() as stage:
        await lived(stage)
        url = places.new()
        code, out, _ = await copy(stage, url, "--json")
        first = json.loads(out.splitlines()[-1])
        assert code == 0
        assert {table["table"] for table in first["tables"]} == {table.name for table in TABLES} | {"epoch_key"}
        code, out, _ = await copy(stage, url, "--json")
        assert code == 0
        assert json.loads(out.splitlines()[-1]) == first | {"tables": []}
        assert "has left this file for another database" in await refused(stage, places.new())


async def test_the_file_comes_back_with_its_taps_in_doubt(open_stage: Opens, places: Places) -> None:
    async with open_stage() as stage:
        async with stage.daemon_running():
            tap = stage.gate.tap(TWICE_503)
            await stage.gate.verdict(tap)
        assert (await copy(stage, places.new()))[0] == 0
        words = ["store", "restore", str(file_of(stage)), "--config", str(stage.config_file), "--force"]
        assert (await asyncio.to_thread(CliRunner().invoke, app, words)).exit_code == 0
        async with stage.daemon_running():
            assert (await stage.row(tap)).state == "in_doubt"


class TestRefused:
    """Nothing is moved, and a line says why and what to do."""

    async def test_a_daemon_is_at_work(self, open_stage: Opens, places: Places) -> None:
        async with open_stage() as stage, stage.daemon_running():
            assert "is in use by process" in await refused(stage, places.new())

    async def test_a_daemon_is_there(self, open_stage: Opens, places: Places) -> None:
        async with open_stage() as stage:
            await lived(stage)
            there = places.new()
            before = stage.config_file.read_text()
            moved_to(stage, there)
            async with stage.daemon_running():
                assert "in use by another daemon" in await refused(stage, there)
            assert "holds a journal already: name an empty one" in await refused(stage, there)
            stage.config_file.write_text(before)
            await lived(stage)

    async def test_another_copy_is_under_way(self, open_stage: Opens, places: Places) -> None:
        async with open_stage() as stage:
            await lived(stage)
            url = places.new()

            async def asking(connection: Any) -> str:
                await connection.execute("SELECT pg_advisory_lock(x'74707365'::int, 7)")
                return await refused(stage, url)

            told = await asyncio.to_thread(places.databases.cluster.ask, asking, places.names[-1])
            assert "another copy into" in told

    async def test_what_is_no_journal(self, open_stage: Opens, places: Places) -> None:
        async with open_stage() as stage:
            await lived(stage)
            url, nothing, text, other = places.new(), *(stage.folder / name for name in ("nothing", "text", "other"))
            text.write_text("a plain text " * 100)
            with closing(sqlite3.connect(other)) as connection:
                connection.executescript("CREATE TABLE migration (number); INSERT INTO migration VALUES (99)")
            assert "is not there: name the journal's file" in await refused(stage, url, f"sqlite://{nothing}")
            assert "file is not a database" in await refused(stage, url, f"sqlite://{text}")
            assert "SQLite file of another program" in await refused(stage, url, f"sqlite://{other}")

    async def test_a_backup(self, open_stage: Opens, places: Places) -> None:
        async with open_stage() as stage:
            await lived(stage)
            kept = stage.folder / "kept.db"
            words = ["store", "backup", str(kept), "--config", str(stage.config_file)]
            assert (await asyncio.to_thread(CliRunner().invoke, app, words)).exit_code == 0
            assert "is a backup" in await refused(stage, places.new(), f"sqlite://{kept}")

    async def test_an_older_schema(self, open_stage: Opens, places: Places) -> None:
        async with open_stage() as stage:
            await lived(stage)
            with closing(sqlite3.connect(file_of(stage))) as connection, connection:
                connection.execute("DELETE FROM migration WHERE number > 3")
            told = await refused(stage, places.new())
            assert "is at schema 3, which an earlier version made: start tpsd once" in told

    async def test_keys_of_another(self, open_stage: Opens, places: Places) -> None:
        async with open_stage() as stage:
            await lived(stage)
            url, epochs = places.new(), stage.folder / "epochs"
            epochs.rename(stage.folder / "away")
            assert "epochs is not there: name the configuration" in await refused(stage, url)
            epochs.mkdir()
            assert "the keys do not fit this journal" in await refused(stage, url)
            epochs.rmdir()
            (stage.folder / "away").rename(epochs)
            (stage.folder / "kek.hex").write_text("00" * 32)
            assert "the keys do not fit this journal" in await refused(stage, url)

    @pytest.mark.parametrize(
        ("source", "target", "words"),
        [
            ("journal.db", "postgresql://tpsd@h/d", "is not a journal"),
            ("postgresql://tpsd@h/d", "postgresql://tpsd@h/e", "a journal moves there, and not back"),
            ("sqlite:////tmp/a.db", "sqlite:////tmp/b.db", "'tpsd store backup' copies a journal into one"),
            ("sqlite:////tmp/a.db", "postgresql://tpsd:secret@h/d", "holds a password"),
        ],
    )
    async def test_urls(self, open_stage: Opens, source: str, target: str, words: str) -> None:
        async with open_stage() as stage:
            told = await refused(stage, target, source)
            assert words in told
            assert "secret" not in told

    async def test_no_database(self, open_stage: Opens, places: Places) -> None:
        async with open_stage() as stage:
            await lived(stage)
            told = await refused(stage, places.new().replace(places.names[-1], "nowhere"))
            assert "database nowhere at" in told
            assert "is not there: make the database" in told


def enlarge(file: Path) -> None:
    """A deny list that takes a while."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(
            "INSERT INTO deny_generation (number, source, state, tokens, began_at, live_at) "
            f"VALUES (1, 'hand', 'live', {ENTRIES}, 1, 2)"
        )
        connection.execute(
            "INSERT INTO deny (generation, token) WITH RECURSIVE n (i) AS "
            f"(SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ENTRIES}) SELECT 1, randomblob(32) FROM n"
        )


async def killed_on_its_way(stage: Stage, url: str, places: Places, entries: int) -> None:
    """A copy in a process of its own, killed once so many entries are there."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tpsd", *asked(stage, url)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:

        async def count(connection: Any) -> int:
            return int(await connection.fetchval("SELECT count(*) FROM deny"))

        async def far_enough() -> bool:
            assert process.poll() is None, "it was faster than we look"
            return await asyncio.to_thread(places.databases.cluster.ask, count, places.names[-1]) >= entries

        await stage.until(far_enough, "a part of the copy")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


async def test_killed_it_goes_on_and_no_daemon_runs_on_a_part(open_stage: Opens, places: Places) -> None:
    async with open_stage() as stage:
        await lived(stage)
        enlarge(file_of(stage))
        url, rng = places.new(), random.Random(places.databases.cluster.major)
        file, there = stage.config_file.read_text(), ""
        for kill in range(KILLS):
            reached = int((kill + rng.random()) * ENTRIES / (KILLS + 1))
            await killed_on_its_way(stage, url, places, max(reached, 1))
            moved_to(stage, url)
            there = stage.config_file.read_text()
            with pytest.raises(JournalError, match="copy of a journal that did not come to its end"):
                async with open_journal(load(stage.config_file)):
                    pytest.fail("it was opened")
            stage.config_file.write_text(file)
        code, out, err = await copy(stage, url, "--json")
        assert code == 0, err
        assert {table["table"]: table["rows_there"] for table in json.loads(out)["tables"]}["deny"] == ENTRIES
        stage.config_file.write_text(there)
        async with stage.daemon_running():
            assert [row.state for row in await stage.rows()] == ["approved"]


async def test_a_journal_used_since_the_copy_began(open_stage: Opens, places: Places) -> None:
    async with open_stage() as stage:
        await lived(stage)
        enlarge(file_of(stage))
        url = places.new()
        await killed_on_its_way(stage, url, places, 1)
        await lived(stage)
        assert "a daemon has run on the journal since this copy of it began" in await refused(stage, url)
        assert (await copy(stage, places.new()))[0] == 0, "into an empty one it may go"
        assert "a daemon has run on the journal since" in await refused(stage, url)
