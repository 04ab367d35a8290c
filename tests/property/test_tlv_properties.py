"""What holds for every TLV input (tlv-samples.md, "Property tests")."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from device.tlv import LIMITS, Form, Tlv, TlvError, decode, encode, is_constructed, spans, walk
from tests.golden import tlv_samples as s

PRIMITIVE = (0x5A, 0x57, 0x82, 0x9F02, 0x9F36, 0xDF8129, 0xDFEE12, 0xDFFF8401, 0xFFEE1F, 0xFFEE13)
TEMPLATES = (0xE1, 0x70, 0xBF0C, 0xFF8105, 0xFFFF8406)


def objects(*, marked: bool) -> st.SearchStrategy[Tlv]:
    forms = st.sampled_from(Form) if marked else st.just(Form.PLAIN)
    leaves = st.builds(
        lambda tag, value, form: Tlv(tag, value, None, form),
        st.sampled_from(PRIMITIVE),
        st.binary(max_size=140),
        forms,
    )
    return st.recursive(leaves, _templates, max_leaves=12).filter(lambda t: _depth(t) <= LIMITS.depth)


def _templates(inner: st.SearchStrategy[Tlv]) -> st.SearchStrategy[Tlv]:
    def build(tag: int, children: list[Tlv]) -> Tlv:
        return Tlv(tag, encode(children, vendor_lengths=True), tuple(children))

    return st.builds(build, st.sampled_from(TEMPLATES), st.lists(inner, max_size=4))


def _depth(item: Tlv) -> int:
    return 1 + max((_depth(child) for child in item.children or ()), default=0)


@given(st.lists(objects(marked=False), max_size=5))
def test_what_was_encoded_decodes_to_the_same(items: list[Tlv]) -> None:
    data = encode(items)
    assert decode(data) == tuple(items)
    assert encode(decode(data)) == data


@given(st.lists(objects(marked=True), max_size=5))
def test_marked_forms_survive_the_round_trip(items: list[Tlv]) -> None:
    data = encode(items, vendor_lengths=True)
    assert decode(data, vendor_lengths=True) == tuple(items)


def attempt(data: bytes, vendor: bool) -> tuple[Tlv, ...] | TlvError:
    try:
        return decode(data, vendor_lengths=vendor)
    except TlvError as exc:
        return exc


@pytest.mark.parametrize(("data", "vendor"), [(s.S01, True), (s.S03, False)], ids=["S01", "S03"])
def test_every_prefix_is_truncated_or_the_beginning(data: bytes, vendor: bool) -> None:
    whole = decode(data, vendor_lengths=vendor)
    beginnings = 0
    for cut in range(len(data)):
        result = attempt(data[:cut], vendor)
        if isinstance(result, TlvError):
            assert result.reason.truncated, result
            assert 0 <= result.offset <= cut
        else:
            assert result == whole[: len(result)]
            beginnings += 1
    assert beginnings == len(whole)


@pytest.mark.parametrize(("data", "vendor"), [(s.S01, True), (s.S03, False)], ids=["S01", "S03"])
def test_one_flipped_bit_never_hangs_or_goes_deep(data: bytes, vendor: bool) -> None:
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        result = attempt(bytes(flipped), vendor)
        if isinstance(result, TlvError):
            assert 0 <= result.offset <= len(data)
        else:
            assert max(map(_depth, result)) <= LIMITS.depth


@given(st.binary(max_size=400), st.booleans())
@example(s.nested_e1(40), False)
def test_any_bytes_give_objects_within_the_limits_or_an_offset(data: bytes, vendor: bool) -> None:
    items = attempt(data, vendor)
    if isinstance(items, TlvError):
        assert 0 <= items.offset <= len(data)
        return
    found = list(walk(items))
    assert len(found) <= LIMITS.count
    assert all(item.children is None or is_constructed(item.tag) for item in found)
    # What decodes re-encodes to something that decodes to the same objects, padding and long lengths apart.
    again = list(walk(decode(encode(items, vendor_lengths=True), vendor_lengths=vendor)))
    assert [(i.tag, i.form) for i in again] == [(i.tag, i.form) for i in found]
    assert [i.value for i in again if i.children is None] == [i.value for i in found if i.children is None]
    assert [span.tag for span in spans(data, vendor_lengths=vendor)] == [item.tag for item in items]
