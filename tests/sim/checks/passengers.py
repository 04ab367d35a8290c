"""Realtime: TPS is asked once and before the verdict, and who was refused and charged is not forgotten (I4, I10)."""

from __future__ import annotations

from collections import Counter
from typing import Final

from device.vl1.codes import ACCEPTING, Shown
from tests.sim.checks.base import Checker, Violated
from tests.sim.events import Event, Sent

_ASKED: Final = """
SELECT a.type, (SELECT x.reason FROM attempt x WHERE x.uuid = a.uuid AND x.number = a.attempt),
       (SELECT count(*) FROM tap t WHERE t.uuid = a.uuid),
       EXISTS (SELECT 1 FROM tap t WHERE t.uuid = a.uuid AND t.verdict IS NULL)
FROM authorisation a WHERE a.uuid = ? AND a.timing = 'realtime'
"""
_ENDS: Final = """
SELECT t.id, t.verdict, t.reason, t.shown, t.uuid, a.type, a.state
FROM tap t JOIN authorisation a USING (uuid)
WHERE a.timing = 'realtime'
"""
_TOLD: Final = """
SELECT 1 FROM notice
WHERE (uuid = ?1 OR tap = ?2) AND kind IN ('unseen', 'in_doubt', 'alarm') AND mail IS NOT NULL
UNION ALL
SELECT 1 FROM notice n JOIN authorisation f USING (uuid)
WHERE f.initial_uuid = ?1 AND n.kind <> 'body_goes' AND n.mail IS NOT NULL LIMIT 1
"""
_PAYS_FOR_ANOTHER: Final = "SELECT 1 FROM tap WHERE uuid = ? AND verdict IN (1, 5) LIMIT 1"
_BY_HAND: Final = """
SELECT 1 FROM audit JOIN authorisation f ON f.uuid = ?
WHERE instr(subject, f.uuid) OR instr(subject, f.initial_uuid) LIMIT 1
"""


class Passengers(Checker):
    """By what was sent while they stood there, and by TPS's books at the end."""

    def __init__(self, *given: object) -> None:
        super().__init__(*given)  # type: ignore[arg-type]
        self._sent: Counter[str] = Counter()

    def heard(self, event: Event) -> None:
        if isinstance(event, Sent):
            for asked in self.world.eye.rows(_ASKED, event.uuid):
                self._leaves(event.uuid, *asked)

    def _leaves(self, uuid: str, kind: str, reason: str, taps: int, waiting: int) -> None:
        self._sent[uuid] += 1
        if reason == "tap" and not waiting:
            raise Violated(f"I4: {uuid} is sent, and its passenger has a verdict")
        allowed = taps if kind == "RETAIL_CHECK_OUT" and reason == "tap" else 1
        if self._sent[uuid] > allowed:
            raise Violated(f"I4: {uuid} is a {kind} sent {self._sent[uuid]} times, by {taps} taps")

    def finish(self) -> None:
        for tap in self.world.eye.rows(_ENDS):
            self._judge(*tap)

    def _judge(self, tap: int, verdict: int | None, reason: str, shown: int, uuid: str, kind: str, state: str) -> None:
        charged = self._charged(uuid)
        accepted = verdict in ACCEPTING
        if accepted and (charged is None or state != "approved"):
            raise Violated(f"I10: tap {tap} was let in by {uuid}, which is {state}; TPS says {charged}")
        if charged is not None and state not in ("approved", "in_doubt"):
            raise Violated(f"I10: TPS charged {uuid}, and it is {state}")
        refused = shown == Shown.TURNED_AWAY or (not accepted and shown != Shown.LET_IN)
        if refused and charged and kind != "RETAIL_CHECK_OUT" and not self._is_known(uuid, tap):
            raise Violated(f"I10: {uuid} is {state}, its passenger got {reason}, and TPS keeps {charged} of theirs")
        if shown == Shown.LET_IN and not accepted and charged is None and not self._is_known(uuid, tap):
            raise Violated(f"I10: tap {tap} was let in by its validator, {uuid} is {state}, and nobody was told")

    def _charged(self, uuid: str) -> int | None:
        """What TPS keeps of it, None where it never charged."""
        ledger = self.world.ledger
        return ledger.charged(uuid) if any(charge.uuid == uuid for charge in ledger.charges()) else None

    def _is_known(self, uuid: str, tap: int) -> bool:
        """Whether a person was told of it or of its refund, or settled it; or it let the same card in later."""
        rows = self.world.eye.rows
        return bool(rows(_TOLD, uuid, tap) or rows(_BY_HAND, uuid) or rows(_PAYS_FOR_ANOTHER, uuid))
