"""Pass-back: the same card again at the same place, told from one tap read twice by the times of the taps (design 2).

Only accepted taps count, and only those whose passenger was not turned away after all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tpsd.core.listage import TOO_OLD
from tpsd.domain.tap import Told, Verdict
from tpsd.domain.time import Micros


@dataclass(frozen=True, slots=True)
class PassBack:
    """A lane's rule. Up to ``again_us`` it is the same tap again, up to ``refused_us`` it is refused; 0 and 0 is off.

    ``group_size``: so many more riders may follow on one card within ``again_us``.
    """

    again_us: int = 0
    refused_us: int = 0
    group_size: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.again_us <= self.refused_us or self.group_size < 0:
            raise ValueError("pass-back needs 0 <= again <= refused, and a group of 0 or more")

    @property
    def on(self) -> bool:
        """Whether the lane asks at all."""
        return self.refused_us > 0


OFF = PassBack()


@dataclass(frozen=True, slots=True)
class CardPast:
    """What the journal knows of a card around a tap's own time, in the lane's group.

    ``apart_us``: microseconds to the accepted tap nearest in time, before or after; None where none is near enough
    to matter. ``riders``: accepted taps within ``again_us``. ``unsettled``: anywhere, an authorisation of the card
    is in doubt or waits for its next tap.
    """

    apart_us: int | None = None
    riders: int = 0
    unsettled: bool = False


THE_REST = frozenset({"ok", "expired", "oda", "untokenised"})
"""Reasons of the local checks that come after pass-back; all others come before it (design 2)."""

AGAIN = Told(Verdict.ALREADY_TAPPED, "repeat")
REFUSED = Told(Verdict.DENIED, "pass_back")
ON_A_LIST = Told(Verdict.DENIED, "deny_list")


def lately(rule: PassBack, at: Micros, rides: Sequence[Micros]) -> CardPast:
    """A card's past from the times of its rides."""
    apart = [abs(at - ride) for ride in rides if abs(at - ride) <= rule.refused_us]
    return CardPast(min(apart, default=None), sum(far <= rule.again_us for far in apart))


def joined(one: CardPast, other: CardPast) -> CardPast:
    """A card's past of which two know a part each."""
    apart = [past.apart_us for past in (one, other) if past.apart_us is not None]
    return CardPast(min(apart, default=None), one.riders + other.riders, one.unsettled or other.unsettled)


def judge(rule: PassBack, past: CardPast) -> Told | None:
    """The verdict that pass-back gives, None where the tap is a new one."""
    if not rule.on or past.unsettled or past.apart_us is None:
        return None
    if past.apart_us <= rule.again_us:
        return None if past.riders <= rule.group_size else AGAIN
    return REFUSED if past.apart_us <= rule.refused_us else None


def weigh(local: Told, rule: PassBack, past: CardPast | None, denied: bool, stale_denies: bool = False) -> Told:
    """The local checks' verdict with what only the journal knows put in its place: pass-back, then the rest.

    ``past`` is None where nobody asked for it; ``denied``: the card stands on a deny list; ``stale_denies``: that
    list is too old to let the tap in on its word.
    """
    if local.reason not in THE_REST:
        return local
    again = None if past is None else judge(rule, past)
    if again is not None:
        return again
    if not local.verdict.accepts:
        return local
    if denied:
        return ON_A_LIST
    return TOO_OLD if stale_denies else local
