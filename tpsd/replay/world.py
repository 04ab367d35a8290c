"""One replay: the real daemon on a virtual clock, given a log's taps, with TPS and mail server within this process.

There is no thread, no socket and no signal in its loop: whatever asks for one raises. So it reaches nobody.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

import apsw
import structlog

from schemas.config import Configuration, Lane
from schemas.taplog import Begin, Ordered
from tpsd import config as settings
from tpsd.clock import SystemClock, SystemTime
from tpsd.config.keys import read_hex_key
from tpsd.core.byhand import CheckOutOrder, RefundOrder
from tpsd.daemon import Daemon, Ends, World
from tpsd.domain.audit import AuditDraft
from tpsd.domain.notice import MailRow
from tpsd.domain.time import SECOND, Micros
from tpsd.errors import TpsdError
from tpsd.lanes import COMMON_CREDENTIAL, wire_profile
from tpsd.ports import Device
from tpsd.replay.cards import report_of
from tpsd.replay.comparing import Comparison
from tpsd.replay.differences import Difference, by_kind, in_order
from tpsd.replay.lanes import DoorDevice, DoorPort
from tpsd.replay.loop import virtual_loop
from tpsd.replay.past import Order, Past, in_turn, load
from tpsd.replay.reading import Skipped, files_of
from tpsd.replay.recorded import RecordedChance, RecordedTps, RecordedUuids, Turn, TurnedTps
from tpsd.replay.settings import changed, harmless, read_toml
from tpsd.replay.writer import LazyCommit
from tpsd.sfey.direct import DirectLine
from tpsd.sfey.fates import by_amount
from tpsd.sfey.teller import Teller
from tpsd.sfey.wire import DEVICE_V1, Profile, override
from tpsd.store.epochs import KeyFolder
from tpsd.store.housekeeping import Keep
from tpsd.store.seal import KEY_BYTES
from tpsd.store.sqlite import Identity, Secrets, SqliteJournal
from tpsd.store.writer import InlineWriter

LEAD_US = SECOND  # the daemon has started when the first tap comes
AFTER_US = 10_000  # what falls due at the moment of the log's last line is still settled; no rung is as short
CACHE_KIB = 32 * 1024  # of SQLite: the pages of a thousand groups, and what 100,000 taps look up most
WHO = "replay"
TPS = Literal["recorded", "simulate"]
Progress = Callable[[int, int], None]
"""Called with how many taps are done, and how many there are."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be replayed, and how. ``denied``: card tokens (hex) that a deny list holds, whatever it did then."""

    paths: Sequence[Path]
    tps: TPS = "recorded"
    config: Path | None = None
    changes: Sequence[str] = ()
    denied: Sequence[bytes] = ()
    speed: float | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it. ``taps`` were given; ``skipped`` lines were not; ``missing`` were never written."""

    taps: int
    differences: tuple[Difference, ...]
    skipped: tuple[Skipped, ...]
    missing: int

    @property
    def by_kind(self) -> dict[str, int]:
        """How many differences there are of each aspect."""
        return by_kind(self.differences)


def run(asked: Asked, progress: Progress = lambda done, total: None) -> Result:
    """Replay it. Raises ReplayError where that cannot be done."""
    folder = Path(tempfile.mkdtemp(prefix="tpsd-replay-"))
    try:
        with (folder / "spool").open("w+b") as spool, _quiet():
            past = load(files_of(asked.paths), spool, _profile_then)
            values = past.configs[0][1].config if asked.config is None else read_toml(asked.config)
            config = harmless(changed(values, asked.changes), folder)
            return _Replay(asked, past, config, folder, progress).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Replay:
    def __init__(self, asked: Asked, past: Past, config: Configuration, folder: Path, progress: Progress) -> None:
        self._asked = asked
        self._past = past
        self._config = config
        self._folder = folder
        self._progress = progress
        self._profile = wire_profile(config)
        self._doors = {lane.name: DoorDevice() for lane in config.lanes}
        self._loop = virtual_loop(None, None)
        self._loop.passing = self._pace
        self._began = Micros(past.taps[0][0] - LEAD_US)
        self._origin = self._loop.time()
        self._uuids = RecordedUuids(past)
        self._turn = Turn()
        self._denied: set[bytes] = set()
        self._stale = False  # TPS's list, as it was for the tap that comes
        self._lost: dict[str, int] = {}
        self.comparison = Comparison(past, self._profile)

    def run(self) -> Result:
        try:
            self._loop.run_until_complete(self._main())
        finally:
            self._loop.end()
        found = tuple(in_order(self.comparison.finish()))
        unknown = tuple(
            Skipped(f"lane {name}", 0, f"{count} taps of it were not replayed: the configuration has no such lane")
            for name, count in self._lost.items()
        )
        past = self._past
        return Result(len(past.taps) - sum(self._lost.values()), found, (*past.skipped, *unknown), past.missing)

    # --- the world ---

    async def _main(self) -> None:
        config, chance = self._config, RecordedChance(self._past)
        clock = SystemClock(settings.clock_floor(config), self._system_time())
        tps, ask = self._tps(clock)
        kept = settings.keeping(config)
        kek = read_hex_key(config.keys.kek_file, KEY_BYTES, "the key", private=True)
        journal = await SqliteJournal.open(
            settings.store_path(config),
            Identity(config.mode, urlsplit(str(config.sfey.base_url)).netloc, config.operator.company_id),
            Secrets(kek, KeyFolder(config.keys.epoch_dir)),
            Keep(kept.failed_us, kept.held_us, kept.retention_us),
            make_writer=_fast_writer,
        )
        try:
            ends = Ends(
                tps,
                lambda _: _Letterbox(),
                [DoorPort(lane.port, self._doors[lane.name]) for lane in config.lanes],
                frozenset({COMMON_CREDENTIAL, *(one.name for one in config.lanes if one.client_cert_file is not None)}),
                ask if config.sfey.afc_base_url is not None else None,
            )
            world = World(clock, chance, self.comparison, self._uuids, self._device)
            daemon = Daemon(config, world, journal, ends)
            for lane in daemon.lanes:
                lane.list_is_stale = lambda: self._stale
            running = asyncio.create_task(daemon.run(), name="daemon")
            feeding = asyncio.create_task(self._feed(daemon), name="feed")
            await asyncio.wait({running, feeding}, return_when=asyncio.FIRST_COMPLETED)
            if not feeding.done():
                feeding.cancel()
            daemon.stop()
            await running
            feeding.result()
        finally:
            await journal.close()

    def _system_time(self) -> SystemTime:
        loop = self._loop

        def running() -> int:
            return round((loop.time() - self._origin) * SECOND)

        return SystemTime(lambda: Micros(self._began + running()), running, loop.time, lambda: True)

    def _tps(self, clock: SystemClock) -> tuple[TurnedTps, Any]:
        line: Any
        if self._asked.tps == "recorded":
            line = RecordedTps(self._past, clock, self._turn)
        else:
            teller = Teller(by_amount, wall=clock.wall, profile=self._profile)
            seconds = self._config.sfey.timeout_seconds
            line = DirectLine(teller, self._config.operator.company_id, timeout_seconds=seconds)
        return TurnedTps(line, self._profile), line.ask

    def _device(self, section: Lane, config: Configuration, rng: Any) -> Device:
        del config, rng
        return self._doors[section.name]

    def _pace(self, seconds: float) -> None:
        if self._asked.speed is not None:
            time.sleep(seconds / self._asked.speed)

    # --- what happens in it ---

    async def _feed(self, daemon: Daemon) -> None:
        past, total = self._past, len(self._past.taps)
        if self._asked.denied:
            await self._deny(daemon, list(self._asked.denied))
        done = 0
        async with asyncio.TaskGroup() as group:
            people = []
            for at, n, what in in_turn(past.taps, past.orders):
                self._turn.reaches(at, n)
                await self._until(at)
                if isinstance(what, Order):
                    people.append(group.create_task(self._order(daemon, what.line), name="order"))
                    continue
                await self._tap(daemon, at, past.tap(what), what)
                done += 1
                self._progress(done, total)
            self._turn.reaches(inf, 0)
            await self._until(Micros(past.ends_at + AFTER_US))
            for order in people:
                order.cancel()

    async def _until(self, at: Micros) -> None:
        wait = (at - self._began) / SECOND - (self._loop.time() - self._origin)
        if wait > 0:
            await asyncio.sleep(wait)
        await self._loop.quiet()

    async def _tap(self, daemon: Daemon, at: Micros, tap: dict[str, Any], place: int) -> None:
        door = self._doors.get(tap["lane"])
        if door is None:
            self._lost[tap["lane"]] = self._lost.get(tap["lane"], 0) + 1
            return
        decided = tap.get("decided") or {}
        await self._list(daemon, tap["card"].get("token"), listed=bool(decided.get("listed")))
        self._stale = bool(decided.get("list_is_stale"))
        self.comparison.expect(at, tap, place)
        self._uuids.next = _own_uuid(decided)
        door.tap(report_of(tap), can_take_pin=bool(tap.get("can_take_pin")))
        await self._loop.quiet()

    async def _list(self, daemon: Daemon, token: str | None, *, listed: bool) -> None:
        """The deny list holds the card exactly if it did then."""
        if token is None or len(token) != 2 * KEY_BYTES or (name := bytes.fromhex(token)) in self._asked.denied:
            return
        if listed and name not in self._denied:
            self._denied.add(name)
            await self._deny(daemon, [name])
        elif not listed and name in self._denied:
            self._denied.discard(name)
            await daemon.journal.denylist.remove([name], None, AuditDraft(daemon.clock.wall(), WHO, "strike", ""))

    @staticmethod
    async def _deny(daemon: Daemon, tokens: list[bytes]) -> None:
        await daemon.journal.denylist.add(tokens, AuditDraft(daemon.clock.wall(), WHO, "enter", ""))

    @staticmethod
    async def _order(daemon: Daemon, line: Ordered) -> None:
        try:
            if line.order == "checkout":
                order = CheckOutOrder(line.amount or 0, line.currency, line.release)
                await daemon.cashier.check_out(line.subject, order, WHO, WHO)
            else:
                await daemon.cashier.refund(line.subject, RefundOrder(line.amount, line.again), WHO, WHO)
        except TpsdError:
            return  # it was refused then as well, or what would have been sent is missing among the steps


def _own_uuid(decided: dict[str, Any]) -> UUID | None:
    """What the tap's own transaction was called; one that sends another's bytes again has no request of its own."""
    own = decided.get("uuid") is not None and decided.get("request") is not None
    return UUID(decided["uuid"]) if own else None


class _Letterbox:
    """``ports.Postman`` that takes everything and delivers nothing: the witness counts."""

    async def send(self, mail: MailRow, date: Micros) -> None:
        pass


def _fast_writer(connect: Callable[[], apsw.Connection]) -> InlineWriter:
    def connected() -> apsw.Connection:
        connection = connect()
        connection.pragma("synchronous", "off")  # nothing here outlives the process
        connection.pragma("cache_size", -CACHE_KIB)
        return connection

    return InlineWriter(connected, LazyCommit)


def _profile_then(begin: Begin) -> Profile:
    return override(DEVICE_V1, begin.config.get("sfey", {}).get("wire", {}))


@contextmanager
def _quiet() -> Iterator[None]:
    """What the daemon logs is of another day."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)
