"""What the world outside was told, by methods that returned, what it handed in, and what time it is there."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, fields

from tests.intake_taps import told_of
from tests.store.builders import NOW
from tpsd.core.intake import Candidate
from tpsd.domain.authorisation import Claimed, State
from tpsd.domain.notice import MailRow
from tpsd.domain.tap import TapReport, Told
from tpsd.domain.time import Micros
from tpsd.ports import Taken


class Contradiction(AssertionError):  # noqa: N818 - what it is called everywhere
    """The journal said something else than before."""


@dataclass(slots=True)
class Ledger:
    """``now``: the schedule clock. ``parts``, ``payloads``: the plain bytes handed in, answered or not."""

    now: Micros = NOW
    parts: dict[tuple[str, str], bytes] = field(default_factory=dict)  # by owner and purpose
    payloads: set[bytes] = field(default_factory=set)
    unanswered: dict[bytes, TapReport] = field(default_factory=dict)  # by the payload's fingerprint
    reports: dict[bytes, TapReport] = field(default_factory=dict)
    told: dict[bytes, Told] = field(default_factory=dict)  # by the journal's digest
    numbers: dict[bytes, int] = field(default_factory=dict)
    requests: dict[str, tuple[str, str, bytes]] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    final: dict[str, State] = field(default_factory=dict)
    mails: dict[str, tuple[str, str]] = field(default_factory=dict)
    delivered: set[str] = field(default_factory=set)
    made: int = 0  # taps, so far
    keys: dict[int, bytes] = field(default_factory=dict)  # wrapped epoch keys as they stood in their folder

    def snapshot(self) -> Ledger:
        """As it is now."""
        return Ledger(**{each.name: copy(getattr(self, each.name)) for each in fields(self)})

    def hand_in(self, candidate: Candidate) -> None:
        """A tap on its way into the journal."""
        self.unanswered[candidate.report.fingerprint] = candidate.report
        if candidate.draft is not None:
            uuid = str(candidate.draft.uuid)
            self.parts[uuid, "body"] = candidate.draft.body or b""
            self.parts[uuid, "tap"] = candidate.card or b""

    def hand_in_undecided(self, report: TapReport) -> None:
        """A tap whose deciding failed."""
        self.unanswered[report.fingerprint] = report
        self.payloads.add(report.payload)

    def tell(self, report: TapReport, digest: bytes, taken: Taken) -> None:
        """The validator's verdict: the same for ever (I1, I10)."""
        told = told_of(taken)  # no tap here is realtime
        _same("verdict", self.told.setdefault(digest, told), told)
        _same("number", self.numbers.setdefault(digest, taken.number), taken.number)
        self.reports[report.fingerprint] = report
        self.unanswered.pop(report.fingerprint, None)

    def send(self, claimed: Claimed) -> None:
        """A request leaves: the same bytes (I2), a higher number (I3), never after a final state (I4)."""
        uuid = str(claimed.uuid)
        request = (claimed.path, claimed.credential, claimed.body)
        _same("request", self.requests.setdefault(uuid, request), request)
        _same("body", self.parts[uuid, "body"], claimed.body)
        self.attempt(uuid, claimed.number)
        if uuid in self.final:
            raise Contradiction(f"{uuid} is sent and was {self.final[uuid].value}")

    def attempt(self, uuid: str, number: int) -> None:
        """An attempt's number leaves."""
        if number <= self.attempts.get(uuid, 0):
            raise Contradiction(f"{uuid} attempt {number} comes after {self.attempts[uuid]}")
        self.attempts[uuid] = number

    def settle(self, uuid: str, state: State) -> None:
        """Commit 3 returned."""
        if state.is_final:
            self.final[uuid] = state

    def mail(self, row: MailRow) -> None:
        """A mail leaves: frozen, and never after it was accepted (I6)."""
        _same("mail", self.mails.setdefault(row.message_id, (row.subject, row.text)), (row.subject, row.text))
        if row.message_id in self.delivered:
            raise Contradiction("a mail that was accepted is sent again")


def _same(what: str, before: object, now: object) -> None:
    if before != now:
        raise Contradiction(f"another {what} than before")
