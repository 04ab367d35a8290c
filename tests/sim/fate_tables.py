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

TABLES: Final[Mapping[str, Mapping[str, Row]]] = {"deferred": DEFERRED}
"""By what a tap's timing is."""


def drawn(seed: int, timing: str, amount: int) -> tuple[Fate, ...]:
    """One tap's story."""
    table = TABLES[timing]
    name = one_of({name: row.weight for name, row in table.items()}, seed, "story", amount)
    return table[name].story(chance(seed, "fates", amount), amount)
