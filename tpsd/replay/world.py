"""One replay: the real daemon on a virtual clock, given a log's taps, with TPS and mail server within this process.

There is no thread, no socket and no signal in its loop: whatever asks for one raises. So it reaches nobody.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import apsw
import structlog

from schemas.taplog import Begin, Ordered
from tpsd import config as settings
from tpsd.clock import SystemClock, SystemTime
from tpsd.config.keys import read_hex_key
from tpsd.domain.audit import AuditDraft
from tpsd.domain.time import SECOND, Micros
from tpsd.errors import TpsdError
from tpsd.lanes import wire_profile
from tpsd.replay.cards import report_of
from tpsd.replay.comparing import Comparison
from tpsd.replay.differences import Difference, by_kind, in_order
from tpsd.replay.lives import Lives
from tpsd.replay.loading import load
from tpsd.replay.loop import virtual_loop
from tpsd.replay.orders import WHO, order
from tpsd.replay.past import LifeOver, Past, in_turn
from tpsd.replay.reading import Skipped, files_of
from tpsd.replay.recorded import RecordedDraws, RecordedTps, RecordedUuids, Turn, TurnedTps
from tpsd.replay.settings import Asked, Configurations
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
Progress = Callable[[int, int], None]
"""Called with how many taps are done, and how many there are."""


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
            return _Replay(asked, past, Configurations(asked, past, folder), progress).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Replay:
    def __init__(self, asked: Asked, past: Past, configs: Configurations, progress: Progress) -> None:
        self._asked = asked
        self._past = past
        self._configs = configs
        self._config = configs.first
        self._progress = progress
        self._profile = wire_profile(configs.first)
        self._loop = virtual_loop(None, None)
        self._loop.passing = self._pace
        self._began = Micros(past.taps[0][0] - LEAD_US)
        self._origin = self._loop.time()
        self._uuids = RecordedUuids(past)
        self._turn = Turn()
        self._denied: set[bytes] = set()
        self._stale = False  # TPS's list, as it was for the tap that comes
        self._lost: dict[str, int] = {}
        self._lives: Lives
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
        config, time = self._config, self._system_time()
        tps, ask = self._tps(SystemClock(settings.clock_floor(config), time))
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
            heard = (self.comparison, self._uuids, RecordedDraws(self._past))
            self._lives = Lives(self._loop, time, journal, tps, ask, heard, lambda: self._stale)
            self._lives.begin(config)
            await self._feed()
            await self._lives.end()
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

    def _pace(self, seconds: float) -> None:
        if self._asked.speed is not None:
            time.sleep(seconds / self._asked.speed)

    # --- what happens in it ---

    async def _feed(self) -> None:
        past, total = self._past, len(self._past.taps)
        if self._asked.denied:
            await self._deny(list(self._asked.denied))
        done = 0
        async with asyncio.TaskGroup() as group:
            people = []
            for at, n, what in in_turn(past):
                self._turn.reaches(at, n)
                await self._until(at)
                match what:
                    case int():
                        await self._tap(at, past.tap(what), what)
                        done += 1
                        self._progress(done, total)
                    case Ordered():
                        work = order(self._lives.daemon, what)
                        people.append(group.create_task(work, name=f"order to {what.order}"))
                    case Begin():
                        await self._begin(what)
                    case LifeOver():
                        await (self._lives.end() if what.in_order else self._lives.cut())
            self._turn.reaches(inf, 0)
            await self._until(Micros(past.ends_at + AFTER_US))
            for one in people:
                one.cancel()

    async def _begin(self, line: Begin) -> None:
        """Another configuration from now on, or another life."""
        try:
            config = self._configs.of(line)
            if line.why == "reload":
                await self._lives.adopt(config)
            self._config = config
        except TpsdError as exc:
            what = f"{line.why} at {line.at}"
            self._past.skipped.append(Skipped(what, 0, f"its configuration is refused now: {exc}"))
        if line.why == "start":
            self._lives.begin(self._config)

    async def _until(self, at: Micros) -> None:
        wait = (at - self._began) / SECOND - (self._loop.time() - self._origin)
        if wait > 0:
            await asyncio.sleep(wait)
        await self._loop.quiet()
        self._lives.check()

    async def _tap(self, at: Micros, tap: dict[str, Any], place: int) -> None:
        door = self._lives.door(tap["lane"])
        if door is None:
            self._lost[tap["lane"]] = self._lost.get(tap["lane"], 0) + 1
            return
        decided = tap.get("decided") or {}
        await self._list(tap["card"].get("token"), listed=bool(decided.get("listed")))
        self._stale = bool(decided.get("list_is_stale"))
        self.comparison.expect(at, tap, place)
        self._uuids.next = _own_uuid(decided)
        door.tap(report_of(tap), can_take_pin=bool(tap.get("can_take_pin")))
        await self._loop.quiet()

    async def _list(self, token: str | None, *, listed: bool) -> None:
        """The deny list holds the card exactly if it did then."""
        if token is None or len(token) != 2 * KEY_BYTES or (name := bytes.fromhex(token)) in self._asked.denied:
            return
        if listed and name not in self._denied:
            self._denied.add(name)
            await self._deny([name])
        elif not listed and name in self._denied:
            self._denied.discard(name)
            daemon = self._lives.daemon
            await daemon.journal.denylist.remove([name], None, AuditDraft(daemon.clock.wall(), WHO, "strike", ""))

    async def _deny(self, tokens: list[bytes]) -> None:
        daemon = self._lives.daemon
        await daemon.journal.denylist.add(tokens, AuditDraft(daemon.clock.wall(), WHO, "enter", ""))


def _own_uuid(decided: dict[str, Any]) -> UUID | None:
    """What the tap's own transaction was called; one that sends another's bytes again has no request of its own."""
    own = decided.get("uuid") is not None and decided.get("request") is not None
    return UUID(decided["uuid"]) if own else None


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
