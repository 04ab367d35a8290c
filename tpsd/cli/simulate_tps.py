"""Serving the simulated TPS from the command line."""

from __future__ import annotations

import asyncio
import signal
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tpsd.cli.token_file import Listed, read_tokens, report_bad
from tpsd.errors import ConfigError, RefusedError
from tpsd.sfey.certificates import Files, make, server_context
from tpsd.sfey.ledger import Ledger
from tpsd.sfey.simulator import Simulator
from tpsd.sfey.update_desk import UpdateDesk

FOLDER_MODE = 0o700  # it holds private keys


def parse_listen(text: str) -> tuple[str, int]:
    """``HOST:PORT``; an IPv6 host in brackets. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise ValueError(f"{text!r} is not HOST:PORT; write 127.0.0.1:8443")
    return host, int(port)


@dataclass(frozen=True, slots=True)
class DenyFile:
    """Card tokens that TPS lists over its update feed; the file is read anew at each SIGHUP."""

    path: Path
    first: Listed

    def apply(self, updates: UpdateDesk, listed: Listed) -> None:
        """Enter what came and strike what went."""
        wanted, there = set(listed.tokens), set(updates.cards)
        updates.add(sorted(wanted - there))
        updates.lift(sorted(there - wanted))

    def read_anew(self, updates: UpdateDesk, say: Callable[[str], None]) -> None:
        """Take the file as it is now; one with a bad line changes nothing."""
        try:
            listed = read_tokens(self.path)
        except RefusedError as exc:
            say(str(exc))
            return
        if listed.bad:
            report_bad(self.path, listed, "the list stays as it was", False)
            return
        self.apply(updates, listed)
        say(f"cards on the deny list: {len(updates.cards)}")


async def serve(
    host: str,
    port: int,
    tls_dir: Path | None,
    ledger_file: Path | None,
    say: Callable[[str], None],
    deny: DenyFile | None = None,
) -> dict[str, int]:
    """Serve until SIGINT or SIGTERM; the ledger's totals. Raises ConfigError when it cannot listen."""
    context = None if tls_dir is None else tls(tls_dir)
    ledger = _ledger(ledger_file)
    try:
        simulator = Simulator(ledger=ledger)
        if deny is not None:
            deny.apply(simulator.updates, deny.first)
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGHUP, deny.read_anew, simulator.updates, say)
        async with simulator.serving(host, port, context) as serving:
            say(f"TPS listens on {serving.url}" + ("" if tls_dir is None else f", certificates in {tls_dir}"))
            await _until_signalled()
    except OSError as exc:
        raise ConfigError(f"cannot listen on {host}:{port} ({exc.strerror or exc}); choose another port") from exc
    finally:
        ledger.close()
    return {
        "requests": len(ledger.requests()),
        "charges": len(ledger.charges()),
        "duplicate_charges": len(ledger.duplicates()),
        "violations": len(ledger.violations),
        "charged_total": ledger.charged_total,
    }


def tls(folder: Path) -> ssl.SSLContext:
    """A server's context that requires a client certificate; files that are there already are used again."""
    files = Files(
        folder / "ca.crt", folder / "server.crt", folder / "server.key", folder / "client.crt", folder / "client.key"
    )
    paths = (files.ca, files.server_cert, files.server_key, files.client_cert, files.client_key)
    try:
        if not all(path.exists() for path in paths):
            folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            files = make(folder, datetime.now(UTC))
        return server_context(files.server_cert, files.server_key, files.ca)
    except (OSError, ssl.SSLError) as exc:
        raise ConfigError(f"certificates in {folder}: {exc}; empty the folder and start again") from exc


def _ledger(file: Path | None) -> Ledger:
    try:
        return Ledger(file)
    except OSError as exc:
        raise ConfigError(f"the ledger {file} cannot be written ({exc.strerror}); name another file") from exc


async def _until_signalled() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        await stop.wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
