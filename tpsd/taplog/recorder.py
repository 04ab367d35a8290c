"""The tap log's writer: hears as a witness, and writes in a thread of its own. It is never waited for.

What cannot be queued or written is lost and counted; a tap is worth more than its line.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, Final
from uuid import UUID, uuid4

import structlog

from schemas.taplog import VERSION
from tpsd.asking import Answered
from tpsd.core.candidate import Candidate
from tpsd.core.settlement import Settlement
from tpsd.core.trouble import Trouble
from tpsd.domain.authorisation import Claimed
from tpsd.domain.notice import MailRow
from tpsd.domain.outcome import Exchange, Outcome
from tpsd.domain.picture import TapLogFacts
from tpsd.domain.tap import TapReport
from tpsd.domain.time import SECOND, Micros, iso_micros
from tpsd.ports import Clock, Taken
from tpsd.taplog import lines
from tpsd.taplog.folder import Folder
from tpsd.taplog.guard import holds_number, masked
from tpsd.taplog.lines import Fields, Outline

QUEUE_LINES_MAX: Final = 20_000  # lines: 20 s of a drain, longer than a part takes to compress; about 60 MB
BATCH_LINES_MAX: Final = 500  # lines between two looks at the queue: one write a file
CLOSE_SECONDS: Final = 5.0  # how long the end waits for what is queued; a hung disk must not keep the process

log = structlog.get_logger("tpsd.taplog")


@dataclass(frozen=True, slots=True)
class _Said:
    """One event as it was said; its fields are made in the thread."""

    n: int
    at: Micros
    wall: Micros
    mono: float
    lane: str | None
    fields: Callable[[], Fields]


class TapLog:
    """``witness.Witness`` into a folder. ``start`` before the first event, ``close`` after the last."""

    def __init__(self, folder: Folder, clock: Clock, outline: Outline, *, queue_max: int = QUEUE_LINES_MAX) -> None:
        self._folder = folder
        self._clock = clock
        self._outline = outline
        self._queue_max = queue_max
        self._life = str(uuid4())
        self._n = 0
        self._queue: deque[_Said] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._head: Fields = {}
        self._begun = ""  # the last such line
        self._written = self._lost = 0
        self._cause: str | None = None
        self._trouble = Trouble()
        self._thread = threading.Thread(target=self._run, name="tap log", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self) -> None:
        """Write what is queued and the life's end; whatever the disk does, within CLOSE_SECONDS."""
        self._say(None, self._end)
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread.ident is not None:
            self._thread.join(CLOSE_SECONDS)

    def facts(self) -> TapLogFacts:
        """Now."""
        return TapLogFacts(self._written, self._lost, self._cause)

    def configured(self, why: str, version: str, digest: str, config: Mapping[str, Any]) -> None:
        """Under what the following happens; ``config`` holds no secret."""
        head = {"event": "begin", "version": version, "config_digest": digest, "config": dict(config)}
        self._say(None, lambda: {**head, "why": why})

    # --- the witness ---

    def took(self, candidate: Candidate, taken: Taken, now: Micros, *, can_take_pin: bool) -> None:
        """See ``witness.Witness``."""
        fields = partial(lines.tap, candidate, taken, self._outline, can_take_pin=can_take_pin)
        self._say(candidate.lane, fields, now)

    def rejected(self, report: TapReport, lane: str, digest: bytes, taken: Taken, *, timed: bool) -> None:
        """See ``witness.Witness``."""
        self._say(lane, partial(lines.rejected, report, lane, digest, taken, timed=timed))

    def sent(self, claimed: Claimed, exchange: Exchange, seconds: float) -> None:
        """See ``witness.Witness``."""
        self._say(None, partial(lines.sent, claimed, exchange, seconds, self._outline))

    def settled(self, claimed: Claimed, outcome: Outcome, settlement: Settlement, jitter: float | None) -> None:
        """See ``witness.Witness``."""
        self._say(None, partial(lines.settled, claimed, outcome, settlement, jitter))

    def answered(self, claimed: Claimed, outcome: Outcome, answered: Answered) -> None:
        """See ``witness.Witness``."""
        self._say(None, partial(lines.answered, claimed, outcome, answered))

    def enquired(self, uuid: UUID, exchange: Exchange, seconds: float) -> None:
        """See ``witness.Witness``."""
        self._say(None, partial(lines.enquired, uuid, exchange, seconds))

    def probed(self, host: str, exchange: Exchange) -> None:
        """See ``witness.Witness``."""
        self._say(None, partial(lines.probed, host, exchange))

    def mailed(self, mail: MailRow) -> None:
        """See ``witness.Witness``."""
        self._say(None, partial(lines.mailed, mail))

    def linked(self, lane: str, state: str, reason: str, serial: str | None) -> None:
        """See ``witness.Witness``."""
        self._say(lane, partial(lines.linked, lane, state, reason, serial))

    def ordered(self, order: str, subject: str, who: str, given: Mapping[str, object]) -> None:
        """See ``witness.Witness``."""
        self._say(None, partial(lines.ordered, order, subject, who, dict(given)))

    def freed(self, uuid: str, draw: float, new: str | None) -> None:
        """See ``witness.Witness``."""
        self._say(None, partial(lines.freed, uuid, draw, new))

    def attended(self, done: Mapping[str, int]) -> None:
        """See ``witness.Witness``."""
        self._say(None, partial(lines.attended, dict(done)))

    # --- on the loop ---

    def _say(self, lane: str | None, fields: Callable[[], Fields], at: Micros | None = None) -> None:
        self._n += 1
        clock = self._clock
        now = clock.schedule() if at is None else at
        said = _Said(self._n, now, clock.wall(), clock.monotonic(), lane, fields)
        with self._wake:
            if len(self._queue) >= self._queue_max:
                self._lost += 1
                self._cause = f"{self._queue_max} lines wait to be written"
                return
            self._queue.append(said)
            self._wake.notify()

    def _end(self) -> Fields:
        return {"event": "end", "lost": self._lost}

    # --- in the thread ---

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._queue and not self._closing:
                    self._wake.wait()
                batch = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_LINES_MAX))]
            if not batch:
                self._folder.close()
                return
            self._write(batch)

    def _write(self, batch: list[_Said]) -> None:
        """All of it, or what can be: by day and lane, in order."""
        made = [(said, line) for said in batch if (line := self._line(said)) is not None]
        while made:
            day = _day(made[0][0].wall)
            alike = [one for one in made if _day(one[0].wall) == day]
            made = [one for one in made if _day(one[0].wall) != day]
            for lane in dict.fromkeys(said.lane for said, _ in alike):
                self._append(day, lane, [one for one in alike if one[0].lane == lane])

    def _append(self, day: date, lane: str | None, some: list[tuple[_Said, str]]) -> None:
        try:
            self._folder.turn_to(day)
            self._folder.append(lane, [*self._heading(lane, some[0]), *(line for _, line in some)])
        except OSError as exc:
            self._fail(len(some), exc.strerror or type(exc).__name__)
            return
        self._written += len(some)
        self._cause = None
        if (times := self._trouble.over(self._clock.monotonic())) is not None:
            log.info("tap_log_goes_on", lost=self._lost, times=times)
        if self._folder.untidy:
            self._tidy()

    def _tidy(self) -> None:
        try:
            self._folder.tidy()
        except OSError as exc:  # nothing is lost by it, and the next turn tries again
            log.error("tap_log_untidy", why=exc.strerror or type(exc).__name__)

    def _heading(self, lane: str | None, first: tuple[_Said, str]) -> list[str]:
        """A file begins with what its lines happened under."""
        said, line = first
        if not self._head or not self._folder.is_new(lane) or line == self._begun:
            return []
        return [self._dumped(said, {**self._head, "why": "file"})]

    def _line(self, said: _Said) -> str | None:
        """None for what could not be made, or what holds a number all the same: it is lost, and nobody hurt."""
        try:
            fields = said.fields()
            line = self._dumped(said, fields)
            if fields["event"] == "begin":
                self._head, self._begun = fields, line
        except Exception as exc:  # a surprise in making one line costs that line
            self._fail(1, type(exc).__name__)
            return None
        if holds_number(line):
            self._fail(1, "a line held what could be a card number")
            return None
        return line

    def _dumped(self, said: _Said, fields: Fields) -> str:
        stamp = {
            "v": VERSION,
            "event": fields["event"],
            "life": self._life,
            "n": said.n,
            "at": iso_micros(said.at),
            "wall": iso_micros(said.wall),
            "mono": round(said.mono, lines.SECONDS_DIGITS),
        }
        return json.dumps(masked({**stamp, **fields}), separators=(",", ":"), ensure_ascii=True)

    def _fail(self, count: int, why: str) -> None:
        with self._wake:
            self._lost += count
        self._cause = why
        if (times := self._trouble.happened(self._clock.monotonic(), why)) is not None:
            log.error("tap_log_lost", why=why, lost=self._lost, times=times)


def _day(wall: Micros) -> date:
    return datetime.fromtimestamp(wall // SECOND, UTC).date()
