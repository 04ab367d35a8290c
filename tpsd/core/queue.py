"""What waits on the ladder, as people read it: by tier and by how many sends were made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from tpsd.domain.authorisation import Ladder
from tpsd.domain.picture import RungCount
from tpsd.domain.time import MINUTE, Micros


@dataclass(frozen=True, slots=True)
class Rung:
    """One line of the queue. ``tier`` 0 is the first send, 1 the ladder's first tier.

    ``every_minutes``: the tier's, None for a first send. Times on the schedule clock.
    """

    tier: int
    sends: int
    every_minutes: float | None
    count: int
    next_due: Micros
    oldest: Micros


def rungs(counts: Iterable[RungCount]) -> tuple[Rung, ...]:
    """The queue in the ladder's order; rows of several ladders share a line where tier and sends are the same."""
    lines: defaultdict[tuple[int, int, float | None], list[RungCount]] = defaultdict(list)
    for count in counts:
        tier, every_us = tier_of(count.ladder, count.sends)
        lines[tier, count.sends, None if every_us is None else every_us / MINUTE].append(count)
    ordered = sorted(lines.items(), key=lambda line: (line[0][0], line[0][1], line[0][2] or 0))
    return tuple(
        Rung(
            tier,
            sends,
            every_minutes,
            sum(count.count for count in counted),
            min(count.next_due for count in counted),
            min(count.oldest for count in counted),
        )
        for (tier, sends, every_minutes), counted in ordered
    )


def tier_of(ladder: Ladder, sends: int) -> tuple[int, int | None]:
    """The tier of the next send after ``sends`` of them, and its pause; a send beyond the ladder is its last's."""
    if sends == 0 or not ladder:
        return 0, None
    past = 0
    for number, tier in enumerate(ladder, start=1):
        past += tier.tries
        if sends <= past:
            return number, tier.every_us
    return len(ladder), ladder[-1].every_us
