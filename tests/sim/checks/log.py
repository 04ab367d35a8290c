"""What the daemon may never have to say of itself: surprises of its own making, and cards."""

from __future__ import annotations

import re
from typing import Final

from tests.sim.checks.base import Checker, Violated
from tests.sim.events import Event, Logged

NEVER: Final = frozenset(
    {
        "answer_undecidable",
        "answer_unwritten",
        "body_undecidable",
        "settled_late",
        "tap_undecidable",
    }
)
_CUT: Final = frozenset({"authorisation_cut", "sends_cut"})
_CUT_BY_A_FULL_DISK_SECONDS: Final = 2.0  # after it has room again: a commit is tried once a second
_DIGITS: Final = re.compile(r"(?<![0-9a-fA-F-])\d{12,19}(?![0-9a-fA-F-])")


class Log(Checker):
    """Every line."""

    def heard(self, event: Event) -> None:
        if isinstance(event, Logged):
            name = event.text.partition(" ")[0]
            if name in NEVER or (name in _CUT and not self._disk_was_full()):
                raise Violated(f"log: {event.text}")
            if _DIGITS.search(event.text):
                raise Violated(f"log: it may hold a card number: {name}")

    def _disk_was_full(self) -> bool:
        """Whether an answer could not be written: an orderly end waits for sends, and not for room on the disk."""
        return self.world.loop.time() < self.world.disk_full_until + _CUT_BY_A_FULL_DISK_SECONDS
