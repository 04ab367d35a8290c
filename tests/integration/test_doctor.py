"""``tpsd doctor`` on a machine where everything is there, where nothing is, and beside a running daemon."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import apsw
import pytest
from typer.testing import CliRunner

from tests import configurations
from tests.integration.conftest import Opens
from tests.integration.test_store_commands import at_work, tapped
from tpsd.cli import app
from tpsd.cli.diagnosis import Diagnosis, State
from tpsd.cli.doctor import diagnoses
from tpsd.cli.machine import FREE_BYTES_GOOD, Machine
from tpsd.config import load
from tpsd.domain.time import Micros
from tpsd.errors import JournalError
from tpsd.offline import try_update
from tpsd.store import migrations, opening

NOW = Micros(1_790_000_000_000_000)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    at = tmp_path / "machine"
    units = (at / "etc", at / "lib")
    return Machine(
        NOW,
        proc=at / "proc",
        udev=at / "udev",
        booted=at / "booted",
        units=units,
        synchronised=lambda: True,
        free_bytes=lambda _: FREE_BYTES_GOOD,
    )


async def looked(file: Path, machine: Machine) -> dict[str, Diagnosis]:
    return {one.name: one for one in await diagnoses(file, machine)}


def bad(found: dict[str, Diagnosis]) -> dict[str, str]:
    return {name: one.found for name, one in found.items() if one.state is State.BAD}


async def test_before_the_first_start_and_beside_the_running_daemon(open_stage: Opens, machine: Machine) -> None:
    async with open_stage() as stage:
        stage.config_file.chmod(0o600)
        (stage.folder / "epochs").mkdir(mode=0o700)
        found = await looked(stage.config_file, machine)
        assert bad(found) == {}
        assert found["daemon"].found.startswith("none runs")
        async with at_work(stage):
            await tapped(stage)
            found = await looked(stage.config_file, machine)
            assert bad(found) == {}
            assert found["daemon"].found == "it runs"
            assert found["journal"].found == "whole"
            lanes = [one for name, one in found.items() if name.startswith("lane ")]
            assert [lane.found for lane in lanes] == ["ready"]
            assert not any(name.startswith("port of lane") for name in found)
        found = await looked(stage.config_file, machine)
        assert (found["journal"].found, found["epoch keys"].found) == ("whole", "1 open")
        (stage.folder / "kek.hex").write_text("b2" * 32)
        found = await looked(stage.config_file, machine)
        assert found["journal"].found == "whole"
        assert found["epoch keys"].found.startswith("epoch 1 of journal")
        assert found["epoch keys"].next == "give the kek_file and the epoch_dir that the journal was made with"


async def test_where_nothing_is_there_each_says_what_to_do(tmp_path: Path, machine: Machine) -> None:
    given = configurations.changed(
        configurations.values(tmp_path), {"sfey": {"base_url": "http://127.0.0.1:9", "timeout_seconds": 2}}
    )
    found = await looked(configurations.write(tmp_path, given), machine)
    failing = [one for one in found.values() if one.state is State.BAD]
    assert {one.name for one in failing} == {
        "key kek_file",
        "folder of the journal",
        "folder epoch_dir",
        "port of lane gate-1",
        "TPS, common certificate",
        "SMTP server",
    }
    assert all(one.next for one in failing)
    assert found["service"].state is State.DOUBT


async def test_a_damaged_journal_is_found(open_stage: Opens, machine: Machine) -> None:
    async with open_stage() as stage:
        async with at_work(stage):
            await tapped(stage)
        [journal] = stage.folder.rglob("journal.db")
        content = bytearray(journal.read_bytes())
        content[4096:12288] = bytes(8192)
        journal.write_bytes(content)
        found = await looked(stage.config_file, machine)
        assert found["journal"].state is State.BAD
        assert found["journal"].next


async def test_a_configuration_that_cannot_be_read_ends_it_early_with_code_1(tmp_path: Path) -> None:
    file = tmp_path / "tpsd.toml"
    file.write_text('mode = "tset"\n')
    result = await asyncio.to_thread(CliRunner().invoke, app, ["doctor", "--config", str(file), "--json"])
    said = json.loads(result.stdout.splitlines()[-1])
    assert (result.exit_code, said["ok"]) == (1, False)
    [configuration] = [one for one in said["checks"] if one["name"] == "configuration"]
    assert configuration["state"] == "failed"


class TestTryUpdate:
    """``tpsd store try-update``: a copy, migrated, checked and thrown away."""

    async def test_beside_a_running_daemon_and_without_one(self, open_stage: Opens) -> None:
        async with open_stage() as stage:
            given = ["store", "try-update", "--config", str(stage.config_file), "--json"]
            async with at_work(stage):
                await tapped(stage)
                running = await asyncio.to_thread(CliRunner().invoke, app, given)
            [journal] = stage.folder.rglob("journal.db")
            before = journal.read_bytes()
            resting = await asyncio.to_thread(CliRunner().invoke, app, given)
            for result in (running, resting):
                said = json.loads(result.stdout.splitlines()[-1])
                assert (result.exit_code, said["ok"], said["migrations"], said["findings"]) == (0, True, [], [])
                assert said["bytes"] > 4096
            assert journal.read_bytes() == before
            assert not [file.name for file in journal.parent.iterdir() if "-try-" in file.name]

    def test_an_older_journals_copy_gets_what_it_lacks_and_the_journal_nothing(self, tmp_path: Path) -> None:
        config = load(configurations.write(tmp_path, configurations.values(tmp_path)))
        known = migrations.known("sqlite")
        copy = tmp_path / "copy.db"
        connection = apsw.Connection(str(copy))
        connection.pragma("application_id", opening.BACKUP_ID)
        migrations.apply(connection, known[:1])
        connection.close()
        assert try_update(config, copy).migrations == tuple(migration.name for migration in known[1:])

    def test_a_migration_that_was_changed_after_it_was_applied_is_found(self, tmp_path: Path) -> None:
        config = load(configurations.write(tmp_path, configurations.values(tmp_path)))
        copy = tmp_path / "copy.db"
        connection = apsw.Connection(str(copy))
        connection.pragma("application_id", opening.BACKUP_ID)
        first = migrations.known("sqlite")[0]
        migrations.apply(connection, (replace(first, digest="another"),))
        connection.close()
        with pytest.raises(JournalError, match="was changed after it was applied"):
            try_update(config, copy)
