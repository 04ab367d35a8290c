"""A reader's answer in to 01-02 with the verdict out over a pty, on a lane for MTT."""

from __future__ import annotations

import asyncio
import os
import random
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from device.vivopay.cards import ENCRYPTED_MASTERCARD, varied
from device.vivopay.codes import Status, Text
from device.vivopay.simulator import SimulatedReader
from device.vivopay.simulator_events import Ended, Shown, SimulatorEvent
from tests.bench.ground import daemon_with_stub, until
from tests.bench.verdict import against_echoes, pair
from tpsd.simulated_reader import SimulatedReaderLine

READERS = 8  # so that many taps fit between the seconds that each verdict is to be seen
CARDS = 40  # each
EVERY_SECONDS = 0.02


def run(runs: int) -> None:
    """The baseline echoes a frame of a tap's size over a pty after one SQLite FULL commit."""
    title = f"Verdict of {READERS} ViVOpay readers, {READERS * CARDS} encrypted cards"
    against_echoes(runs, _ours, "01-02 with the verdict", title)


class _Reader:
    """One reader; ``waits`` are milliseconds from its answer's last byte to the last one of its verdict."""

    def __init__(self, number: int, master: int) -> None:
        self.waits: list[float] = []
        self._answered_at = 0.0
        self.reader = SimulatedReader(serial=f"630Z{number:06}", read_seconds=0.0)
        self.line = SimulatedReaderLine(self.reader, master, self._heard, patient=True)

    def hold(self, counter: int) -> None:
        """A card of its own."""
        data = varied(ENCRYPTED_MASTERCARD, {0xDFEE12: b"\xff\xff" + counter.to_bytes(8, "big")})
        assert self.line.act(lambda now: self.reader.tap(data, now))

    def _heard(self, event: SimulatorEvent) -> None:
        match event:
            case Ended(Status.REQUEST_ONLINE):
                self._answered_at = time.perf_counter()
            case Shown(Text.THANK_YOU):
                self.waits.append((time.perf_counter() - self._answered_at) * 1000)
            case Shown():
                raise RuntimeError("a card was not accepted")


async def _ours(seed: int) -> list[float]:
    pairs = [pair() for _ in range(READERS)]
    with TemporaryDirectory(prefix="tpsd-bench-") as folder:
        ports = [os.ttyname(slave) for _, slave in pairs]
        async with daemon_with_stub(Path(folder), ports, lane='protocol = "vivopay"') as daemon:
            running = asyncio.ensure_future(daemon.run())
            readers = [_Reader(number, master) for number, (master, _) in enumerate(pairs)]
            waits = await _cards(readers, random.Random(seed))
            daemon.stop()
            await running
    for master, slave in pairs:
        os.close(master)
        os.close(slave)
    return waits


async def _cards(readers: list[_Reader], rng: random.Random) -> list[float]:
    for one in readers:
        one.line.start()
    for counter in range(CARDS * READERS):
        one = readers[counter % READERS]
        await until(lambda one=one: one.reader.is_waiting, 10)  # type: ignore[misc]
        one.hold(counter)
        await asyncio.sleep(EVERY_SECONDS * rng.uniform(0.5, 1.5))
    await until(lambda: all(len(one.waits) == CARDS for one in readers), 10)
    for one in readers:
        one.line.stop()
    return [wait for one in readers for wait in one.waits]
