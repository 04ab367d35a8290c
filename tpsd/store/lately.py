"""What this gate has told and asked lately, in memory: for the moment in which its database goes away.

A tap that comes again gets its verdict again, and a card that has just been let in is known at the same gate. A
realtime tap that TPS was asked about is never asked again: one that is older than its lane's time is stale, and of
younger ones this remembers more than all lanes take in that time. Those of a former life the database tells at the
start, which needs it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from tpsd.core.candidate import Candidate
from tpsd.core.passback import CardPast, lately
from tpsd.core.spooling import Remembered
from tpsd.domain.tap import Shown, TapReport, Told
from tpsd.domain.time import Micros

ANSWERS_MAX: Final = 4096  # taps: 64 for each of 64 lanes, 1 MB; a validator has at most two under way
CARDS_MAX: Final = 4096  # as many cards: at 30 a minute and lane more than the longest pass-back of 64 lanes
RIDES_MAX: Final = 8  # of a card: more than any group rides on one
DOUBTS_MAX: Final = 4096  # payments: an outage of TPS in which so many are in doubt has been told of

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

Payment = tuple[str | None, str | None, str, int | None]
"""What a second tap would pay again: card, kind, lane and amount."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tap was told; ``shown``: what its passenger had been shown when it said so.

    ``told`` None: TPS was asked under ``uuid``, and what came of it is not known here.
    """

    number: int
    told: Told | None
    shown: Shown
    uuid: str | None = None


class Lately:
    """The last verdicts and rides of one daemon, what it is asking TPS, and what it is in doubt about."""

    def __init__(self) -> None:
        self._answers: OrderedDict[tuple[Hashable, ...], Answer] = OrderedDict()
        self._rides: OrderedDict[tuple[str, str], tuple[Micros, ...]] = OrderedDict()
        self._under_way: dict[str, Candidate] = {}  # as many as there are lanes
        self._doubts: OrderedDict[str, Payment] = OrderedDict()

    def answer(self, report: TapReport, digest: bytes) -> Answer | None:
        """Of this very tap."""
        return self._answers.get((report.serial, report.boot, report.counter, digest))

    def remembers(self, candidate: Candidate, answer: Answer | None) -> Remembered:
        """For the spool's decision. ``answer``: of this very tap."""
        payment, under_way = payment_of(candidate), self._under_way.values()
        doubtful = next((uuid for uuid, other in self._doubts.items() if other == payment), None)
        return Remembered(
            told=None if answer is None else answer.told,
            asked=answer is not None and answer.told is None,
            past=self._past(candidate),
            under_way=candidate.token is not None and any(self._is_another(other, candidate) for other in under_way),
            doubtful=None if candidate.token is None else doubtful,
        )

    @staticmethod
    def _is_another(one: Candidate, other: Candidate) -> bool:
        return payment_of(one) == payment_of(other) and one.digest != other.digest

    def _past(self, candidate: Candidate) -> CardPast:
        """Of its card, at the lane's group."""
        if candidate.token is None:
            return CardPast()
        rides = self._rides.get((candidate.token, candidate.pass_group), ())
        return lately(candidate.pass_back, candidate.tapped_at, rides)

    def note(
        self, candidate: Candidate, number: int, told: Told | None, *, rode: bool, uuid: str | None = None
    ) -> None:
        """It was told so, or TPS is asked under ``uuid``. ``rode``: and nothing took it back."""
        report = candidate.report
        if (report.tap_id is not None or candidate.realtime) and (told is not None or uuid is not None):
            name = (report.serial, report.boot, report.counter, candidate.digest)
            known = self._answers.get(name)
            if told is not None or known is None or known.told is None:  # an answer may be there before its row is
                _keep(self._answers, name, Answer(number, told, report.shown, uuid), ANSWERS_MAX)
        if candidate.token is not None and told is not None and told.verdict.accepts and rode:
            card = (candidate.token, candidate.pass_group)
            rides = (*self._rides.get(card, ()), candidate.tapped_at)
            _keep(self._rides, card, rides[-RIDES_MAX:], CARDS_MAX)

    def recall(
        self, taps: Iterable[tuple[tuple[Hashable, ...], Answer]], doubts: Iterable[tuple[str, Payment]]
    ) -> None:
        """What the database says of realtime taps, the oldest first; what is known here stands."""
        for name, answer in taps:
            here = self._answers.get(name)
            if here is None or here.told is None:
                _keep(self._answers, name, answer, ANSWERS_MAX)
        for uuid, payment in doubts:
            _keep(self._doubts, uuid, payment, DOUBTS_MAX)

    # --- what TPS is asked ---

    def begin(self, uuid: str, candidate: Candidate) -> None:
        """It is about to be asked."""
        self._under_way[uuid] = candidate

    def show(self, uuid: str | None, shown: Shown) -> None:
        """What a passenger who waits has been shown meanwhile, as the tap says that came again."""
        if uuid is None or uuid not in self._under_way or shown is Shown.NOTHING:
            return
        waits = self._under_way[uuid]
        self._under_way[uuid] = replace(waits, report=replace(waits.report, shown=shown))

    def is_asked(self, uuid: str | None) -> bool:
        """Whether somebody waits for what TPS says under this UUID."""
        return uuid in self._under_way

    def asked(self, uuid: str) -> Candidate | None:
        """What it is asked under this UUID, None where nobody waits for the answer."""
        return self._under_way.get(uuid)

    def end(self, uuid: str) -> Candidate | None:
        """Nobody waits for it any more."""
        return self._under_way.pop(uuid, None)

    @property
    def under_way(self) -> frozenset[str]:
        """The UUIDs."""
        return frozenset(self._under_way)

    @property
    def doubts(self) -> frozenset[str]:
        """The UUIDs of what it is in doubt about."""
        return frozenset(self._doubts)

    def doubt(self, uuid: str, candidate: Candidate) -> None:
        """It may have been charged."""
        _keep(self._doubts, uuid, payment_of(candidate), DOUBTS_MAX)

    def resolve(self, uuid: str) -> None:
        """It was found out."""
        self._doubts.pop(uuid, None)

    def resolve_all(self, candidate: Candidate) -> None:
        """The database knows of no doubt about such a payment."""
        payment = payment_of(candidate)
        for uuid in [uuid for uuid, other in self._doubts.items() if other == payment]:
            del self._doubts[uuid]


def payment_of(candidate: Candidate) -> Payment:
    """What a second tap would pay again."""
    kind = None if candidate.kind is None else candidate.kind.value
    return candidate.token, kind, candidate.lane, candidate.amount


def _keep(kept: OrderedDict[K, V], key: K, value: V, most: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > most:
        kept.popitem(last=False)
