"""What a log says happened, in the order and by the names that replay asks for it."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any, Final

from schemas.taplog import (
    Begin,
    Ordered,
)
from tpsd.domain.outcome import Exchange
from tpsd.domain.time import Micros
from tpsd.replay.reading import Skipped

BEFORE: Final = Micros(0)


@dataclass(frozen=True, slots=True)
class Step:
    """What an attempt came to, as far as two runs must agree. ``wait``: seconds to the next one, of its tier."""

    outcome: str
    state: str
    cause: str | None
    wait: float | None
    charged: int | None
    counts: bool  # what an outage put back used no rung, and says nothing
    told: tuple[int, str, int | None] | None


@dataclass(frozen=True, slots=True)
class Then:
    """One exchange: when its request left, and when it had ended.

    ``number``: which attempt's it was, 0 for an enquiry; ``n`` is the number of its line.
    """

    exchange: Exchange
    began: Micros
    ended: Micros
    number: int
    n: int


@dataclass(frozen=True, slots=True)
class LifeOver:
    """A process life ended: in order, or by a crash, after which what was under way was never heard of again."""

    in_order: bool


Event = Ordered | Begin | LifeOver
"""What happens beside taps: an order by hand, a reload or another life's start, or the end of one."""


@dataclass(slots=True)
class Past:
    """Everything but the taps themselves, which stay in ``spool``: ``taps`` says where, in the order they came."""

    spool: IO[bytes]
    taps: list[tuple[Micros, int, int]] = field(default_factory=list)
    configs: list[tuple[Micros, Begin]] = field(default_factory=list)
    exchanges: dict[str, list[Then]] = field(default_factory=dict)
    followers: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    requests: dict[str, dict[str, Any]] = field(default_factory=dict)
    enquiries: dict[str, list[Then]] = field(default_factory=dict)
    probes: list[tuple[Micros, Exchange]] = field(default_factory=list)
    steps: dict[str, list[Step]] = field(default_factory=dict)
    jitter: dict[str, list[float]] = field(default_factory=dict)
    mails: list[tuple[Micros, str]] = field(default_factory=list)
    events: list[tuple[Micros, int, Event]] = field(default_factory=list)
    crashed: dict[str, set[int]] = field(default_factory=dict)  # attempts that no answer came to any more
    draws: dict[str, list[float]] = field(default_factory=dict)
    rebuilt: dict[str, list[str]] = field(default_factory=dict)
    attended: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    skipped: list[Skipped] = field(default_factory=list)
    ends_at: Micros = BEFORE
    lines: int = 0
    missing: int = 0  # lines that were lost when they were to be written, or stand in files that were not given

    def tap(self, offset: int) -> dict[str, Any]:
        """A tap's line, as plain values."""
        self.spool.seek(offset)
        found: dict[str, Any] = json.loads(self.spool.readline())
        return found


def step(fields: dict[str, Any], told: tuple[int, str, int | None] | None) -> Step:
    """From a line's fields."""
    charged = None
    if fields["state"] == "approved":
        charged = fields["approved_amount"] if fields["approved_amount"] is not None else fields["amount"]
    wait = fields["wait_seconds"]
    return Step(
        f"{fields['outcome']} {fields['outcome_cause']}",
        fields["state"],
        fields["cause"],
        None if wait is None else round(wait, 1),
        charged,
        fields["counted"],
        told,
    )


def in_turn(past: Past) -> Iterator[tuple[Micros, int, int | Event]]:
    """Taps, by their place in the spool, and events, in the order in which they came; each with its line's number."""
    waiting = deque(past.events)
    for at, n, offset in past.taps:
        while waiting and waiting[0][:2] < (at, n):
            yield waiting.popleft()
        yield at, n, offset
    yield from waiting
