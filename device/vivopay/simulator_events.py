"""What the simulated reader tells its owner."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from device.tlv import Tlv


@dataclass(frozen=True, slots=True)
class Activated:
    """It waits for a card, for so many seconds; ``objects`` are what the card is to be asked for."""

    seconds: int
    objects: tuple[Tlv, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Shown:
    """It shows and sounds something: the four numbers of 01-02."""

    text: int
    beep: int
    led: int
    lit: int


@dataclass(frozen=True, slots=True)
class Ended:
    """Its transaction is over with that status; None: cancelled without an answer of its own."""

    status: int | None


@dataclass(frozen=True, slots=True)
class BadCommand:
    """A command arrived damaged, or is not known here."""


SimulatorEvent: TypeAlias = Activated | Shown | Ended | BadCommand
