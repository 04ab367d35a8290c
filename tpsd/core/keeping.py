"""What of a card's data stays after the final state: the one place that says so.

PCI DSS 3.3.1 forbids full track, card verification code and PIN data after authorisation, even encrypted; 3.4.1
allows BIN and last four. So of a tap's EMV tags only these stay, for receipts and disputes; the masked card and its
keyed token stand on the row. The cryptogram (9F26) and everything else go with the sealed body.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from device.tlv import Tlv
from tpsd.domain.card import Pan

CardFacts = tuple[tuple[str, str], ...]
"""Names of ``KEPT`` with their values as hex; none of them tells a card from another of its issuer."""

KEPT: Final[tuple[tuple[str, tuple[int, ...]], ...]] = (
    ("aid", (0x84, 0x9F06)),  # the application: the scheme's, not the card's (EMV Book 1, 12.2.3)
    ("tvr", (0x95,)),  # terminal verification results (EMV Book 3, Annex C5)
    ("iad", (0x9F10,)),  # issuer application data (EMV Book 3, Annex C7)
    ("tsi", (0x9B,)),  # transaction status information (EMV Book 3, Annex C6)
    ("arc", (0x8A,)),  # authorisation response code (EMV Book 3, Annex A)
)

BYTES_MAX: Final = 32
"""The longest of them, 9F10 (EMV Book 3, Annex A); a longer value is not one of them, and is left out."""


def card_facts(clear: Iterable[Tlv], pan: Pan | None) -> CardFacts:
    """What stays of clear EMV TLVs, searched in templates too; the first of each, and none that holds the number."""
    items = reversed(tuple(_primitives(clear)))
    found = {item.tag: item.value.hex() for item in items if _may_stay(item.value, pan)}
    values = ((name, next((found[tag] for tag in tags if found.get(tag)), "")) for name, tags in KEPT)
    return tuple((name, value) for name, value in values if value)


def _may_stay(value: bytes, pan: Pan | None) -> bool:
    return len(value) <= BYTES_MAX and (pan is None or pan.reveal() not in value.hex())


def _primitives(items: Iterable[Tlv]) -> Iterable[Tlv]:
    for item in items:
        if item.children is None:
            yield item
        else:
            yield from _primitives(item.children)
