"""What the benches of the whole daemon stand on: a configuration in a folder, the real clocks, the TLS stub."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from schemas.config import Configuration
from tests.bench.stub import running
from tpsd.app import assembled
from tpsd.config import load
from tpsd.daemon import Daemon


def configuration(
    folder: Path,
    url: str,
    ports: Sequence[str] = (),
    tls: str = "",
    retry: str = "",
    kinds: Sequence[str] = (),
    lane: str = "",
) -> Configuration:
    """A daemon's configuration with its keys; a mail server that nobody needs."""
    for name in ("kek", "salt"):
        key = folder / f"{name}.hex"
        key.touch(mode=0o600)
        key.write_text(secrets.token_hex(32))
    (folder / "journal").mkdir()
    lanes = "".join(
        f'[[lanes]]\nname = "gate-{number}"\nport = "{port}"\nfare = 250\namount_limit = 99999\n'
        f'kind = "{kind}"\n{lane}\n'
        for number, (port, kind) in enumerate(zip(ports, kinds or ["MTT"] * len(ports), strict=True))
    )
    path = folder / "tpsd.toml"
    path.write_text(
        f"""mode = "test"
[operator]
company_id = 1001
stock_location_id = 42
[sfey]
base_url = "{url}"
{tls}
[store]
url = "sqlite:///{folder}/journal/journal.db"
[keys]
kek_file = "kek.hex"
epoch_dir = "epochs"
token_key_file = "salt.hex"
[retry]
{retry}
[email]
smtp_url = "smtp://127.0.0.1:1?starttls=never"
sender = "tpsd@transit.example"
recipients = ["operations@transit.example"]
[admin]
socket = "{folder}/tpsd.sock"
{lanes}"""
    )
    return load(path)


@contextlib.asynccontextmanager
async def daemon_with_stub(
    folder: Path,
    ports: Sequence[str] = (),
    retry: str = "",
    kinds: Sequence[str] = (),
    slow_seconds: float = 0.0,
    lane: str = "",
) -> AsyncIterator[Daemon]:
    """A daemon, not yet running, whose TPS is the stub in another process. ``kinds`` are its lanes', MTT without;
    ``lane``: more keys of each.
    """
    async with running(folder, slow_seconds) as (url, files):
        tls = (
            f'ca_file = "{files.ca}"\nclient_cert_file = "{files.client_cert}"\nclient_key_file = "{files.client_key}"'
        )
        async with assembled(configuration(folder, url, ports, tls, retry, kinds, lane)) as daemon:
            yield daemon


async def until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait for something, looking often; raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.001)
