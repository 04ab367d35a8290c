"""Taps that rest until somebody or something moves them, as people see them. No card data beyond the mask."""

from __future__ import annotations

from dataclasses import dataclass

from tpsd.domain.time import Micros


@dataclass(frozen=True, slots=True)
class RestingCause:
    """All taps of one state and cause: how many, and the sum of their amounts in minor units by currency.

    ``since``: when the hold began, or its oldest tap was taken. ``holding``: new taps of the terminal join.
    ``canary_due`` on the schedule clock, None where none goes.
    """

    cause: str
    count: int
    sums: dict[str, int]
    since: Micros
    holding: bool = False
    canary_due: Micros | None = None
    what_to_do: str = ""


@dataclass(frozen=True, slots=True)
class DoubtRow:
    """A tap nobody knows was charged. ``enquiries`` made so far; ``body_kept``: its bytes still stand sealed."""

    number: int | None
    tap_id: str | None
    uuid: str
    lane: str
    tapped_at: Micros | None
    amount: int
    currency: str
    masked: str | None
    cause: str | None
    attempts: int
    enquiries: int
    enquiry_due: Micros | None
    body_kept: bool
