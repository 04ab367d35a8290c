"""What a person did by hand, as the journal keeps it."""

from __future__ import annotations

from dataclasses import dataclass

from tpsd.domain.time import Micros


@dataclass(frozen=True, slots=True)
class AuditDraft:
    """A row to write beside a change. ``at`` on the wall clock; ``who`` as ``admin.peer`` names the socket's peer."""

    at: Micros
    who: str
    what: str  # the command: release, resend, close …
    why: str  # the person's own words


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One row as written. ``subject`` is what was changed: a UUID, a card token's source, a file."""

    id: int
    at: Micros
    who: str
    what: str
    subject: str
    why: str
