"""Four daemons that share a journal in PostgreSQL, behind one proxy: what befalls the way to TPS befalls all of them.

Their lanes have the same name, their passengers the same card, and they show TPS the same certificate.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.faults.cells import LANES, Cell
from tests.faults.proxy import Proxy
from tests.faults.running import BOUND_SECONDS, Ends, Seen, Standing, own_certificate, watched
from tests.integration.stage import Stage, opened
from tpsd.domain.tap import Timing
from tpsd.sfey.certificates import Files, server_context
from tpsd.sfey.ledger import Ledger
from tpsd.sfey.simulator import Simulator

FLEET = 4


@dataclass(frozen=True, slots=True)
class Common:
    """What daemons have in common that share a journal: its database, their keys, and TPS's ledger."""

    url: str
    keys: Mapping[str, str]
    ledger: Ledger

    @classmethod
    def made(cls, url: str, folder: Path) -> Common:
        """With keys in ``folder``."""
        keys = {}
        for name in ("kek_file", "token_key_file"):
            file = folder / f"{name}.hex"
            file.touch(mode=0o600)
            file.write_text(secrets.token_hex(32))
            keys[name] = str(file)
        return cls(url, keys, Ledger())

    def changes(self, number: int) -> dict[str, Any]:
        """A daemon's configuration."""
        return {"store": {"url": self.url, "daemon": f"gate-{number}"}, "keys": dict(self.keys)}


@dataclass(frozen=True, slots=True)
class Member:
    """One of the daemons."""

    stage: Stage
    ends: Ends
    certificate: Path


async def play(cells: Iterable[Cell], folder: Path, files: Files, common: Common) -> dict[Cell, list[Seen] | Exception]:
    """Each cell at all daemons at once, one cell after the other; daemons stay as long as they need no other settings.

    What each daemon saw of a cell, or why it could not be played.
    """
    found: dict[Cell, list[Seen] | Exception] = {}
    tls = server_context(files.server_cert, files.server_key, files.ca)
    async with Proxy() as proxy, Simulator(ledger=common.ledger).serving(ssl_context=tls) as serving:
        proxy.target = serving.port
        for number, (settings, some) in enumerate(groupby(sorted(cells, key=_settings), key=_settings)):
            place = folder / f"fleet-{number}"
            place.mkdir()
            async with _fleet(settings, place, files, common, proxy, number) as fleet:
                for cell in some:
                    try:
                        found[cell] = await _played(cell, fleet, proxy)
                    except Exception as exc:
                        await proxy.heal()
                        found[cell] = exc
    return found


def _settings(cell: Cell) -> tuple[str, float]:
    return cell.timing.value, cell.timeout_seconds


async def _played(cell: Cell, fleet: list[Member], proxy: Proxy) -> list[Seen]:
    stood = [Standing(cell, one.stage, proxy, one.ends, one.certificate) for one in fleet]
    async with asyncio.timeout(BOUND_SECONDS):
        for one in stood:
            await one.prepare()
        await stood[0].begin()
        taps = [one.tap() for one in stood]
        together = list(zip(stood, taps, strict=True))
        await asyncio.gather(*(one.ended(tap) for one, tap in together))
        first = [await one.noted(tap) for one, tap in together]
        await proxy.heal()
        return [await one.concluded(tap, noted) for (one, tap), noted in zip(together, first, strict=True)]


@contextlib.asynccontextmanager
async def _fleet(
    settings: tuple[str, float], folder: Path, files: Files, common: Common, proxy: Proxy, life: int
) -> AsyncIterator[list[Member]]:
    timing, timeout_seconds = settings
    async with contextlib.AsyncExitStack() as stack:
        fleet = []
        for number in range(1, FLEET + 1):
            own, ends = own_certificate(folder / f"gate-{number}", files), Ends()
            stage = await stack.enter_async_context(
                opened(
                    folder / f"gate-{number}",
                    own,
                    tps_listens=False,
                    changes=common.changes(number)
                    | {"sfey": {"base_url": f"https://127.0.0.1:{proxy.port}", "timeout_seconds": timeout_seconds}},
                    lane_changes=LANES[Timing(timing)],
                    ledger=common.ledger,
                    seed=life * FLEET + number,  # dice and validators of its own for each life
                    first_serial=life * FLEET + number,
                )
            )
            await stack.enter_async_context(stage.daemon_running(before=watched(ends)))
            fleet.append(Member(stage, ends, own.client_cert))
        yield fleet
