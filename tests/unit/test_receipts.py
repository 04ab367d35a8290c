"""A receipt: what stands on it for every kind of end, in which words, and that it fits a narrow printer."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.card_search import findings
from tpsd.admin.plain import plain
from tpsd.cli.receipts import COLUMNS, lines
from tpsd.core.codes import ACTION_CODES
from tpsd.core.receipts import Labels, Receipt, Result, action_words, cause_words, receipt, result_of
from tpsd.core.texts import load
from tpsd.domain.authorisation import State
from tpsd.domain.receipt import By, Moved, Recorded, Travelled
from tpsd.domain.tap import Disposition, Verdict
from tpsd.domain.time import HOUR, Micros, iso_millis

NOW = Micros(1_795_421_730_123_456)  # 2026-11-23T08:15:30.123Z
IN, OUT, BACK = (f"{number}c7f3f6e-55f4-4f6b-9df2-3a1f5b1d7a01" for number in range(3))
FACTS = {"aid": "a0000000031010", "tvr": "0000000000", "iad": "06011203a0" * 6, "tsi": "e800", "arc": "3030"}
LABELS = Labels("City Transit", {"gate-1": "Front door"})

PAID = Recorded(
    number=17,
    tap_id="VAL00042:3:17",
    lane="gate-1",
    kind="RETAIL_PAYMENT",
    tapped_at=NOW,
    amount=250,
    currency="978",
    masked="476173******0119",
    verdict=Verdict.ACCEPTED,
    reason="approved",
    disposition=None,
    uuid=OUT,
    state=State.APPROVED,
    cause="action.000",
    approved=None,
    action_code="000",
    facts=FACTS,
)
CHECK_IN = Moved(IN, "RETAIL_CHECK_IN", State.APPROVED, NOW, "gate-1", "centre", 500, None, By.TAP)
CHECK_OUT = Moved(
    OUT, "RETAIL_CHECK_OUT", State.APPROVED, Micros(NOW + HOUR), "gate-2", "harbour", 320, None, By.TAP
)  # fmt: skip
JOURNEY = Travelled(3, "closed", "978", CHECK_IN, CHECK_OUT)
REFUND = Moved(BACK, "RETAIL_REFUND", State.IN_DOUBT, Micros(NOW + 2 * HOUR), "gate-1", None, 100, None, By.HAND)


def local(at: Micros) -> str:
    """Where this is, it is an hour later than in UTC."""
    return f"{iso_millis(Micros(at + HOUR))[:-1]}+01:00"


def of(recorded: Recorded, labels: Labels = LABELS) -> Receipt:
    return receipt(recorded, labels, local, load("en"))


def printed(recorded: Recorded, labels: Labels = LABELS) -> list[str]:
    return lines(json.loads(json.dumps(plain(of(recorded, labels)))))


def test_a_payment() -> None:
    assert printed(PAID) == [
        "City Transit",
        "Front door",
        "2026-11-23 08:15:30 UTC",
        "2026-11-23 09:15:30 +01:00 local",
        "",
        "Kind      payment",
        "Amount    2.50 978",
        "Charged   2.50 978",
        "Result    approved",
        "Shown     accepted",
        "Action    000: approved",
        "",
        "Card      476173******0119",
        "AID       A0000000031010",
        "TVR       0000000000",
        "TSI       E800",
        "ARC       00",
        "IAD",
        "  06011203A006011203A006011203A006011203",
        "  A006011203A006011203A0",
        "Tap       VAL00042:3:17",
        "UUID",
        "  1c7f3f6e-55f4-4f6b-9df2-3a1f5b1d7a01",
    ]


def test_both_ends_of_a_journey_and_what_was_given_back() -> None:
    tap = replace(PAID, kind="RETAIL_CHECK_OUT", amount=320, journey=JOURNEY, refunds=(REFUND,))
    text = printed(tap, Labels())
    assert text[0] == "gate-1"
    assert text[text.index("Journey 3: closed") :] == [
        "Journey 3: closed",
        "Check-in  5.00 978, approved",
        "  2026-11-23 08:15:30 UTC",
        "  2026-11-23 09:15:30 +01:00 local",
        "  gate-1",
        "  centre",
        "Check-out 3.20 978, approved",
        "  2026-11-23 09:15:30 UTC",
        "  2026-11-23 10:15:30 +01:00 local",
        "  gate-2",
        "  harbour",
        "",
        "Refund    1.00 978, in doubt",
        "  2026-11-23 10:15:30 UTC",
        "  2026-11-23 11:15:30 +01:00 local",
        "  by hand",
        "UUID",
        f"  {BACK}",
    ]


def test_a_check_in_holds_and_its_journey_may_have_no_second_end() -> None:
    tap = replace(PAID, kind="RETAIL_CHECK_IN", amount=500, journey=replace(JOURNEY, state="open", check_out=None))
    text = printed(tap)
    assert "Held      5.00 978" in text
    assert text[-1] == "Check-out none yet"
    release = replace(REFUND, kind="RETAIL_CHECK_OUT", amount=0, state=State.APPROVED, by=By.ITSELF)
    text = printed(replace(PAID, kind="RETAIL_CHECK_IN", refunds=(release,)))
    assert "Release   0.00 978, approved" in text
    assert "  by tpsd" in text


def test_one_that_was_turned_away_says_so() -> None:
    denied = replace(
        PAID, verdict=Verdict.DENIED, reason="deny_list", disposition=Disposition.DENIED, uuid=None, state=None,
        cause=None, action_code=None,
    )  # fmt: skip
    found = of(denied)
    assert (found.result, found.charged, found.why, found.uuid) == ("denied", 0, "deny_list", None)
    text = printed(denied)
    assert "Result    denied" in text
    assert "Why       Not accepted. Contact your" in text
    assert "Charged   0.00 978" in text


def test_what_could_not_be_read_has_a_receipt_too() -> None:
    broken = Recorded(
        5, None, "gate-1", None, NOW, None, None, None, Verdict.TRY_AGAIN, "malformed", Disposition.REJECTED, None,
        None, None, None, None,
    )  # fmt: skip
    text = printed(broken)
    assert "Result    not readable" in text
    assert "Tap       5" in text
    assert not any(line.startswith(("Kind", "Amount", "Card", "UUID")) for line in text)


@pytest.mark.parametrize("state", State)
def test_every_state_has_a_result(state: State) -> None:
    found = of(replace(PAID, state=state))
    assert found.result == result_of(state, 250, None).value
    known = state.is_final
    assert (found.charged is not None) is known
    assert (found.charged == 250) is (state is State.APPROVED)


@pytest.mark.parametrize("state", State)
def test_what_may_have_been_charged_is_never_called_free_unless_tps_said_so(state: State) -> None:
    found = of(replace(PAID, state=state, may_have_charged=True))
    told = state in (State.APPROVED, State.DECLINED, State.TAP_REFUSED, State.NOT_CHARGED)
    assert (found.charged is not None) is told
    assert ("Charged   not known" in printed(replace(PAID, state=state, may_have_charged=True))) is not told


@pytest.mark.parametrize("disposition", Disposition)
def test_every_disposition_has_a_result(disposition: Disposition) -> None:
    found = of(replace(PAID, state=None, uuid=None, disposition=disposition))
    assert found.result in {result.value for result in Result}
    assert found.charged == 0


def test_approved_in_part_and_denied_though_approved() -> None:
    part = of(replace(PAID, approved=100, action_code="002", cause="action.002"))
    assert (part.result, part.charged, part.why) == ("approved in part", 100, "")
    turned_away = of(replace(PAID, verdict=Verdict.DENIED, reason="partial_refused", approved=100))
    assert (turned_away.result, turned_away.verdict, turned_away.why) == (
        "approved in part", "denied", "partial_refused",
    )  # fmt: skip
    assert turned_away.words
    more = of(replace(PAID, state=State.IN_DOUBT, cause="amount_differs", approved=900))
    assert (more.result, more.charged, more.why) == ("in doubt", None, "amount_differs")
    refund = replace(REFUND, state=State.APPROVED, approved=60)
    assert of(replace(PAID, refunds=(refund,))).refunds[0].amount == 60


def test_a_cause_names_no_terminal_on_paper() -> None:
    held = of(replace(PAID, state=State.HELD, cause="system.41@GATE-X1:VAL00042", action_code=None))
    assert held.why == "system.41"


@pytest.mark.parametrize("code", ACTION_CODES)
def test_every_action_code_is_told_in_words_that_fit(code: str) -> None:
    declined = replace(PAID, state=State.DECLINED, verdict=Verdict.DENIED, cause=f"action.{code}", action_code=None)
    assert of(declined).action_code == code
    assert of(declined).action == ACTION_CODES[code].meaning
    text = " ".join(" ".join(printed(declined)).split())
    assert f"Action {code}: {ACTION_CODES[code].meaning}" in text
    assert max(map(len, printed(declined))) <= COLUMNS


def test_a_code_without_words() -> None:
    strange = replace(PAID, state=State.DECLINED, cause="action.777", action_code="777")
    assert of(strange).action is None
    assert "Action    777: not in the table" in printed(strange)


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        ("action.116", "action code 116, the account holds too little"),
        ("action.777", "action.777"),
        ("system.41@GATE-X1:VAL00042", "system code 41, VALIDATOR_NOT_FOUND"),
        ("system.99999", "system.99999"),
        ("timeout", "timeout"),
        ("http.503", "http.503"),
    ],
)
def test_causes_in_words(cause: str, words: str) -> None:
    assert cause_words(cause) == words


def test_words_of_an_action_code() -> None:
    assert action_words("000") == "approved"
    assert action_words("000 ") is None


def test_only_what_may_be_kept_is_told() -> None:
    """Whatever stands in the column, ``core.keeping``'s names alone come out of it."""
    pan = "4761739001010119"
    more = FACTS | {"pan": pan, "track2": f"{pan}d3112", "cryptogram": "0102030405060708"}
    found = of(replace(PAID, facts=more))
    assert found == of(PAID)
    assert findings("receipt", "\n".join(printed(replace(PAID, facts=more))).encode(), [pan]) == []
    assert of(replace(PAID, facts={})).aid is None


@pytest.mark.parametrize(("value", "text"), [("3030", "00"), ("5a33", "Z3"), ("0000", "0000"), ("ff30", "ff30")])
def test_the_response_code_is_text_where_it_can_be(value: str, text: str) -> None:
    assert of(replace(PAID, facts={"arc": value})).arc == text


@pytest.mark.parametrize(
    ("merchant", "alias", "zone"),
    [
        ("A" * 64, "B" * 64, "C" * 32),
        ("The Very Long Name of a Regional Transport Authority", "Back door of the articulated bus", "Old Town Square"),
        ("", "", "\x1b[2J\x07stop"),
    ],
)
def test_no_line_is_wider_than_the_paper(merchant: str, alias: str, zone: str) -> None:
    long = replace(CHECK_IN, zone=zone, lane="gate-1", amount=999_999_999_999)
    tap = replace(
        PAID, amount=999_999_999_999, facts=FACTS | {"iad": "ab" * 32}, refunds=(REFUND,), tap_id="V" * 32 + ":1:2",
        journey=Travelled(3, "ended_unpaid", "978", long, replace(CHECK_OUT, zone=zone)),
    )  # fmt: skip
    text = printed(tap, Labels(merchant, {"gate-1": alias}))
    assert max(map(len, text)) <= COLUMNS
    assert all(line.isprintable() for line in text)
    assert not any(line != line.rstrip() for line in text)


def test_the_json_holds_all_that_was_asked_for() -> None:
    found: dict[str, Any] = plain(of(replace(PAID, journey=JOURNEY, refunds=(REFUND,))))
    assert {
        "merchant", "alias", "time", "local_time", "kind", "amount", "charged", "currency", "result", "action_code",
        "action", "card", "aid", "tvr", "iad", "tsi", "arc", "uuid", "journey", "refunds",
    } <= found.keys()  # fmt: skip
    assert found["journey"]["check_in"].keys() == found["journey"]["check_out"].keys()
    assert found["journey"]["check_in"]["time"] == "2026-11-23T08:15:30.123Z"
    assert found["refunds"][0]["by"] == "hand"
