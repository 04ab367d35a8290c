"""What TPS's update feed says, byte by byte: read, refused, or ignored; never an exception."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tpsd.core.feed import PAGE_RECORDS
from tpsd.domain.feed import Action, BadPage, Foreign, Page, Parameters, RawPage, Record
from tpsd.sfey.messages import update
from tpsd.sfey.updates import (
    PARAMETER_CHARACTERS_MAX,
    RAW_CHARACTERS_MAX,
    TOKEN_CHARACTERS_MAX,
    read_page,
    read_raw_page,
)
from tpsd.sfey.wire import DEVICE_V1, override

CARD = "0A" * 32
TOKEN = bytes.fromhex(CARD)


def record(**changes: Any) -> dict[str, Any]:
    return {"recordType": "DENY_LIST", "action": "INSERT", "cpanToken": CARD} | changes


def page(*records: Any, **changes: Any) -> bytes:
    return json.dumps({"records": records, "resumptionToken": "t", "updateComplete": False} | changes).encode()


def test_a_page() -> None:
    read = read_page(
        page(
            record(added="later"),
            record(action="UPDATE", cpanToken=CARD.lower()),
            record(action="DELETE"),
            {"recordType": "DENY_LIST", "action": "FLUSH"},
            addedLater=[1],
        )
    )
    actions = (Action.INSERT, Action.UPDATE, Action.DELETE)
    assert read == Page((*(Record(action, TOKEN) for action in actions), Record(Action.FLUSH)), False, "t")


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (b"", "page.json"),
        (b"<html>", "page.json"),
        (b"[]", "page.json"),
        (b"{}", "page.json"),
        (b"\xff\xfe", "page.json"),
        (b"[" * 100_000, "page.json"),
        (b'{"records": ' + b"9" * 10_000 + b"}", "page.json"),
        (page(records={}), "page.json"),
        (page(updateComplete="yes"), "page.complete"),
        (page(resumptionToken=7), "token.malformed"),
        (page(resumptionToken=""), "token.malformed"),
        (page(resumptionToken="a\nb"), "token.malformed"),
        (page(resumptionToken="ä"), "token.malformed"),
        (page(resumptionToken="t" * (TOKEN_CHARACTERS_MAX + 1)), "token.malformed"),
        (page(7), "record.type"),
        (page({"action": "INSERT"}), "record.type"),
        (page(record(), record(action="UPSERT")), "record.action"),
        (page(record(action=None)), "record.action"),
        (page(record(action=["INSERT"])), "record.action"),
        (page(record(cpanToken="0a")), "record.card"),
        (page(record(cpanToken=None)), "record.card"),
        (page(record(cpanToken="4761739001010119")), "record.card"),
    ],
)
def test_what_is_refused_whole(body: bytes, cause: str) -> None:
    assert read_page(body) == BadPage(cause)


def test_without_a_word_on_completeness_fewer_than_asked_are_the_last() -> None:
    assert read_page(page(record(), updateComplete=None)) == Page((Record(Action.INSERT, TOKEN),), True, "t")
    whole = read_page(page(*[record()] * PAGE_RECORDS, updateComplete=None))
    assert isinstance(whole, Page)
    assert not whole.complete


def test_other_types_are_kept_as_they_came_unless_they_may_hold_what_nobody_may_keep() -> None:
    read = read_page(
        page(
            {"recordType": "WEATHER", "sky": "grey"},
            {"recordType": "DEVICE_KEY", "data": "00"},
            {"recordType": "NOTE", "text": "4761 7390 0101 0119"},
            {"recordType": "LONG", "text": "x" * RAW_CHARACTERS_MAX},
            {"recordType": "4761739001010119"},
        )
    )
    assert isinstance(read, Page)
    assert read.foreign == (
        Foreign("WEATHER", '{"recordType":"WEATHER","sky":"grey"}'),
        Foreign("DEVICE_KEY", None),
        Foreign("NOTE", None),
        Foreign("LONG", None),
        Foreign("?", None),
    )


@given(st.binary(max_size=300) | st.recursive(st.none() | st.booleans() | st.text(max_size=9), st.lists).map(repr))
def test_nothing_makes_it_raise(body: bytes | str) -> None:
    assert isinstance(read_page(body if isinstance(body, bytes) else body.encode()), Page | BadPage)


VALUES = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=70) | st.sampled_from(["DENY_LIST", "INSERT", CARD])
)
OBJECTS = st.dictionaries(st.sampled_from(["recordType", "action", "cpanToken", "key"]), VALUES)


@given(st.lists(OBJECTS | VALUES, max_size=5), VALUES, VALUES)
def test_whatever_stands_where_something_should(records: list[Any], token: Any, complete: Any) -> None:
    read = read_page(page(*records, resumptionToken=token, updateComplete=complete))
    assert isinstance(read, Page | BadPage)


def test_the_request() -> None:
    assert update(DEVICE_V1, "VAL/1", "GATE X", None, 1000) == (
        "/device-api/v1/update/VAL%2F1/type/GATE%20X?recordCount=1000&recordType=DENY_LIST"
    )
    assert update(DEVICE_V1, "S", "T", "a&b=c/ä", 7).endswith("&resumptionToken=a%26b%3Dc%2F%C3%A4")


def test_whoever_holds_sfeys_page_corrects_it() -> None:
    words = {"update.records": "data.items", "update.card": "card.token", "update.delete": "REMOVE"}
    profile = override(DEVICE_V1, words | {"update.token_query": "after"})
    one = {"recordType": "DENY_LIST", "action": "REMOVE", "card": {"token": CARD}}
    body = json.dumps({"data": {"items": [one]}, "updateComplete": True}).encode()
    assert read_page(body, profile) == Page((Record(Action.DELETE, TOKEN),), True)
    assert update(profile, "S", "T", "x", 1).endswith("&after=x")


def raw(kind: str = "EMV_PARAMETER", action: str = "INSERT", **fields: Any) -> dict[str, Any]:
    return {"recordType": kind, "action": action} | fields


def test_records_whose_fields_are_not_public_are_kept_as_they_came() -> None:
    emv = raw(aid="A0000000031010", tags=["9F1A", {"x": 1}])
    read = read_raw_page(page(emv, raw(action="FLUSH")), Parameters.EMV_PARAMETER)
    assert isinstance(read, RawPage)
    assert (read.complete, read.token) == (False, "t")
    assert [record.action for record in read.records] == [Action.INSERT, Action.FLUSH]
    assert json.loads(read.records[0].raw or "") == emv


@pytest.mark.parametrize(
    ("stopped", "kept"),
    [
        ({"cpanToken": CARD}, True),
        ({"cpanToken": "41" * 32}, True),  # digits alone, and a token
        ({"cpanToken": "4111111111111111"}, False),
        ({"note": "4111111111111111"}, False),
    ],
)
def test_a_record_that_may_hold_a_card_number_is_only_counted(stopped: dict[str, Any], kept: bool) -> None:
    read = read_raw_page(page(raw("STOP_LIST", **stopped)), Parameters.STOP_LIST)
    assert isinstance(read, RawPage)
    assert (read.records[0].raw is not None) is kept
    assert "4111" not in repr(read)


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (b"[", "page.json"),
        (page(raw("DENY_LIST")), "record.type"),
        (page(1), "record.type"),
        (page(raw(action="WISH")), "record.action"),
        (page(raw(long="x" * PARAMETER_CHARACTERS_MAX)), "record.size"),
        (page(resumptionToken=7), "token.malformed"),
        (page(updateComplete="no"), "page.complete"),
    ],
)
def test_raw_pages_that_are_refused(body: bytes, cause: str) -> None:
    assert read_raw_page(body, Parameters.EMV_PARAMETER) == BadPage(cause)


@given(st.binary(max_size=300))
def test_no_bytes_raise_in_the_reading_of_raw_pages(body: bytes) -> None:
    assert isinstance(read_raw_page(body, Parameters.STOP_LIST), RawPage | BadPage)


def test_each_type_is_asked_for_by_its_word() -> None:
    assert update(DEVICE_V1, "V", "G", "t", 9, "stop_list").endswith(
        "recordCount=9&recordType=STOP_LIST&resumptionToken=t"
    )
