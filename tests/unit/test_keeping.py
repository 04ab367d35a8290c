"""What of a card's data stays for receipts: the listed tags, as long as they may be, and none that holds the number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.tlv import Tlv
from tests.card_search import findings
from tests.intake_taps import ENCRYPTED, TTK, VISA, prepared, report
from tpsd.core.keeping import BYTES_MAX, KEPT, card_facts
from tpsd.domain.card import Pan

PAN = Pan(VISA)
AID, TVR, IAD, TSI, ARC = "a0000000031010", "0000008001", "06011203a00000", "e800", "3030"
GOOD = (
    Tlv(0x84, bytes.fromhex(AID)),
    Tlv(0x95, bytes.fromhex(TVR)),
    Tlv(0x9F10, bytes.fromhex(IAD)),
    Tlv(0x9B, bytes.fromhex(TSI)),
    Tlv(0x8A, bytes.fromhex(ARC)),
)
ALL = (("aid", AID), ("tvr", TVR), ("iad", IAD), ("tsi", TSI), ("arc", ARC))

# What PCI DSS 3.3.1 forbids after authorisation, what tells one card from another, and what nobody needs.
FORBIDDEN = (
    Tlv(0x57, bytes.fromhex(f"{VISA}D31122011758928889")),
    Tlv(0x5A, bytes.fromhex(VISA)),
    Tlv(0x5F24, bytes.fromhex("311231")),
    Tlv(0x5F20, b"CARDHOLDER/VISA"),
    Tlv(0x5F34, b"\x01"),
    Tlv(0x56, b"B" + VISA.encode() + b"^CARDHOLDER/VISA^3112"),
    Tlv(0x9F26, bytes.fromhex("11223344aabbccdd")),
    Tlv(0x9F36, b"\x00\x2a"),
    Tlv(0x9F6B, bytes.fromhex(f"{VISA}D3112201")),
    Tlv(0x99, bytes(8)),
    Tlv(0x9F1F, b"1758928889"),
)


def test_the_listed_tags_stay_in_their_order() -> None:
    assert card_facts(GOOD, PAN) == ALL
    assert card_facts(reversed(GOOD), None) == ALL
    assert tuple(name for name, _ in KEPT) == tuple(BYTES_MAX)


def test_nothing_else_does() -> None:
    assert card_facts(FORBIDDEN, PAN) == ()
    assert card_facts((*FORBIDDEN, *GOOD), PAN) == ALL
    assert card_facts((), PAN) == ()


def test_templates_are_searched_and_the_first_of_each_counts() -> None:
    other = Tlv(0x95, bytes(5))
    assert card_facts((Tlv.template(0x70, (Tlv.template(0x77, GOOD),)), other), PAN) == ALL
    assert dict(card_facts((other, *GOOD), PAN))["tvr"] == "0000000000"


def test_the_dedicated_file_name_goes_before_the_terminals_application_id() -> None:
    terminal = Tlv(0x9F06, bytes.fromhex("a0000000041010"))
    assert card_facts((terminal,), PAN) == (("aid", "a0000000041010"),)
    assert card_facts((terminal, *GOOD), PAN) == ALL


@pytest.mark.parametrize(
    "value",
    [
        bytes.fromhex(VISA),
        bytes.fromhex(f"0{VISA}f"),
        bytes.fromhex(f"{VISA}d3112201"),
        VISA.encode(),
        b"*" + VISA.encode() + b"*",
    ],
    ids=["BCD", "half a byte later", "track 2", "text", "inside a text"],
)
def test_a_value_that_holds_the_number_does_not_stay(value: bytes) -> None:
    held = Tlv(0x9F10, value)
    assert card_facts((held,), PAN) == ()
    assert card_facts((held, *GOOD), PAN) == ALL, "the next one of that tag does"


@pytest.mark.parametrize(("name", "tags"), KEPT)
def test_a_value_longer_than_its_tag_allows_is_something_else(name: str, tags: tuple[int, ...]) -> None:
    for tag in tags:
        assert card_facts((Tlv(tag, b"\x01" * BYTES_MAX[name]),), PAN) == ((name, "01" * BYTES_MAX[name]),)
        assert card_facts((Tlv(tag, b"\x01" * (BYTES_MAX[name] + 1)),), PAN) == ()
        assert card_facts((Tlv(tag, b""),), PAN) == ()


numbers = st.sampled_from([bytes.fromhex(VISA), VISA.encode()])
some = st.binary(max_size=8)
leaves = st.builds(
    Tlv,
    st.sampled_from([tag for _, tags in KEPT for tag in tags] + [item.tag for item in FORBIDDEN]),
    st.binary(max_size=40) | st.tuples(some, numbers, some).map(b"".join),
)


@given(st.lists(leaves, max_size=12))
def test_no_card_data_stays_whatever_a_tap_holds(items: list[Tlv]) -> None:
    kept = card_facts(items, PAN)
    assert findings("kept", repr(kept).encode(), [VISA]) == []
    assert [name for name, _ in kept] == [name for name, _ in KEPT if name in dict(kept)]
    for name, value in kept:
        assert len(value) <= 2 * BYTES_MAX[name]
        assert any(value == item.value.hex() for item in items if item.tag in dict(KEPT)[name])


def test_a_tap_keeps_them_in_clear_and_encrypted_modes_alike() -> None:
    mode, template = report().card
    inside = (mode, Tlv.template(0xFFFF8406, (*(template.children or ()), *GOOD)))
    for card in (inside, (mode, template, *GOOD), (*ENCRYPTED, *GOOD)):
        for configured in ({}, TTK):
            assert prepared(None, configured, card=card).facts == ALL
    assert prepared().facts == ()
    assert prepared(card=()).facts == ()
    assert prepared(card=(), fault="cut").facts == ()
