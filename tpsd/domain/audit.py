"""What a person did by hand, as the journal keeps it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from tpsd.domain.card import PAN_DIGITS_MIN
from tpsd.domain.time import Micros

_UUID: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-f])", re.IGNORECASE)
_DIGITS: Final = re.compile(rf"[0-9](?:[ -]?[0-9]){{{PAN_DIGITS_MIN - 1},}}")


def may_hold_card_number(text: str) -> bool:
    """Whether a person's words hold as many digits as a card number has; those of a UUID do not count."""
    return _DIGITS.search(_UUID.sub("-x-", text)) is not None


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
