"""What the daemon may never have to say of itself: surprises of its own making, and cards."""

from __future__ import annotations

import re
from typing import Final

from tests.sim.checks.base import Checker, Violated
from tests.sim.events import Event, Logged

NEVER: Final = frozenset(
    {
        "answer_undecidable",
        "body_undecidable",
        "sends_cut",
        "settled_late",
        "tap_undecidable",
    }
)
_DIGITS: Final = re.compile(r"(?<![0-9a-fA-F-])\d{12,19}(?![0-9a-fA-F-])")


class Log(Checker):
    """Every line."""

    def heard(self, event: Event) -> None:
        if isinstance(event, Logged):
            name = event.text.partition(" ")[0]
            if name in NEVER:
                raise Violated(f"log: {event.text}")
            if _DIGITS.search(event.text):
                raise Violated(f"log: it may hold a card number: {name}")
