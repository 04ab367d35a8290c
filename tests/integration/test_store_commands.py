"""``tpsd store`` against a daemon at work and without one, and a backup's way back into service."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.integration.conftest import Opens
from tests.integration.stage import VISA, Stage
from tpsd.admin.client import tell
from tpsd.admin.server import AdminServer
from tpsd.app import admin_routes
from tpsd.cli import app
from tpsd.domain.time import DAY, Micros
from tpsd.errors import JournalError, TpsdError
from tpsd.store.audit import AuditLog

WHO = f"{pwd.getpwuid(os.getuid()).pw_name} ({os.getuid()})"


async def tpsd(stage: Stage, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of ``tpsd store``."""
    given = ["store", *arguments, "--config", str(stage.config_file)]
    result = await asyncio.to_thread(CliRunner().invoke, app, given)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


async def answer(stage: Stage, *arguments: str) -> dict[str, Any]:
    """The JSON object of a command that works."""
    code, out, err = await tpsd(stage, *arguments, "--json")
    assert code == 0, err
    found = json.loads(out.splitlines()[-1])
    assert isinstance(found, dict)
    return found


@asynccontextmanager
async def at_work(stage: Stage) -> AsyncIterator[None]:
    """The daemon with its socket."""
    async with stage.daemon_running() as daemon:
        server = AdminServer(stage.folder / "tpsd.sock", daemon.journal, daemon.status, admin_routes(daemon))
        await server.start()
        try:
            yield
        finally:
            await server.stop()


async def tapped(stage: Stage, amount: int = 250) -> str:
    """A tap, settled; its name."""
    tap = stage.gate.tap(amount)
    await stage.gate.verdict(tap)
    await stage.settled(tap)
    return tap.id


async def audited(stage: Stage) -> list[tuple[str, str, str]]:
    rows = await AuditLog(stage.daemon.journal._writer).rows(100)
    return [(row.who, row.what, row.subject) for row in reversed(rows)]


class TestAtWork:
    """While the daemon runs, it does the work itself."""

    async def test_check(self, open_stage: Opens) -> None:
        async with open_stage() as stage, at_work(stage):
            await tapped(stage)
            assert await answer(stage, "check") == {"whole": True, "findings": []}
            code, out, _ = await tpsd(stage, "check")
            assert (code, out) == (0, "the journal is whole\n")

    async def test_check_with_findings_exits_1(self, open_stage: Opens) -> None:
        async with open_stage() as stage, at_work(stage):
            for path in (stage.folder / "epochs").iterdir():
                path.rename(stage.folder / path.name)
            code, out, _ = await tpsd(stage, "check", "--json")
            assert code == 1
            assert json.loads(out)["findings"][0]["rule"] == "key_missing"
            code, out, _ = await tpsd(stage, "check")
            assert (code, "epoch 1" in out) == (1, True)

    async def test_backup(self, open_stage: Opens) -> None:
        async with open_stage() as stage, at_work(stage):
            await tapped(stage)
            target = stage.folder / "today"
            done = await answer(stage, "backup", str(target))
            assert (done["file"], done["bytes"]) == (str(target), target.stat().st_size)
            assert target.stat().st_mode & 0o777 == 0o600
            assert await audited(stage) == [(WHO, "store backup", str(target))]
            assert VISA.pan.encode() not in target.read_bytes()
            for key in (stage.folder / "epochs").iterdir():
                assert key.read_bytes() not in target.read_bytes()
            code, _, err = await tpsd(stage, "backup", str(target))
            assert code == 1
            assert "is there already: name a file that is not" in err
            assert "see the daemon's log" not in err

    async def test_prune(self, open_stage: Opens) -> None:
        async with open_stage() as stage, at_work(stage):
            first, second = await tapped(stage), await tapped(stage)
            stage.clock.jump(Micros(stage.clock.schedule() + 100 * DAY))
            counted = await answer(stage, "prune", "--older-than", "90d", "--dry-run")
            assert (counted["taps"], counted["dry_run"]) == (1, True)
            code, out, _ = await tpsd(stage, "prune", "--older-than", "90d")
            assert code == 0
            assert out.startswith("1 taps final before ")
            assert [row.tap_id for row in await stage.rows()] == [second]
            assert await audited(stage) == [(WHO, "store prune", "90 days")]
            assert first != second

    @pytest.mark.parametrize("days", ["0d", "-1", "ninety", "90h", "1000000"])
    async def test_prune_of_nonsense_is_a_wrong_use(self, open_stage: Opens, days: str) -> None:
        async with open_stage() as stage:
            code, _, err = await tpsd(stage, "prune", f"--older-than={days}")
            assert code == 2
            assert "give whole days" in err

    @pytest.mark.parametrize(
        ("path", "body", "words"),
        [
            ("/store/prune", {}, "older_than_days is no number"),
            ("/store/prune", {"older_than_days": True}, "older_than_days is no number"),
            ("/store/prune", {"older_than_days": 10**6}, "older_than_days is no number"),
            ("/store/backup", {}, "file is no absolute path"),
            ("/store/backup", {"file": "today"}, "file is no absolute path"),
        ],
    )
    async def test_the_socket_trusts_nobody(
        self, open_stage: Opens, path: str, body: dict[str, Any], words: str
    ) -> None:
        async with open_stage() as stage, at_work(stage):
            with pytest.raises(TpsdError, match=words):
                await tell(stage.folder / "tpsd.sock", path, body)

    async def test_restore_is_refused(self, open_stage: Opens) -> None:
        async with open_stage() as stage, at_work(stage):
            await answer(stage, "backup", str(stage.folder / "today"))
            code, _, err = await tpsd(stage, "restore", str(stage.folder / "today"), "--force")
            assert code == 1
            assert "is in use by process" in err


class TestWithoutADaemon:
    """The command uses the journal itself."""

    async def test_check_backup_and_prune(self, open_stage: Opens) -> None:
        async with open_stage() as stage:
            async with at_work(stage):
                await tapped(stage)
            code, out, err = await tpsd(stage, "check")
            assert (code, out) == (0, "the journal is whole\n")
            assert "no daemon runs; using its journal" in err
            await answer(stage, "backup", str(stage.folder / "today"))
            assert (await answer(stage, "prune", "--older-than", "90d"))["taps"] == 0
            async with at_work(stage):
                assert [what for _, what, _ in await audited(stage)] == ["store backup", "store prune"]

    async def test_a_socket_alone_is_not_enough(self, tmp_path: Path) -> None:
        for command in (["check"], ["prune", "--older-than", "90d"], ["backup", str(tmp_path / "today")]):
            given = ["store", *command, "--socket", str(tmp_path / "none")]
            result = await asyncio.to_thread(CliRunner().invoke, app, given)
            assert result.exit_code == 1
            assert "name its configuration with --config" in result.stderr

    async def test_restore_without_the_epoch_folder(self, open_stage: Opens) -> None:
        async with open_stage() as stage:
            async with at_work(stage):
                await answer(stage, "backup", str(stage.folder / "today"))
            (stage.folder / "epochs").rename(stage.folder / "lost")
            code, _, err = await tpsd(stage, "restore", str(stage.folder / "today"), "--force")
            assert code == 1
            assert "without the epoch keys no card data of the backup can be opened" in err
            (stage.folder / "epochs").mkdir(mode=0o700)
            code, _, err = await tpsd(stage, "restore", str(stage.folder / "today"), "--force")
            assert (code, err) == (0, "")


async def test_a_disk_dies_and_a_backup_takes_its_place(open_stage: Opens) -> None:
    """What was pending in the backup and approved after it is never sent again; people hear of it."""
    async with open_stage(changes={"sfey": {"afc_base_url": None}}) as stage:
        async with at_work(stage):
            waiting = stage.gate.tap(60_004)
            await stage.gate.verdict(waiting)
            await stage.until(stage.tps.ledger.requests, "the first send")
            await stage.until(lambda: stage.daemon.dispatcher.in_flight == 0, "its end")
            await answer(stage, "backup", str(stage.folder / "today"))
            await stage.pass_time()
            assert (await stage.settled(waiting)).state == "approved"
        sent = len(stage.tps.ledger.requests())
        journal = stage.folder / "journal" / "journal.db"
        journal.unlink()
        (stage.folder / "today").rename(stage.folder / "kept")
        (stage.folder / "kept").rename(journal)
        with pytest.raises(JournalError, match="is a backup"):
            async with at_work(stage):
                pytest.fail("a daemon ran on a backup")
        journal.rename(stage.folder / "kept")
        done = await answer(stage, "restore", str(stage.folder / "kept"), "--reason", "the card died")
        assert (done["in_doubt"], done["bodies_kept"], done["bodies_lost"]) == (1, 1, 0)
        async with at_work(stage):
            await stage.pass_time()
            row = await stage.row(waiting)
            assert (row.state, row.cause, row.may_have_charged) == ("in_doubt", "restored", True)
            assert len(stage.tps.ledger.requests()) == sent
            assert "[tpsd] 1 tap in doubt: restored" in [str(mail["Subject"]) for mail in stage.post.mails]
            await tapped(stage)
            assert (await answer(stage, "check"))["whole"]
            assert (WHO, "store restore", str(stage.folder / "kept")) in await audited(stage)
        stage.check_books()
