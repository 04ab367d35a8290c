"""What TPS does with a tap's requests: one row a story, with its weight. The last fate of a story repeats."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.sim.drawing import chance, one_of
from tpsd.sfey import fates
from tpsd.sfey.fates import Fate

Story = Callable[[random.Random, int], tuple[Fate, ...]]
"""From a source of chance and the tap's amount."""

_DECLINES: Final = ("100", "116", "165", "208", "899")
_SOFT_DECLINES: Final = ("112", "160")
_TAP_REFUSALS: Final = (4, 8, 60, 63)
_TERMINAL_REFUSALS: Final = (11, 22, 41)
_BARE_REFUSALS: Final = (401, 403, 404, 407)
_UNREADABLE: Final[Sequence[Callable[[], Fate]]] = (fates.html, fates.garbage, fates.contradiction)


def _passing(rng: random.Random) -> Fate:
    """A trouble that settles nothing."""
    return rng.choice(
        [
            fates.bare(503),
            fates.bare(500),
            fates.bare(429, retry_after=str(rng.randrange(90))),
            fates.action("911"),
            fates.action("923"),
            fates.system(86, 500),
            fates.in_progress(),
            fates.close_before(),
            fates.never(),
        ]
    )


def _charged_in_silence(rng: random.Random) -> Fate:
    return rng.choice([fates.close_after(), fates.never(charged=True)])


def _end(rng: random.Random) -> Fate:
    return fates.approve() if rng.random() < 0.7 else fates.decline(rng.choice(_DECLINES))


def _troubles(rng: random.Random, _amount: int) -> tuple[Fate, ...]:
    return (*(_passing(rng) for _ in range(rng.randint(1, 5))), _end(rng))


def _late_refusal(rng: random.Random, _amount: int) -> tuple[Fate, ...]:
    """A 4XX after an attempt that may have charged."""
    return _passing(rng), rng.choice([fates.system(rng.choice(_TAP_REFUSALS)), fates.bare(404)])


def _slow(rng: random.Random, _amount: int) -> tuple[Fate, ...]:
    return fates.slow(rng.uniform(0.5, 45.0), _end(rng)), _end(rng)


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of story: how often it is told, and how."""

    weight: float
    story: Story


DEFERRED: Final[Mapping[str, Row]] = {
    "approved": Row(40, lambda _rng, _amount: (fates.approve(),)),
    "declined": Row(8, lambda rng, _amount: (fates.decline(rng.choice(_DECLINES)),)),
    "partly": Row(3, lambda _rng, amount: (fates.partial(amount // 2),)),
    "after troubles": Row(16, _troubles),
    "charged, then told": Row(6, lambda rng, _amount: (_charged_in_silence(rng), fates.approve())),
    "never": Row(6, lambda rng, _amount: (_passing(rng),)),
    "never, any trouble": Row(2, lambda rng, _amount: tuple(_passing(rng) for _ in range(13))),
    "charged and silent": Row(3, lambda rng, _amount: (_charged_in_silence(rng),)),
    "slow": Row(4, _slow),
    "tap refused": Row(4, lambda rng, _amount: (fates.system(rng.choice(_TAP_REFUSALS)),)),
    "terminal refused": Row(0.5, lambda rng, _amount: (fates.system(rng.choice(_TERMINAL_REFUSALS)),)),
    "barely refused": Row(0.5, lambda rng, _amount: (fates.bare(rng.choice(_BARE_REFUSALS)), _end(rng))),
    "redirected": Row(0.3, lambda _rng, _amount: (fates.redirect(), fates.approve())),
    "refused late": Row(3, _late_refusal),
    "unreadable": Row(2, lambda rng, _amount: (rng.choice(_UNREADABLE)(), _end(rng))),
}
"""Deferred taps: MTT and KFT."""


def _late(rng: random.Random, _amount: int) -> tuple[Fate, ...]:
    """About as long as a lane's time, or longer."""
    return fates.slow(rng.uniform(0.5, 14.0), _end(rng)), _end(rng)


_IN_VAIN: Final[Mapping[str, Row]] = {
    "declined": Row(8, lambda rng, _amount: (fates.decline(rng.choice(_DECLINES)),)),
    "wants a PIN": Row(2, lambda rng, _amount: (fates.decline(rng.choice(_SOFT_DECLINES)),)),
    "a trouble": Row(10, lambda rng, _amount: (_passing(rng), _end(rng))),
    "nothing but troubles": Row(6, lambda rng, _amount: tuple(_passing(rng) for _ in range(3))),
    "charged in silence": Row(10, lambda rng, _amount: (_charged_in_silence(rng), fates.approve())),
    "charged and silent": Row(4, lambda rng, _amount: (_charged_in_silence(rng),)),
    "late": Row(8, _late),
    "tap refused": Row(3, lambda rng, _amount: (fates.system(rng.choice(_TAP_REFUSALS)),)),
    "terminal refused": Row(1, lambda rng, _amount: (fates.system(rng.choice(_TERMINAL_REFUSALS)),)),
    "barely refused": Row(1, lambda rng, _amount: (fates.bare(rng.choice(_BARE_REFUSALS)), _end(rng))),
    "refused late": Row(2, _late_refusal),
    "unreadable": Row(3, lambda rng, _amount: (rng.choice(_UNREADABLE)(), _end(rng))),
}
_WELL: Final[Mapping[str, Row]] = {"approved": Row(60, lambda _rng, _amount: (fates.approve(),))}
_PARTLY: Final[Mapping[str, Row]] = {"partly": Row(5, lambda _rng, amount: (fates.partial(amount // 2),))}

TABLES: Final[Mapping[str, Mapping[str, Row]]] = {
    "deferred": DEFERRED,
    "realtime": {**_WELL, **_PARTLY, **_IN_VAIN},
    "check_out": {**_WELL, **_IN_VAIN},
    "in_vain": _IN_VAIN,
    "follower": {**_WELL, **_IN_VAIN},
}
"""By what a tap is. A check-out is approved whole: TPS takes no second one of a check-in, whatever was given back."""


def drawn(seed: int, what: str, tap: int, amount: int) -> tuple[Fate, ...]:
    """One tap's story, by the amount that names it and the amount that it brings."""
    table = TABLES[what]
    names = () if what == "deferred" else (what,)
    name = one_of({name: row.weight for name, row in table.items()}, seed, *names, "story", tap)
    return table[name].story(chance(seed, *names, "fates", tap), amount)
