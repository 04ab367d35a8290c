"""What is refused at start: one clear line, exit code 1, no traceback, nothing touched."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests import configurations
from tests.integration.processes import Running, completed, environment
from tests.integration.stage import Line, configuration
from tpsd.sfey.certificates import Files
from tpsd.store.opening import BACKUP_ID

PAGE_BYTES = 4096
NOBODY = "https://127.0.0.1:9"


@pytest.fixture
def line(tmp_path: Path) -> Any:
    found = Line(tmp_path / "tty")
    yield found
    found.pull()


@pytest.fixture
def given(tmp_path: Path, certificates: Files, line: Line) -> dict[str, Any]:
    return configuration(tmp_path, certificates, NOBODY, 9, [line.path])


@asynccontextmanager
async def daemon(folder: Path, given: dict[str, Any], name: str = "first") -> AsyncIterator[Running]:
    """A daemon that runs, until the block ends."""
    running = Running(["run", "--config", str(configurations.write(folder, given, f"{name}.toml"))], folder / name)
    try:
        await running.has_said('"event": "ready"')
        yield running
    finally:
        running.kill()


def refused(folder: Path, given: dict[str, Any]) -> str:
    """The one line a daemon says instead of starting."""
    done = completed("run", "--config", str(configurations.write(folder, given, "refused.toml")))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    [words] = [text for text in done.stderr.splitlines() if not text.startswith("tpsd: warning:")]
    assert words.startswith("tpsd: ")
    assert done.stdout == ""
    return words


async def journal_made(folder: Path, given: dict[str, Any]) -> Path:
    """The journal of a daemon that ran and was killed."""
    async with daemon(folder, given):
        pass
    return folder / "journal" / "journal.db"


async def test_a_second_daemon(tmp_path: Path, given: dict[str, Any]) -> None:
    """On the same journal, and on the same port with a journal of its own; it says who holds it."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    async with daemon(tmp_path, given) as first:
        other_port = configurations.changed(given, {"lanes": [{**given["lanes"][0], "port": "/dev/ttyNOT0"}]})
        words = refused(tmp_path, other_port)
        assert f"journal.db is in use by process {first.process.pid}" in words
        other_journal = configurations.changed(
            given,
            {"store": {"url": f"sqlite://{elsewhere}/journal.db"}, "keys": {"epoch_dir": str(tmp_path / "other")}},
        )
        words = refused(tmp_path, other_journal)
        assert f"{given['lanes'][0]['port']} is in use by process {first.process.pid}" in words
        assert first.process.poll() is None
        assert not (elsewhere / "journal.db").exists()
        same_socket = configurations.changed(other_journal, {"lanes": [{**given["lanes"][0], "port": "/dev/ttyNOT0"}]})
        assert "another daemon answers on admin.socket" in refused(tmp_path, same_socket)


async def test_a_backup_as_journal(tmp_path: Path, given: dict[str, Any]) -> None:
    path = await journal_made(tmp_path, given)
    connection = apsw.Connection(str(path))
    connection.pragma("application_id", BACKUP_ID)
    connection.close()
    before = path.read_bytes()
    assert "is a backup" in refused(tmp_path, given)
    assert path.read_bytes() == before


async def test_a_newer_journal(tmp_path: Path, given: dict[str, Any]) -> None:
    path = await journal_made(tmp_path, given)
    connection = apsw.Connection(str(path))
    connection.execute("INSERT INTO migration VALUES (901, 'from_the_future', 'digest', 901)")
    connection.close()
    words = refused(tmp_path, given)
    assert "the journal is at schema 901 (from_the_future)" in words
    assert "run the newer tpsd" in words


@pytest.mark.parametrize("pages", [slice(0, 1), slice(1, None)], ids=["first page", "all others"])
async def test_a_damaged_journal(tmp_path: Path, given: dict[str, Any], pages: slice) -> None:
    path = await journal_made(tmp_path, given)
    connection = apsw.Connection(str(path))
    assert connection.execute("SELECT count(*) FROM tap").get == 0  # SQLite looks at its write-ahead log when read
    connection.close()
    damaged = bytearray(path.read_bytes())
    for at in range(0, len(damaged), PAGE_BYTES)[pages]:
        damaged[at : at + 100] = bytes(range(100, 200))
    path.write_bytes(damaged)
    assert "damaged" in refused(tmp_path, given)
    assert path.read_bytes() == damaged


async def test_keys_that_are_not_the_journals(tmp_path: Path, given: dict[str, Any]) -> None:
    await journal_made(tmp_path, given)
    kek = tmp_path / "kek.hex"
    good = kek.read_text()
    kek.unlink()
    assert "kek.hex" in refused(tmp_path, given)
    kek.write_text(secrets.token_hex(32))
    assert "the keys do not fit this journal" in refused(tmp_path, given)
    kek.write_text("not a key")
    assert "kek.hex" in refused(tmp_path, given)
    kek.write_text(good)
    for epoch in (tmp_path / "epochs").iterdir():
        epoch.unlink()
    assert "epoch" in refused(tmp_path, given)


def test_an_unknown_key_in_the_configuration(tmp_path: Path, given: dict[str, Any]) -> None:
    given["retry"]["tries"] = 4
    done = completed("run", "--config", str(configurations.write(tmp_path, given)))
    assert done.returncode == 1
    assert "retry.tries" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "journal" / "journal.db").exists()


def test_a_surprise_ends_the_daemon_without_its_text_in_clear() -> None:
    """An error's text may hold anything; what is logged of it is masked."""
    code = """
import sys
from tpsd import log, process

class Config:
    def __getattr__(self, name):
        raise ValueError("track 2 is 4761739001010119D31122011758928889F")

log.configure()
sys.exit(process.run(Config()))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment(), timeout=30
    )
    assert done.returncode == 1
    assert "stopped_by_a_surprise" in done.stderr
    assert "ValueError" in done.stderr
    assert "4761739001010119" not in done.stderr
