"""A transaction about which nobody knows whether money moved, while TPS is asked about it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from tpsd.domain.authorisation import State
from tpsd.domain.tap import Kind, Timing
from tpsd.domain.time import Micros


@dataclass(frozen=True, slots=True)
class Enquired:
    """One enquiry whose attempt number is committed.

    ``state`` is the row's, ``in_doubt`` or ``pending``. ``nth`` counts the enquiries since the row came there,
    this one included. ``body_kept``: it could still be sent again. ``doubtful_since`` is the start of the first
    send that may have charged, None where none may have since TPS last said that it never had it. Times on the
    schedule clock.
    """

    uuid: UUID
    number: int
    fence: int
    state: State
    timing: Timing
    cause: str | None
    terminal: str  # type:serial, as causes name it
    nth: int
    body_kept: bool
    doubtful_since: Micros | None
    started_at: Micros
    kind: Kind = Kind.MTT
    amount: int = 0  # minor units that were asked for
    tapped: bool = True  # a passenger's tap led to it
    let_in: bool = False  # the validator let that passenger in, whatever the verdict was
