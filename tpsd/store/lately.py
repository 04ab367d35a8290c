"""What this gate has told lately, in memory: for the moment in which its database goes away.

A tap that comes again gets its verdict again, and a card that has just been let in is known at the same gate.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, TypeVar

from tpsd.core.candidate import Candidate
from tpsd.core.passback import CardPast, lately
from tpsd.domain.tap import Shown, TapReport, Told
from tpsd.domain.time import Micros

ANSWERS_MAX: Final = 4096  # taps: 64 for each of 64 lanes, 1 MB; a validator has at most two under way
CARDS_MAX: Final = 4096  # as many cards: at 30 a minute and lane more than the longest pass-back of 64 lanes
RIDES_MAX: Final = 8  # of a card: more than any group rides on one

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tap was told; ``shown``: what its passenger had been shown when it said so."""

    number: int
    told: Told
    shown: Shown


class Lately:
    """The last verdicts and rides of one daemon."""

    def __init__(self) -> None:
        self._answers: OrderedDict[tuple[Hashable, ...], Answer] = OrderedDict()
        self._rides: OrderedDict[tuple[str, str], tuple[Micros, ...]] = OrderedDict()

    def answer(self, report: TapReport, digest: bytes) -> Answer | None:
        """Of this very tap."""
        return self._answers.get((report.serial, report.boot, report.counter, digest))

    def past(self, candidate: Candidate) -> CardPast:
        """Of its card, at the lane's group."""
        if candidate.token is None:
            return CardPast()
        rides = self._rides.get((candidate.token, candidate.pass_group), ())
        return lately(candidate.pass_back, candidate.tapped_at, rides)

    def note(self, candidate: Candidate, number: int, told: Told | None, *, rode: bool) -> None:
        """It was told so. ``rode``: and nothing took it back."""
        if told is None:
            return
        report = candidate.report
        if report.tap_id is not None:
            name = (report.serial, report.boot, report.counter, candidate.digest)
            _keep(self._answers, name, Answer(number, told, report.shown), ANSWERS_MAX)
        if candidate.token is not None and told.verdict.accepts and rode:
            card = (candidate.token, candidate.pass_group)
            rides = (*self._rides.get(card, ()), candidate.tapped_at)
            _keep(self._rides, card, rides[-RIDES_MAX:], CARDS_MAX)


def _keep(kept: OrderedDict[K, V], key: K, value: V, most: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > most:
        kept.popitem(last=False)
