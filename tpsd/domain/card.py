"""Card data that cannot print itself.

``reveal()`` is the one way out; ``git grep reveal`` is the audit. Everything else masks (PCI DSS 3.4.1:
at most BIN and last four; here first six and last four, one format everywhere).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Never, NewType

CardToken = NewType("CardToken", str)
"""HMAC-SHA256 of the PAN under the SALT key, 64 lower-case hex digits (sfey.md 5)."""

MaskedPan = NewType("MaskedPan", str)
"""``476173******0119``: what may be shown, stored, logged and mailed."""

PAN_DIGITS_MIN = 12  # ISO/IEC 7812-1 allows shorter; no scheme issues one, and masking must hide something
PAN_DIGITS_MAX = 19  # ISO/IEC 7812-1
UNMASKABLE = MaskedPan("****")


def mask(digits: str) -> MaskedPan:
    """First six and last four, the rest starred; ``****`` for anything that is not a plausible PAN."""
    if not (digits.isascii() and digits.isdigit() and PAN_DIGITS_MIN <= len(digits) <= PAN_DIGITS_MAX):
        return UNMASKABLE
    return MaskedPan(f"{digits[:6]}{'*' * (len(digits) - 10)}{digits[-4:]}")


DIGIT_RUN = rf"[0-9](?:[ -]?[0-9]){{{PAN_DIGITS_MIN - 1},}}"
"""A pattern for what could be a PAN in somebody's text, spaced as people space one; longer runs may hold one."""


def mask_run(run: str) -> MaskedPan:
    """What may be shown of a match of DIGIT_RUN."""
    return mask(run.replace(" ", "").replace("-", ""))


def mask_runs(text: str) -> str:
    """The text with every DIGIT_RUN masked."""
    return re.sub(DIGIT_RUN, lambda found: mask_run(found[0]), text)


class Secret:
    """A text that shows itself only through ``reveal()``: not in str, repr, format, pickles or copies to JSON."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself. Every call of this is part of the card data audit."""
        return self._value

    def __str__(self) -> str:
        return "[hidden]"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self})"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((type(self), self._value))

    def __reduce__(self) -> Never:
        raise TypeError(f"{type(self).__name__} cannot be pickled or copied")


class Pan(Secret):
    """A primary account number of 12 to 19 digits (EMV Book 3 Annex A, tag 5A). Raises ValueError otherwise."""

    __slots__ = ()

    def __init__(self, digits: str) -> None:
        if mask(digits) == UNMASKABLE:
            raise ValueError("not a PAN: 12 to 19 digits are needed")  # never the value
        super().__init__(digits)

    @property
    def masked(self) -> MaskedPan:
        """First six, last four."""
        return mask(self._value)

    def __str__(self) -> str:
        return self.masked


class Track2(Secret):
    """Track 2 equivalent data as hex digits with its ``D`` separator (tag 57), without the pad nibble."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, order=True)
class Expiry:
    """The last month a card is good for (tag 5F24, or track 2)."""

    year: int
    month: int

    def is_past(self, year: int, month: int) -> bool:
        """Whether the card had expired by that year and month; it is good to the month's last day."""
        return (year, month) > (self.year, self.month)


@dataclass(frozen=True, slots=True)
class CardReading:
    """What a tap's card data says; each part is None where the reader encrypted it or left it out."""

    pan: Pan | None = field(default=None)
    expiry: Expiry | None = None
    track2: Track2 | None = None
    masked: MaskedPan | None = None
