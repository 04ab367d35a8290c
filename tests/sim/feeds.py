"""What TPS does with its deny list in a world, and what goes wrong with the list on its way."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from device.vl1.cards import CARDS
from tpsd.sfey.update_desk import Fault, UpdateDesk

FAULTS: Final[Mapping[str, Fault]] = {
    fault.value: fault
    for fault in Fault
    if fault not in (Fault.ENDLESS, Fault.HUGE)  # these cost only time here
}

CHANGES: Final[Mapping[str, Callable[[UpdateDesk, Sequence[bytes]], None]]] = {
    "insert": lambda desk, tokens: desk.add(tokens),
    "update": lambda desk, tokens: desk.add(tokens, "update"),
    "delete": lambda desk, tokens: desk.lift(tokens),
    "forget": lambda desk, tokens: desk.forget(),
    "replace": lambda desk, tokens: desk.replace(tokens),
}


def drawn(rng: random.Random, _doors: int) -> tuple[Any, ...]:
    """A change and its cards."""
    cards = sorted(rng.sample(range(len(CARDS)), rng.randint(1, 4)))
    return rng.choice(["insert", "insert", "update", "delete", "delete", "forget", "replace"]), *cards


def mend(desk: UpdateDesk) -> None:
    """From now on it answers as it should."""
    desk.fault = lambda _: None
