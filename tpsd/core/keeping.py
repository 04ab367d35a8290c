"""What of a card's data stays after the final state: the one place that says so.

PCI DSS 3.3.1 forbids full track, card verification code and PIN data after authorisation, even encrypted; 3.4.1
allows BIN and last four. So of a tap's EMV tags only these stay, for receipts and disputes; the masked card and its
keyed token stand on the row. The cryptogram (9F26) and everything else go with the sealed body.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from device.tlv import Tlv
from tpsd.domain.card import Pan
from tpsd.emv.reading import primitives

CardFacts = tuple[tuple[str, str], ...]
"""Names of ``KEPT`` with their values as hex; none of them tells a card from another of its issuer."""

KEPT: Final[tuple[tuple[str, tuple[int, ...]], ...]] = (
    ("aid", (0x84, 0x9F06)),  # the application: the scheme's, not the card's (EMV Book 1, 12.2.3)
    ("tvr", (0x95,)),  # terminal verification results (EMV Book 3, Annex C5)
    ("iad", (0x9F10,)),  # issuer application data (EMV Book 3, Annex C7)
    ("tsi", (0x9B,)),  # transaction status information (EMV Book 3, Annex C6)
    ("arc", (0x8A,)),  # authorisation response code (EMV Book 3, Annex A)
)

BYTES_MAX: Final[Mapping[str, int]] = {"aid": 16, "tvr": 5, "iad": 32, "tsi": 2, "arc": 2}
"""The longest value of each (EMV Book 3, Annex A); a longer one is something else in its place, and is left out."""


def card_facts(clear: Iterable[Tlv], pan: Pan | None) -> CardFacts:
    """What stays of clear EMV TLVs, searched in templates too; the first of each, and none that holds the number."""
    found: dict[int, str] = {}
    for item in primitives(clear):
        if _may_stay(item, pan):
            found.setdefault(item.tag, item.value.hex())
    values = ((name, next((found[tag] for tag in tags if tag in found), "")) for name, tags in KEPT)
    return tuple((name, value) for name, value in values if value)


def _may_stay(item: Tlv, pan: Pan | None) -> bool:
    return 0 < len(item.value) <= _LONGEST.get(item.tag, 0) and (pan is None or not _holds(item.value, pan))


def _holds(value: bytes, pan: Pan) -> bool:
    """As the nibbles of a BCD field, wherever they begin, or as text."""
    digits = pan.reveal()
    return digits in value.hex() or digits.encode("ascii") in value


_LONGEST: Final = {tag: BYTES_MAX[name] for name, tags in KEPT for tag in tags}
