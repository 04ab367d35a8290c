"""What a verdict looks like to the passenger: text, light, beeps, seconds (links.md, message VERDICT)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from tpsd.core.texts import Catalogue
from tpsd.domain.tap import Told, Verdict

SHOW_SECONDS = 3  # long enough to read two lines, short enough for the next in the queue


class Light(IntEnum):
    """VL1's ``DF8A24``."""

    OFF = 0
    GREEN = 1
    RED = 2
    AMBER = 3


@dataclass(frozen=True, slots=True)
class Display:
    """``text`` holds at most one newline; ``beeps`` short ones, ``long_beep`` one long; ``amount`` as in ``Told``."""

    text: str
    light: Light
    beeps: int
    long_beep: bool
    seconds: int = SHOW_SECONDS
    amount: int | None = None


_BY_VERDICT = {
    Verdict.ACCEPTED: (Light.GREEN, 1, False),
    Verdict.DENIED: (Light.RED, 0, True),
    Verdict.TRY_AGAIN: (Light.AMBER, 2, False),
    Verdict.INSERT_CARD: (Light.AMBER, 2, False),
    Verdict.CHECKED_IN: (Light.GREEN, 1, False),
    Verdict.CHECKED_OUT: (Light.GREEN, 1, False),
    Verdict.CHECK_OUT_AGAIN: (Light.AMBER, 2, False),
    Verdict.CHECK_OUT_FAILED: (Light.RED, 0, True),
    Verdict.ALREADY_TAPPED: (Light.GREEN, 1, False),
    Verdict.OUT_OF_SERVICE: (Light.RED, 0, True),
}

_BELOW = {Verdict.CHECK_OUT_AGAIN: "check_out_again", Verdict.CHECK_OUT_FAILED: "check_out_failed"}


def display(told: Told, catalogue: Catalogue) -> Display:
    """The same for the same verdict and reason, whenever it is shown."""
    below = _BELOW.get(told.verdict)
    text = catalogue.passenger(told.reason) if below is None else catalogue.check_out(told.reason, below)
    return Display(text, *_BY_VERDICT[told.verdict], amount=told.amount)
