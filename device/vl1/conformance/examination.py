"""All checks, one after the other, on one line: bytes and times in, findings, bytes to write and a deadline out."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from device.vl1.conformance.bench import Bench, Failed, Script, Unprepared
from device.vl1.conformance.table import CHECKS, Check
from device.vl1.decoder import Decoder
from device.vl1.frames import Frame


class Verdict(StrEnum):
    """What came of one check."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_TRIED = "not tried"  # what it needs could not be had


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's end; ``why`` is empty for what passed."""

    name: str
    rule: str
    verdict: Verdict
    why: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A person is to do this now."""

    wish: str


Event: TypeAlias = Finding | Asked


class Examination:
    """One validator on one line. Times are seconds of one monotonic clock; ``tap_seconds``: the wait for a card."""

    def __init__(self, rng: random.Random, tap_seconds: float, checks: Sequence[Check] = CHECKS) -> None:
        self._bench = Bench(rng, tap_seconds)
        self._decoder = Decoder()
        self._left = list(checks)
        self._check: Check | None = None
        self._script: Script[None] | None = None
        self._until = 0.0
        self._events: list[Event] = []

    @property
    def done(self) -> bool:
        """Whether every check has its finding."""
        return self._check is None and not self._left

    @property
    def device(self) -> str | None:
        """What the validator's last HELLO called it: serial, type, firmware."""
        hello = self._bench.hello
        return None if hello is None else f"{hello.serial} {hello.type_name} {hello.firmware}".strip()

    @property
    def deadline(self) -> float | None:
        """When to call ``tick``, at the latest; None: it is done."""
        if self._check is None:
            return None
        keep_alive = self._bench.keep_alive_at
        return self._until if keep_alive is None else min(self._until, keep_alive)

    def open(self, now: float) -> list[Event]:
        """The line is there: the first check begins."""
        self._bench.now = now
        self._next_check()
        return self._handed_over()

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Bytes came in."""
        self._bench.now = now
        for item in self._decoder.feed(data):
            frame = self._bench.heard(item)
            if frame is not None and self._check is not None:
                self._resume(frame)
        return self._handed_over()

    def tick(self, now: float) -> list[Event]:
        """Does what is due; harmless when nothing is."""
        self._bench.now = now
        keep_alive = self._bench.keep_alive_at
        if keep_alive is not None and now >= keep_alive:
            self._bench.keep_alive()
        if self._check is not None and now >= self._until:
            self._resume(None)
        return self._handed_over()

    def output(self) -> bytes:
        """The bytes to write now; ask after every other call."""
        return self._bench.output()

    def _next_check(self) -> None:
        self._check = self._left.pop(0) if self._left else None
        if self._check is not None:
            self._bench.begin_check()
            self._script = self._check.script(self._bench)
            self._resume(None)

    def _resume(self, frame: Frame | None) -> None:
        if self._script is None or self._check is None:
            return
        try:
            self._until = self._script.send(frame)
        except StopIteration:
            self._found(self._check, Verdict.PASSED)
        except Failed as exc:
            self._found(self._check, Verdict.FAILED, str(exc))
        except Unprepared as exc:
            self._found(self._check, Verdict.NOT_TRIED, str(exc))

    def _found(self, check: Check, verdict: Verdict, why: str = "") -> None:
        self._events += self._asked()
        self._events.append(Finding(check.name, check.rule, verdict, why))
        self._next_check()

    def _asked(self) -> list[Event]:
        asked: list[Event] = [Asked(wish) for wish in self._bench.wishes]
        self._bench.wishes.clear()
        return asked

    def _handed_over(self) -> list[Event]:
        events = [*self._events, *self._asked()]
        self._events.clear()
        return events
