"""``check-config --connect`` against real other ends: a TPS over TLS, an SMTP server, a pty, key files."""

from __future__ import annotations

import asyncio
import os
import pty
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP

from tests.configurations import KEK_HEX, changed, values, write
from tpsd.cli.reaching import Reached, reach
from tpsd.config import load
from tpsd.sfey.certificates import Authority, Files, make, server_context
from tpsd.sfey.simulator import Simulator


@dataclass(frozen=True, slots=True)
class Surroundings:
    """A configuration that names only things that are there, and what they saw."""

    given: dict[str, Any]
    tps: Simulator
    folder: Path

    async def reached(self, changes: dict[str, Any] | None = None) -> dict[str, Reached]:
        config = load(write(self.folder, changed(self.given, changes or {})))
        return {row.name: row for row in await reach(config)}


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[Surroundings]:
    files = make(tmp_path, datetime.now(UTC))
    tps = Simulator()
    tls = server_context(files.server_cert, files.server_key, files.ca)
    async with tps.serving(ssl_context=tls) as serving, _smtp() as smtp_port:
        with _terminal() as port:
            yield Surroundings(_given(tmp_path, files, serving.url, smtp_port, port), tps, tmp_path)


@asynccontextmanager
async def _smtp() -> AsyncIterator[int]:
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(object()), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@contextmanager
def _terminal() -> Iterator[str]:
    master, slave = pty.openpty()
    try:
        yield os.ttyname(slave)
    finally:
        os.close(master)
        os.close(slave)


def _given(folder: Path, files: Files, url: str, smtp_port: int, port: str) -> dict[str, Any]:
    for name in ("data", "epochs", "keys"):
        (folder / name).mkdir()
    for name in ("kek", "salt"):
        (folder / "keys" / name).write_text(KEK_HEX)
        (folder / "keys" / name).chmod(0o600)
    return changed(
        values(folder),
        {
            "sfey": {
                "base_url": url,
                "ca_file": str(files.ca),
                "client_cert_file": str(files.client_cert),
                "client_key_file": str(files.client_key),
                "timeout_seconds": 5,
            },
            "keys": {"token_key_file": "keys/salt"},
            "email": {"smtp_url": f"smtp://127.0.0.1:{smtp_port}"},
            "lanes": [{"name": "gate-1", "port": port, "fare": 250}],
        },
    )


async def test_everything_is_there(there: Surroundings) -> None:
    rows = await there.reached()
    assert {name: row.reason for name, row in rows.items()} == {
        "key kek_file": "read",
        "key token_key_file": "read",
        "folder of the journal": "writable",
        "folder epoch_dir": "writable",
        "port of lane gate-1": "opened at 115200 baud",
        "TPS, common certificate": "answered with HTTP 404",
        "SMTP server": "greeted",
    }
    assert all(row.ok for row in rows.values())
    assert [visit.method for visit in there.tps.ledger.visits()] == ["GET"]
    assert there.tps.ledger.requests() == []


async def test_a_stranger_certificate_is_found_out(there: Surroundings) -> None:
    cert, key = Authority("Somebody else", datetime.now(UTC)).client("GATE-X1:VAL1").write(there.folder, "stranger")
    lanes = [there.given["lanes"][0] | {"client_cert_file": str(cert), "client_key_file": str(key)}]
    row = (await there.reached({"lanes": lanes}))["TPS, certificate of lane gate-1"]
    assert not row.ok
    assert row.reason.startswith("no answer (")


@pytest.mark.parametrize(
    ("changes", "name", "reason"),
    [
        ({"keys": {"kek_file": "keys/none"}}, "key kek_file", "does not exist"),
        ({"keys": {"ttk_file": "keys/kek"}}, "key ttk_file", "is not '<key id> <key>'"),
        ({"keys": {"epoch_dir": "none"}}, "folder epoch_dir", "is not a folder; create it"),
        ({"sfey": {"ca_file": "none"}}, "TPS, common certificate", "cannot be read"),
    ],
)
async def test_what_is_missing_is_named_and_stops_nothing_else(
    there: Surroundings, changes: dict[str, Any], name: str, reason: str
) -> None:
    rows = await there.reached(changes)
    assert [row.name for row in rows.values() if not row.ok] == [name]
    assert reason in rows[name].reason


async def test_ports_that_cannot_be_opened_are_named(there: Surroundings) -> None:
    with socket.socket() as listening, socket.socket() as closed:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        closed.bind(("127.0.0.1", 0))
        ports = ["/dev/none", *(f"socket://127.0.0.1:{end.getsockname()[1]}" for end in (listening, closed))]
        lanes = [{"name": f"l{number}", "port": port, "fare": 1} for number, port in enumerate(ports)]
        rows = await there.reached({"lanes": lanes, "email": {"smtp_url": f"smtp{ports[2][6:]}"}})
    assert rows["port of lane l0"].reason.startswith("/dev/none: ")
    assert "No such file" in rows["port of lane l0"].reason
    assert rows["port of lane l1"] == Reached("port of lane l1", True, "connected")
    assert "is the converter on" in rows["port of lane l2"].reason
    assert [row.ok for row in rows.values()].count(False) == 3
    assert not rows["SMTP server"].ok
