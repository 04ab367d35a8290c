"""From the lines of a log to what happened: every line once, attempts by number, and one process life after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from sys import intern
from typing import IO, Any, Final

from schemas.taplog import (
    AnyLine,
    Attended,
    Begin,
    End,
    Enquired,
    Exchanged,
    Freed,
    Mailed,
    Ordered,
    Probed,
    Sent,
    Settled,
    Tap,
)
from tpsd.domain.outcome import Answer, CredentialRefused, Exchange, NoAnswer, NoConnection
from tpsd.domain.time import DAY, SECOND, Micros, micros_of
from tpsd.replay.past import BEFORE, LifeOver, Past, Step, Then, step
from tpsd.replay.reading import ReplayError, Skipped, read
from tpsd.sfey.wire import Profile, pick

CRASH: Final = "crash"  # the cause of an attempt that a start found open
N_MAX: Final = 100_000_000  # lines of one process life: years, and a byte of memory each


@dataclass(slots=True)
class _Life:
    """One process life: its first line, its last, and how it began and ended. A place is a time and a number."""

    first: tuple[Micros, int]
    last: tuple[Micros, int]
    begin: tuple[Micros, Begin] | None = None
    in_order: bool = False
    left_open: Micros = BEFORE  # when the last of the attempts began that the life before it left open


def load(files: Sequence[Path], spool: IO[bytes], profile_of: Callable[[Begin], Profile]) -> Past:
    """Read them all. Raises ReplayError where there is nothing to replay, or a card number."""
    reader = _Reader(Past(spool), profile_of)
    for path in files:
        with closing(read(path, reader.past.skipped.append)) as lines:
            for line, text in lines:
                reader.take(line, text)
    return reader.done()


class _Reader:
    def __init__(self, past: Past, profile_of: Callable[[Begin], Profile]) -> None:
        self.past = past
        self._profile_of = profile_of
        self._profile: Profile | None = None
        self._seen: dict[str, bytearray] = {}  # by life, a byte a line
        self._lives: dict[str, _Life] = {}
        self._left_out: set[str] = set()
        self._settled: list[tuple[str, int, Micros, float | None, Step]] = []
        self._sent: list[tuple[str, int, Then]] = []
        self._cache: dict[Any, Any] = {}

    def take(self, line: AnyLine, text: str) -> None:
        past, at = self.past, _when(line)
        if isinstance(line, Begin):
            self._begins(line, at)
            past.configs.append((at, line))
            self._profile = self._profile or self._profile_of(line)
            return
        if not self._is_new(line.life, line.n):
            return  # the same file under two names
        self._lives_on(line, at)
        past.lines += 1
        past.ends_at = max(past.ends_at, at)
        match line:
            case Tap(timed=False):
                self._untimed(line)
            case Tap():
                past.taps.append((at, line.n, past.spool.seek(0, 2)))
                past.spool.write(text.rstrip("\n").encode("ascii") + b"\n")
            case Sent():
                self._take_sent(line, at)
            case Settled():
                self._settled.append((intern(line.uuid), line.number, at, line.jitter, self._once(step_of(line))))
                if line.outcome_cause == CRASH:
                    past.crashed.setdefault(line.uuid, set()).add(line.number)
            case Enquired():
                then = Then(exchange_of(line.exchange), Micros(at - round(line.seconds * SECOND)), at, 0, line.n)
                past.enquiries.setdefault(line.uuid, []).append(then)
            case Probed():
                past.probes.append((at, self._once(exchange_of(line.exchange))))
            case Mailed():
                past.mails.append((at, line.subject))
            case Ordered():
                past.events.append((at, line.n, line))
            case Freed():
                past.draws.setdefault(line.uuid, []).append(line.draw)
                if line.new is not None:
                    past.rebuilt.setdefault(line.uuid, []).append(line.new)
            case Attended():
                for name, count in line.done.items():
                    past.attended[name] += count
            case _:
                pass

    def _untimed(self, line: Tap) -> None:
        """Its verdict was given by a clock that nobody can put back; what became of it is left out too."""
        name = f"tap {line.serial}:{line.boot}:{line.counter} at {line.lane}"
        self.past.skipped.append(Skipped(name, 0, "it was taken before the time was known, and is not replayed"))
        if line.decided is not None and line.decided.uuid is not None:
            self._left_out.add(line.decided.uuid)

    def _begins(self, line: Begin, at: Micros) -> None:
        """A configuration stands at the head of several files, under the number of the line that opened them."""
        if line.why == "file" or not self._is_new(line.life, line.n):
            return
        self._lives_on(line, at)
        if line.why == "reload":
            self.past.events.append((at, line.n, line))
        else:
            self._lives[line.life].begin = (at, line)

    def _lives_on(self, line: AnyLine, at: Micros) -> None:
        place = (at, line.n)
        life = self._lives.setdefault(line.life, _Life(place, place))
        life.first, life.last = min(life.first, place), max(life.last, place)
        life.in_order |= isinstance(line, End)
        if isinstance(line, Settled) and line.outcome_cause == CRASH and line.due and line.wait_seconds is not None:
            began = Micros(micros_of(line.due) - round(line.wait_seconds * SECOND))
            life.left_open = max(life.left_open, began)

    def _order_lives(self) -> None:
        """Where one life follows another, the first ends and the other begins; a crash is behind all that is known."""
        lives = sorted(self._lives.values(), key=lambda life: life.first)
        for life, following in pairwise(lives):
            if following.begin is None or following.first < life.last:
                continue  # two at one time, or one whose head is not there: as if it were the same
            at, begin = following.begin
            over = max(life.last[0], min(following.left_open, at))
            self.past.events.append((over, life.last[1] + 1, LifeOver(life.in_order)))
            self.past.events.append((at, begin.n, begin))

    def _is_new(self, life: str, n: int) -> bool:
        seen = self._seen.setdefault(life, bytearray())
        if n > N_MAX:
            raise ReplayError(f"a life of {n} lines is none that tpsd wrote")
        if len(seen) <= n:
            seen.extend(bytes(n + 1 - len(seen)))
        was, seen[n] = seen[n], 1
        return not was

    def _take_sent(self, line: Sent, at: Micros) -> None:
        began = Micros(at - round(line.seconds * SECOND))
        then = Then(self._once(exchange_of(line.exchange)), began, at, line.number, line.n)
        self._sent.append((intern(line.uuid), line.number, then))
        if line.request is None or line.uuid in self.past.requests:
            return
        self.past.requests[line.uuid] = line.request.model_dump()
        if self._profile is not None:
            initial = pick(line.request.fields, self._profile.fields["initial_uuid"])
            kind = pick(line.request.fields, self._profile.fields["type"])
            self.past.followers.setdefault((str(initial), str(kind)), []).append(line.uuid)

    def done(self) -> Past:
        past = self.past
        if not past.configs:
            raise ReplayError("no line says under which configuration it was written: is this a tap log?")
        if not past.taps:
            raise ReplayError("there is no tap in it: name the files of the lanes too, or their folder")
        for uuid, _, then in sorted(self._sent, key=lambda one: (one[0], one[1], one[2].ended)):
            past.exchanges.setdefault(uuid, []).append(then)
        for uuid, _, _, jitter, came in sorted(self._settled, key=lambda one: one[:3]):
            if came.counts and uuid not in self._left_out:
                past.steps.setdefault(uuid, []).append(came)
            if jitter is not None:
                past.jitter.setdefault(uuid, []).append(jitter)
        self._sent.clear()
        self._settled.clear()
        past.missing = sum(seen.count(0) - 1 for seen in self._seen.values())  # there is no line 0
        past.taps.sort()
        past.configs.sort(key=lambda one: one[0])
        self._order_lives()
        past.events.sort(key=lambda one: one[:2])
        past.mails.sort()
        past.probes.sort(key=lambda one: one[0])
        return past

    def _once(self, value: Any) -> Any:
        """The same object for the same value: most attempts are alike, and there are a hundred thousand."""
        return self._cache.setdefault(value, value)


def _when(line: AnyLine) -> Micros:
    """The schedule clock's time; where that began before the time was known, the wall clock's."""
    at, wall = micros_of(line.at), micros_of(line.wall)
    return at if abs(at - wall) < DAY else wall


def step_of(line: Settled) -> Step:
    """What counts of it."""
    told = None if line.told is None else (line.told.verdict, line.told.reason, line.told.amount)
    return step(line.model_dump(), told)


_EXCHANGES: Final[dict[str, Callable[[str], Exchange]]] = {
    "no_connection": NoConnection,
    "credential_refused": CredentialRefused,
    "no_answer": NoAnswer,
}


def exchange_of(line: Exchanged) -> Exchange:
    """As it was seen on the wire."""
    if line.kind == "answer":
        return Answer(
            line.http or 0,
            line.approved,
            line.action_code,
            line.system_code,
            line.amount,
            line.retry_after,
            line.readable,
        )
    return _EXCHANGES[line.kind](line.cause or "")
