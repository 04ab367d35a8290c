"""I7 as far as a process can see: what is final has no sealed card data, and nothing on the disk is in clear."""

from __future__ import annotations

from typing import Final

from device.vl1.cards import CARDS
from tests.sim.checks.base import Checker, Violated
from tests.sim.events import Committed, Event
from tpsd.domain.time import DAY, HOUR
from tpsd.store.housekeeping import EPOCH_US, REWRAP_AFTER_US

_KEPT: Final = """
SELECT s.owner, s.purpose, a.state FROM sealed s JOIN authorisation a ON a.uuid = s.owner
WHERE a.state IN ('approved', 'declined', 'tap_refused', 'failed', 'not_charged', 'closed') LIMIT 1
"""
_REALTIME: Final = """
SELECT s.owner, s.purpose, a.type, a.state FROM sealed s JOIN authorisation a ON a.uuid = s.owner
WHERE a.timing = 'realtime' AND NOT (a.type = 'RETAIL_CHECK_OUT' AND a.state IN ('sending', 'awaiting_tap')) LIMIT 1
"""
_RESTED: Final = """
SELECT s.owner, a.state, a.ran_rested FROM sealed s JOIN authorisation a ON a.uuid = s.owner
WHERE a.state IN ('permanently_failed', 'in_doubt') AND a.ran_rested < ?
"""
_EPOCHS: Final = "SELECT number, ran_opened, ran_closed FROM epoch WHERE destroyed = 0"
_RAN: Final = "SELECT value FROM meta WHERE key = 'ran_us'"
_EVERY: Final = 8  # commits between two looks


class Secrets(Checker):
    """Looks at the journal now and then, and at every byte of the disk at the end."""

    _commits = 0

    def heard(self, event: Event) -> None:
        if isinstance(event, Committed):
            self._commits += 1
            if self._commits % _EVERY == 0:
                self._look()

    def finish(self) -> None:
        self._look()
        ran = self.world.eye.one(_RAN) or 0
        for number, opened, closed in self.world.eye.rows(_EPOCHS):
            if ran - opened > EPOCH_US + HOUR and closed is None:
                raise Violated(f"I7: epoch {number} takes bodies since {(ran - opened) / HOUR:.0f} h")
            if closed is not None and ran - closed > REWRAP_AFTER_US + HOUR:
                raise Violated(f"I7: the key of epoch {number} stands {(ran - closed) / HOUR:.0f} h after it closed")
        kept_us = self.world.plan.style.keep_failed_days * DAY
        for owner, state, rested in self.world.eye.rows(_RESTED, ran - kept_us - HOUR):
            raise Violated(f"I7: {owner} is {state} for {(ran - rested) / DAY:.1f} days, and its body is still there")
        for name, content in self.world.disk.files.items():
            for card in CARDS:
                packed = bytes.fromhex(card.pan + "F" * (len(card.pan) % 2))
                if card.pan.encode() in content or packed in content:
                    raise Violated(f"I7: {name} holds a card number in clear")

    def _look(self) -> None:
        for owner, purpose, state in self.world.eye.rows(_KEPT):
            raise Violated(f"I7: {owner} is {state}, and its {purpose} is still there")
        for owner, purpose, kind, state in self.world.eye.rows(_REALTIME):
            raise Violated(f"I7: {owner} is a {kind} that is {state}, never sent again, and its {purpose} is there")
