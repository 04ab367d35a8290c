"""A world that outlives the daemon: validators on ptys in this process, TPS in another, the daemon in a third."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import random
import socket
import tty
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP

from device.vl1.cards import CARDS, read
from device.vl1.codes import Oda, TapKind
from device.vl1.greeting import TapNumber
from device.vl1.simulator import SimulatedValidator
from device.vl1.simulator_events import SimulatorEvent, StrayVerdict, TapVerdict
from tests import configurations
from tests.integration.processes import Running, completed
from tests.integration.stage import PostOffice, configuration, until
from tpsd.admin.client import NoDaemonError, ask
from tpsd.domain.time import Micros
from tpsd.sfey.certificates import Files, make
from tpsd.sfey.ledger import Ledger
from tpsd.simulated_lane import SimulatedLane

LANES = 3
# How much there is to do must not depend on how long a busy machine takes to begin a life.
TAPS_A_LIFE = 12  # of one door
WAITING_MAX = 4  # of one door: what waits for a life to begin may be too old for it
SEND_SECONDS = 0.4
AMOUNTS = (250, 250, 250, 320, 0, 90_116, 60_004, 60_012, 60_008, 60_002, 60_009, 80_060, 70_503)
"""Approved, declined, not now, closed before and after the charge, charged and silent, refused, never."""

LADDER = [{"tries": 3, "every_minutes": 0.002}, {"tries": 9, "every_minutes": 0.004}]  # 120 and 240 ms
END_SECONDS = 180.0  # to the end of everything, on a machine that does ten other things meanwhile
SENDS_MAX = 1 + 3 + 9  # a crash takes a rung, it adds none


@dataclass(slots=True)
class Made:
    """A tap as its validator knows it."""

    serial: str
    tapped_at: Micros
    amount: int
    told: list[tuple[int, str | None]] = field(default_factory=list)


class Door:
    """A validator that taps by itself until it is told to stop; its memory outlives every daemon."""

    def __init__(self, number: int, seed: int, kind: TapKind, on_verdict: Callable[[], None]) -> None:
        self._on_verdict = on_verdict
        self._kind = kind
        self.serial = f"VAL{number:05d}"
        self.taps: dict[TapNumber, Made] = {}
        self.master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self.master, False)
        self.path = Path(os.ttyname(self._slave))
        self._rng = random.Random(f"{seed} {number}")
        self._last_at = Micros(0)
        self._validator = SimulatedValidator(serial=self.serial, limit_seconds=None)
        self._lane = SimulatedLane(self._validator, self.master, self._on_event, patient=True)

    @property
    def waiting(self) -> int:
        """Taps without a verdict."""
        return self._validator.waiting

    def start(self) -> None:
        self._lane.start()

    def tap(self) -> None:
        """One tap of any fate."""
        amount = self._rng.choice(AMOUNTS)
        wall = int(datetime.now(UTC).timestamp() * 1000) * 1000
        self._last_at = Micros(max(wall, self._last_at + 1000))
        card = read(
            self._rng.choice(CARDS),
            self._rng,
            amount=amount,
            currency="978",
            tapped_at=self._last_at,
            counter=len(self.taps) + 1,
        )
        made = Made(self.serial, self._last_at, amount)
        number = self._lane.act(
            lambda now: self._validator.tap(
                now,
                card=card,
                tapped_at=made.tapped_at,
                kind=self._kind,
                amount=amount,
                currency="978",
                oda=Oda.GOOD,
            )
        )
        self.taps[number] = made

    def close(self) -> None:
        self._lane.stop()
        os.close(self.master)
        os.close(self._slave)

    def _on_event(self, event: SimulatorEvent) -> None:
        match event:
            case TapVerdict(tap=number, verdict=verdict):
                self.taps[number].told.append((verdict.verdict, verdict.reason))
                self._on_verdict()
            case StrayVerdict(verdict=verdict) if verdict.tap is not None:
                self.taps[verdict.tap].told.append((verdict.verdict, verdict.reason))
            case _:
                return


class World:
    """Everything but the daemon, and the daemon's lives one after another."""

    def __init__(self, folder: Path, seed: int, kind: TapKind, ledger_file: Path, doors: int = LANES) -> None:
        self.folder = folder
        self.rng = random.Random(seed)
        self.on_verdict: Callable[[], None] = lambda: None  # a test's own, changed while it runs
        self.doors = [Door(number, seed, kind, self._verdict) for number in range(1, doors + 1)]
        self.ledger_file = ledger_file
        self.post = PostOffice()
        self.config = folder / "tpsd.toml"
        self.given: dict[str, Any] = {}
        self.lives = 0

    def _verdict(self) -> None:
        self.on_verdict()

    @property
    def taps(self) -> list[Made]:
        return [tap for door in self.doors for tap in door.taps.values()]

    @property
    def verdicts(self) -> int:
        """Taps that have one."""
        return sum(len(door.taps) - door.waiting for door in self.doors)

    def ledger_events(self) -> int:
        """Lines of TPS's ledger."""
        return self.ledger_file.read_bytes().count(b"\n")

    def ledger(self) -> Ledger:
        """TPS's ledger as it stands."""
        return Ledger.load(self.ledger_file)

    @contextlib.asynccontextmanager
    async def daemon(self, within: Sequence[str] = ()) -> AsyncIterator[Running]:
        """One life; killed at the end of the block if it still lives."""
        self.lives += 1
        running = Running(["run", "--config", str(self.config)], self.folder / "daemon.log", within)
        try:
            yield running
        finally:
            running.kill()

    @contextlib.asynccontextmanager
    async def tapping(self, pause: float) -> AsyncIterator[None]:
        """All doors tap, at random moments ``pause`` seconds apart on average, until the block ends.

        Who has tapped as often as there were lives for it waits for the next life, and nobody crowds a door.
        """
        loop = asyncio.get_running_loop()
        timers: dict[Door, asyncio.TimerHandle] = {}

        def tap(door: Door) -> None:
            if door.waiting < WAITING_MAX and len(door.taps) < TAPS_A_LIFE * max(1, self.lives):
                door.tap()
            timers[door] = loop.call_later(self.rng.uniform(0, 2 * pause), tap, door)

        for door in self.doors:
            tap(door)
        try:
            yield
        finally:
            for timer in timers.values():
                timer.cancel()

    def journal(self) -> list[dict[str, Any]]:
        """The taps that the journal holds; when no daemon runs."""
        done = completed("taps", "--config", str(self.config), "--limit", "1000", "--json")
        assert done.returncode == 0, done.stderr
        rows: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])["taps"]
        return rows

    def logged(self, event: str) -> list[dict[str, Any]]:
        """What all lives have logged under this name."""
        lines = (self.folder / "daemon.log").read_text().splitlines()
        entries = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [entry for entry in entries if entry["event"] == event]

    async def all_done(self, running: Running) -> None:
        """Waits until every tap has its verdict and nothing is pending any more."""

        def quiet() -> bool:
            assert running.process.poll() is None, running.said()
            return all(door.waiting == 0 for door in self.doors)

        await until(quiet, "verdicts of all taps", END_SECONDS)
        await until(lambda: self._nothing_pending(running), "the end of all ladders", END_SECONDS)

    async def _nothing_pending(self, running: Running) -> bool:
        assert running.process.poll() is None, running.said()
        try:
            status = await ask(self.folder / "tpsd.sock", "/status")
        except NoDaemonError:  # every tap had its verdict before this life's socket was there
            return False
        states = status["journal"]["states"]
        return not states.get("pending") and not states.get("sending")


@contextlib.asynccontextmanager
async def world(
    folder: Path,
    seed: int,
    kind: TapKind = TapKind.MTT,
    store: Mapping[str, Any] | None = None,
    doors: int = LANES,
) -> AsyncIterator[World]:
    """A world in ``folder`` with taps of one kind; the same seed taps the same and kills at moments drawn alike.

    ``store``: another journal than a file.
    """
    tps_folder = folder / "tps"
    files = make(_made(tps_folder), datetime.now(UTC))
    port = _free_port()
    ledger_file = tps_folder / "ledger.jsonl"
    arguments = ["simulate", "tps", "--listen", f"127.0.0.1:{port}", "--tls-dir", str(tps_folder)]
    tps = Running([*arguments, "--ledger", str(ledger_file)], folder / "tps.log")
    here = World(folder, seed, kind, ledger_file, doors)
    loop = asyncio.get_running_loop()
    smtp = await loop.create_server(lambda: SMTP(here.post), "127.0.0.1", 0)
    try:
        await tps.has_said("listens on")
        _configure(here, files, port, smtp.sockets[0].getsockname()[1], kind, store or {})
        for door in here.doors:
            door.start()
        yield here
    finally:
        tps.kill()
        smtp.close()
        await smtp.wait_closed()
        for door in here.doors:
            door.close()


def _configure(
    here: World, files: Files, tps_port: int, smtp_port: int, kind: TapKind, store: Mapping[str, Any]
) -> None:
    url = f"https://127.0.0.1:{tps_port}"
    given = configuration(here.folder, files, url, smtp_port, [door.path for door in here.doors])
    for lane in given["lanes"]:
        lane["kind"] = kind.name
    changes = {
        "sfey": {"timeout_seconds": SEND_SECONDS},
        "retry": {"tiers": LADDER, "jitter": 0.0},
        "store": dict(store),
    }
    here.given = configurations.changed(given, changes)
    configurations.write(here.folder, here.given)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
