"""Before the transaction: the local checks in their order, the time of a tap, and the request's content."""

from dataclasses import replace
from typing import Any

import pytest

from device.tlv import Tlv, decode, encode
from tests.card_search import findings
from tests.intake_taps import (
    ENCRYPTED,
    LANE,
    NOW,
    OK,
    PRODUCTION,
    TERMINAL,
    TOKEN,
    TTK,
    UUID_1,
    VISA,
    Requests,
    at,
    card,
    denied,
    prepared,
    report,
    setting,
    try_again,
)
from tests.realtime_taps import OPEN
from tpsd.core.intake import CardKeys, prepare, tokens_of
from tpsd.core.requests import TransactionRequest
from tpsd.core.retry import DEFAULT_LADDER
from tpsd.core.taptime import CLOCK_CEILING, CLOCK_FLOOR, tap_time
from tpsd.domain.card import CardToken, Pan
from tpsd.domain.tap import Kind, Oda, Told
from tpsd.domain.time import Micros
from tpsd.emv.reading import card_token
from tpsd.emv.tapdata import Ttk

BOTH = {"kinds": frozenset({Kind.MTT, Kind.KFT})}

CHECKS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], Told, bool]] = {
    # what the tap says, the lane's policy, the configuration → the local verdict, whether it could be sent
    "a plain tap": ({}, {}, {}, OK, True),
    "the lane's own kind": ({"kind": 0x00}, {}, {}, OK, True),
    "MTT said aloud": ({"kind": 0x01}, {}, {}, OK, True),
    "KFT deferred": ({"kind": 0x02}, BOTH, {}, OK, True),
    "amount 0 where it is allowed": ({"amount": 0}, {}, {}, OK, True),
    "the amount limit itself": ({"amount": 1000}, {}, {}, OK, True),
    "the operator's currency": ({"currency": "978"}, {}, {}, OK, True),
    "authenticated offline": ({"oda": Oda.GOOD}, {}, {}, OK, True),
    "encrypted by the reader": ({"card": ENCRYPTED}, {}, {}, OK, True),
    "encrypted, in production": ({"card": ENCRYPTED}, {}, PRODUCTION, OK, True),
    "clear in production, with a key": ({}, {}, PRODUCTION | TTK, OK, True),
    "no expiry to be seen": ({"card": (Tlv(0x5A, bytes.fromhex(VISA)),)}, {}, {}, OK, True),
    "malformed": ({"fault": "cut", "card": ()}, {}, {}, try_again("malformed"), False),
    "an unknown kind": ({"kind": 0x09}, {}, {}, try_again("unknown_kind"), False),
    "no card data": ({"card": ()}, {}, {}, try_again("no_card_data"), False),
    "card data in no known mode": ({"card": (Tlv(0xDFFF8401, b"\x07"),)}, {}, {}, try_again("malformed"), False),
    "a kind the lane does not take": ({"kind": 0x02}, {}, {}, denied("kind"), False),
    "a retail kind on a transit lane": ({"kind": 0x04}, {}, {}, denied("kind"), False),
    "a realtime kind": ({"kind": 0x03}, BOTH, {}, denied("kind"), False),
    "check-in or out by journey": ({"kind": 0x07}, {}, {}, denied("kind"), False),
    "another currency": ({"currency": "840"}, {}, {}, denied("currency"), True),
    "above the limit": ({"amount": 1001}, {}, {}, denied("amount_limit"), True),
    "a fare above the limit": ({}, {"fare": 1001}, {}, denied("amount_limit"), True),
    "amount 0 where it is not allowed": ({"amount": 0}, {"zero_allowed": False}, {}, denied("amount_limit"), True),
    "clear in production, without a key": ({}, {}, PRODUCTION, denied("mode"), False),
    "expired": ({"card": card("2610")}, {}, {}, denied("expired"), True),
    "offline authentication failed": ({"oda": Oda.FAILED}, {}, {}, denied("oda"), True),
}


@pytest.mark.parametrize(("tap", "lane", "configured", "told", "sendable"), CHECKS.values(), ids=CHECKS.keys())
def test_a_check(
    tap: dict[str, Any], lane: dict[str, Any], configured: dict[str, Any], told: Told, sendable: bool
) -> None:
    candidate = prepared(lane, configured, **tap)
    assert candidate.local == told
    assert (candidate.draft is not None) is sendable
    assert (candidate.card is not None) is sendable


# Each fails its own check and would fail every later one too: the earliest decides.
ORDER = [
    ("malformed", {"fault": "cut", "card": ()}, {}),
    ("unknown_kind", {"kind": 0x09, "card": ()}, {}),
    ("no_card_data", {"kind": 0x04, "card": ()}, {}),
    ("kind", {"kind": 0x04, "currency": "840", "amount": 1001, "oda": Oda.FAILED, "card": card("2001")}, PRODUCTION),
    ("currency", {"currency": "840", "amount": 1001, "oda": Oda.FAILED, "card": card("2001")}, PRODUCTION),
    ("amount_limit", {"amount": 1001, "oda": Oda.FAILED, "card": card("2001")}, PRODUCTION),
    ("mode", {"oda": Oda.FAILED, "card": card("2001")}, PRODUCTION),
    ("expired", {"oda": Oda.FAILED, "card": card("2001")}, {}),
    ("oda", {"oda": Oda.FAILED}, {}),
]


@pytest.mark.parametrize(("reason", "tap", "configured"), ORDER, ids=[row[0] for row in ORDER])
def test_the_order_of_the_checks(reason: str, tap: dict[str, Any], configured: dict[str, Any]) -> None:
    assert prepared(None, configured, **tap).local.reason == reason


@pytest.mark.parametrize(
    ("tapped_at", "past"),
    [
        (at(2026, 10, 31, 23, 59, 59, micros=999_999), False),
        (at(2026, 11, 1), True),
        (at(2026, 10, 1), False),
        (at(2027, 1, 1), True),
        (at(2025, 12, 31, 23, 59, 59), False),
    ],
)
def test_a_card_is_good_to_the_last_microsecond_of_its_month(tapped_at: Micros, past: bool) -> None:
    told = prepared(card=card("2610"), tapped_at=tapped_at).local
    assert (told.reason == "expired") is past


def test_expiry_is_judged_by_the_taps_time_and_not_by_its_arrival() -> None:
    assert prepared(card=card("2610"), tapped_at=at(2026, 10, 30), received_at=at(2026, 11, 2)).local == OK


@pytest.mark.parametrize(
    ("tapped_at", "age_ms", "expected"),
    [
        (NOW, None, NOW),
        (NOW, 60_000, NOW),
        (None, None, NOW),
        (None, 1500, Micros(NOW - 1_500_000)),
        (None, 0, NOW),
        (Micros(CLOCK_FLOOR - 1), 2000, Micros(NOW - 2_000_000)),
        (CLOCK_FLOOR, 2000, CLOCK_FLOOR),
        (Micros(0), None, NOW),
        (Micros(CLOCK_CEILING - 1), None, Micros(CLOCK_CEILING - 1)),
        (CLOCK_CEILING, 1000, Micros(NOW - 1_000_000)),
        (Micros(2**64 - 1), None, NOW),
    ],
)
def test_the_time_of_a_tap(tapped_at: Micros | None, age_ms: int | None, expected: Micros) -> None:
    assert tap_time(report(tapped_at=tapped_at, age_ms=age_ms)) == expected


def test_a_tap_is_never_before_1970() -> None:
    assert tap_time(report(tapped_at=None, received_at=Micros(5), age_ms=2**32 - 1)) == 0


def request_of(lane: dict[str, Any] | None = None, keys: CardKeys | None = None, **fields: Any) -> TransactionRequest:
    requests = Requests()
    changes = {} if keys is None else {"keys": keys}
    prepare(report(**fields), replace(LANE, **(lane or {})), setting(requests, **changes), UUID_1)
    (request,) = requests.seen
    return request


def test_the_request_says_what_the_tap_and_the_configuration_say() -> None:
    request = request_of(amount=300, stop="Central")
    assert (request.uuid, request.company_id, request.stock_location_id) == (UUID_1, 1001, 42)
    assert (request.terminal_sn, request.terminal_type) == ("VAL00042", "GATE-X1")
    assert (request.validator_serial, request.validator_type) == ("VAL00042", "GATE-X1")
    assert (request.type, request.tapped_at, request.amount, request.currency) == ("MTT", NOW, 300, "978")
    assert (request.initial_uuid, request.validation_status) == (None, "OK")
    assert request.tag == encode(card())


def test_the_request_carries_the_token_of_the_card() -> None:
    visa = (Tlv(0x5A, bytes.fromhex("4111111111111111")),)
    token = request_of(card=visa).pan_token
    assert token == "0622241201382a45912fb22828b3f7db5153cf2072722a73ded22623ea79abc9"  # sfey.md 5
    assert request_of(card=visa, token=CardToken(TOKEN)).pan_token == token  # our own key over the reader's word
    assert request_of(card=visa, keys=CardKeys(None)).pan_token is None
    assert request_of(card=visa, keys=CardKeys(None), token=CardToken(TOKEN)).pan_token == TOKEN
    assert request_of(card=ENCRYPTED, token=CardToken(TOKEN)).pan_token == TOKEN
    assert request_of(card=ENCRYPTED).pan_token is None


def test_a_card_has_a_name_under_each_token_key_that_is_honoured() -> None:
    visa = (Tlv(0x5A, bytes.fromhex("4111111111111111")),)
    salts = bytes(range(32)), bytes(32), b"\xff" * 32
    in_force, *others = (card_token(salt, Pan("4111111111111111")) for salt in salts)
    keys = CardKeys(salts[0], honoured=salts[1:])
    assert tokens_of(report(card=visa), setting(keys=keys)) == (in_force, *others)
    candidate = prepared(configured={"keys": keys}, card=visa)
    assert (candidate.token, candidate.also) == (in_force, tuple(others))
    assert request_of(card=visa, keys=keys).pan_token == in_force
    assert tokens_of(report(card=ENCRYPTED), setting(keys=keys)) == ()
    assert tokens_of(report(card=ENCRYPTED, token=CardToken(TOKEN)), setting(keys=keys)) == (TOKEN,)


def test_a_journey_keeps_the_name_that_it_began_under() -> None:
    visa = (Tlv(0x5A, bytes.fromhex("4111111111111111")),)
    salts = bytes(range(32)), bytes(32)
    in_force, former = (card_token(salt, Pan("4111111111111111")) for salt in salts)
    given = setting(keys=CardKeys(salts[0], honoured=salts[1:]))
    for journey, names in (
        (replace(OPEN, token=former), (former, (in_force,))),
        (replace(OPEN, token=in_force), (in_force, (former,))),
        (None, (in_force, (former,))),
    ):
        candidate = prepare(report(card=visa), LANE, given, UUID_1, None, journey)
        assert (candidate.token, candidate.also) == names


def test_the_lane_names_the_terminal_where_it_says_so() -> None:
    lane = {"terminal_sn": "TERM-1", "terminal_type": "BUS"}
    request = request_of(lane)
    assert (request.terminal_sn, request.terminal_type) == ("TERM-1", "BUS")
    assert (request.validator_serial, request.validator_type) == ("VAL00042", "GATE-X1")
    assert prepared(lane).terminal == "BUS:TERM-1"
    assert prepared().terminal == TERMINAL


def test_a_tap_without_an_amount_costs_the_lanes_fare() -> None:
    assert request_of().amount == 250
    assert request_of(amount=0).amount == 0


def test_a_key_makes_mode_01_of_clear_card_data() -> None:
    request = request_of(keys=CardKeys(bytes(32), Ttk("0123", bytes(16))))
    assert [item.tag for item in decode(request.tag)] == [0xDFFF8401, 0xDFFF8402, 0xDFFF8405, 0x9F36]
    assert findings("tag", request.tag, [VISA]) == []
    assert request_of(card=ENCRYPTED, keys=CardKeys(bytes(32), Ttk("0123", bytes(16)))).tag == encode(ENCRYPTED)


def test_the_draft_is_what_was_serialised() -> None:
    candidate = prepared({"credential": "gate-9"}, amount=300)
    draft = candidate.draft
    assert draft is not None
    assert (draft.uuid, draft.type, draft.path, draft.body) == (UUID_1, "MTT", "/path", b"body " + UUID_1.bytes)
    assert (draft.credential, draft.amount, draft.currency) == ("gate-9", 300, "978")


def test_the_candidate_is_what_the_journal_keeps() -> None:
    candidate = prepared()
    assert candidate.digest == b"digest of stable"
    assert (candidate.lane, candidate.kind, candidate.amount, candidate.currency) == ("gate-1", Kind.MTT, 250, "978")
    assert (candidate.masked, candidate.tapped_at, candidate.config_digest) == ("476173******0119", NOW, "c0ffee")
    assert candidate.ladder == DEFAULT_LADDER
    assert candidate.card == encode(card())


@pytest.mark.parametrize(
    ("tap", "kept"),
    [
        ({"fault": "cut", "card": ()}, (None, None)),
        ({"kind": 0x09}, (None, None)),
        ({"card": ()}, (None, None)),
        ({"card": (), "amount": 300}, (300, "978")),
        ({"kind": 0x04}, (250, "978")),
    ],
)
def test_what_a_rejected_tap_would_have_cost_is_not_made_up(tap: dict[str, Any], kept: tuple[Any, Any]) -> None:
    candidate = prepared(**tap)
    assert (candidate.amount, candidate.currency) == kept


def test_a_card_number_in_the_texts_of_a_validator_is_masked() -> None:
    where = (("route", VISA), ("trip", f"T {VISA[:4]} {VISA[4:8]}-{VISA[8:]}"), ("position", "52.370216,-4.895168"))
    kept = prepared(stop=f"Stop {VISA}", where=where).report
    assert kept.stop == "Stop 476173******0119"
    assert kept.where == (
        ("route", "476173******0119"), ("trip", "T 476173******0119"), ("position", "52.370216,-4.895168")
    )  # fmt: skip


def test_no_candidate_prints_its_card() -> None:
    for candidate in (prepared(), prepared(configured=TTK), prepared(kind=0x04), prepared(card=card("2001"))):
        shown = repr(candidate) + repr(setting())
        assert findings("repr", shown.encode(), [VISA, "2011758928889"]) == []
        assert "body" not in shown.replace("body=", "")
