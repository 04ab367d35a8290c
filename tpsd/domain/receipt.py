"""What the journal may still tell of one tap, for its receipt. No card data beyond the mask and ``core.keeping``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from tpsd.domain.authorisation import State
from tpsd.domain.tap import Disposition, Verdict
from tpsd.domain.time import Micros


class By(Enum):
    """Who began a transaction."""

    TAP = "tap"
    HAND = "hand"
    ITSELF = "itself"  # the daemon: what is given back unasked, an old journey closed by a new check-in


@dataclass(frozen=True, slots=True)
class Moved:
    """A transaction beside the tap's: an end of its journey, a refund. ``at`` on the wall clock, minor units.

    ``approved``: what TPS said it approved, where it said so.
    """

    uuid: str
    kind: str
    state: State
    at: Micros
    lane: str
    zone: str | None
    amount: int
    approved: int | None
    by: By


@dataclass(frozen=True, slots=True)
class Travelled:
    """Both ends of a journey; the second as it stands now."""

    number: int
    state: str
    currency: str
    check_in: Moved
    check_out: Moved | None


@dataclass(frozen=True, slots=True)
class Recorded:
    """One tap with its transaction, if it has one. ``tapped_at`` on the wall clock, amounts in minor units.

    ``facts``: hex by the names of ``core.keeping``. ``cause``: the transaction's last answer. ``may_have_charged``: an
    attempt of it was not clean.
    """

    number: int
    tap_id: str | None
    lane: str
    kind: str | None
    tapped_at: Micros
    amount: int | None
    currency: str | None
    masked: str | None
    verdict: Verdict | None
    reason: str
    disposition: Disposition | None
    uuid: str | None
    state: State | None
    cause: str | None
    approved: int | None
    action_code: str | None
    may_have_charged: bool = False
    facts: Mapping[str, str] = field(default_factory=dict)
    journey: Travelled | None = None
    refunds: tuple[Moved, ...] = ()
