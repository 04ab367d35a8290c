"""A tap's story: what is said of every state, disposition, outcome and verdict, and in which order."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from tests.card_search import findings
from tpsd.core.outcomes import ADVICE
from tpsd.core.receipts import Result
from tpsd.core.retry import DEFAULT_LADDER
from tpsd.core.story.telling import tell
from tpsd.core.story.words import every, money, sentence, span
from tpsd.core.texts import REASONS, load
from tpsd.domain.audit import AuditRow
from tpsd.domain.authorisation import AttemptReason, State
from tpsd.domain.history import Box, Event, EventKind, History, Hold, Keeping, Mailing, Transaction
from tpsd.domain.receipt import By, Moved, Recorded, Travelled
from tpsd.domain.tap import Disposition, Shown, Timing, Verdict
from tpsd.domain.time import DAY, HOUR, MINUTE, SECOND, Micros, iso_millis, later
from tpsd.domain.views import AttemptRow

NOW = Micros(1_795_421_730_123_456)  # 2026-11-23T08:15:30.123Z
MINUTE_ON = later(NOW, MINUTE)
ONE, TWO, BACK = (f"{number}c7f3f6e-55f4-4f6b-9df2-3a1f5b1d7a01" for number in range(3))
KEEPING = Keeping(7 * DAY, 30 * DAY, 90 * DAY)
PAN = "4761739001010119"

TAP = Recorded(
    number=17,
    tap_id="VAL00042:3:17",
    lane="gate-1",
    kind="MTT",
    tapped_at=NOW,
    amount=250,
    currency="978",
    masked="476173******0119",
    verdict=Verdict.ACCEPTED,
    reason="ok",
    disposition=None,
    uuid=ONE,
    state=State.PENDING,
    cause=None,
    approved=None,
    action_code=None,
    facts={"aid": "a0000000031010", "tvr": "0000000000"},
)
SENT = Transaction(
    uuid=ONE,
    kind="MTT",
    timing=Timing.DEFERRED,
    state=State.PENDING,
    cause=None,
    amount=250,
    currency="978",
    approved=None,
    may_have_charged=False,
    credential="common",
    settled_at=None,
    release=1,
    sends=0,
    ladder=DEFAULT_LADDER,
    due=NOW,
    body_waits=False,
    enquiries=0,
    enquiry_due=None,
    replaced_by=None,
    follows=None,
    ran_rested=None,
)
KEPT = History(
    recorded=TAP,
    terminal="GATE-X1:VAL00042",
    received_at=NOW,
    repeats=0,
    shown=Shown.NOTHING,
    unseen=False,
    delivered=None,
    note=None,
    list_version=12,
    config_digest="c0ffee",
    taps=(17,),
    transactions=(SENT,),
    boxes=(Box("body", 0), Box("tap", 0)),
    ran=DAY,
)


def local(at: Micros) -> str:
    """Where this is, it is an hour later than in UTC."""
    return f"{iso_millis(Micros(at + HOUR))[:-1]}+01:00"


def story(history: History, now: Micros = NOW) -> tuple[Event, ...]:
    return tell(history, KEEPING, now=now, local=local, catalogue=load("en"))


def texts(history: History, kind: EventKind, now: Micros = NOW) -> list[str]:
    return [event.text for event in story(history, now) if event.kind is kind]


def said(history: History, kind: EventKind, now: Micros = NOW) -> str:
    (text,) = texts(history, kind, now)
    return text


def attempt(
    number: int = 1, outcome: str | None = "try_again", cause: str | None = "http.503", **more: Any
) -> AttemptRow:
    values: dict[str, Any] = {
        "release": 1, "reason": "ladder", "started_at": NOW, "ended_at": later(NOW, 412_000), "may_have_charged": True,
    }  # fmt: skip
    return AttemptRow(number=number, outcome=outcome, cause=cause, **(values | more))


def with_transaction(**changes: Any) -> History:
    """The tap with its transaction changed, and the row's state with it."""
    own = replace(SENT, **changes)
    return replace(KEPT, recorded=replace(TAP, state=own.state), transactions=(own,))


def never_sent(disposition: Disposition, reason: str, verdict: Verdict = Verdict.DENIED) -> History:
    tap = replace(TAP, verdict=verdict, reason=reason, disposition=disposition, uuid=None, state=None)
    return replace(KEPT, recorded=tap, transactions=(), taps=(), boxes=())


def test_a_new_tap() -> None:
    assert [(event.kind.value, event.at, event.text) for event in story(KEPT)] == [
        ("tapped", NOW,
         "Tapped at lane gate-1 (terminal GATE-X1:VAL00042): MTT of 2.50 978, card 476173******0119."),
        ("received", NOW, "Received and kept as tap 17 (VAL00042:3:17)."),
        ("decided", NOW,
         "Decided: accepted (ok). Accepted at the lane; the fare is sent to TPS afterwards. Deny list version 12. "
         "Configuration c0ffee."),
        ("stands", None, "It stands: not settled yet (pending). Nothing was charged so far."),
        ("next", None, "Next: send 1 of at most 13 is due now (its first)."),
        ("kept", None,
         "Card data (body, tap) is kept sealed until the transaction is settled. Of the card the row shows "
         "476173******0119, AID, TVR. The row stays whole for 90 running days after its end."),
    ]  # fmt: skip


def test_sends_and_their_answers() -> None:
    own = with_transaction(
        attempts=(attempt(1), attempt(2, "approved", "action.000", started_at=MINUTE_ON, ended_at=MINUTE_ON)),
        state=State.APPROVED, settled_at=later(NOW, MINUTE), due=None,
    )  # fmt: skip
    events = [event for event in story(own) if event.kind in (EventKind.SENT, EventKind.ANSWERED, EventKind.STANDS)]
    assert [event.text for event in events] == [
        f"Send 1: the ladder's turn. MTT of 2.50 978 as {ONE} under certificate common.",
        "After 412 ms: http.503. TPS is not in service for the moment. Outcome: try again, which asks for the next "
        "rung of the ladder; money may have moved.",
        "Send 2: the ladder's turn. The same bytes under the same UUID.",
        "After 0 ms: action code 000, approved. The bank approved the transaction. Outcome: approved, which is final.",
        "It stands: approved. 2.50 978 was charged.",
    ]
    assert [event.at for event in events[-2:]] == [later(NOW, MINUTE)] * 2
    assert events[1].facts["took_us"] == 412_000
    assert EventKind.NEXT not in [event.kind for event in story(own)]


def test_the_same_answer_again_is_said_shortly() -> None:
    history = with_transaction(attempts=(attempt(1), attempt(2), attempt(3, "unknown", "timeout")))
    first, second, third = texts(history, EventKind.ANSWERED)
    assert second == "After 412 ms: http.503, as before. Outcome: try again."
    assert "TPS is not in service" in first
    assert "TPS did not answer in time" in third


@pytest.mark.parametrize(("outcome", "timing"), list(product([name for name, _ in ADVICE.values()], Timing)))
def test_every_outcome_has_a_meaning(outcome: str, timing: Timing) -> None:
    for charged in (False, True):
        history = with_transaction(timing=timing, attempts=(attempt(1, outcome, "x", may_have_charged=charged),))
        (text,) = texts(history, EventKind.ANSWERED)
        assert f"Outcome: {outcome.replace('_', ' ')}, " in text
        assert text.count("money") == (outcome != "approved")
        assert ("no money moved" in text) == (outcome != "approved" and not charged)


@pytest.mark.parametrize("reason", AttemptReason)
def test_every_reason_for_a_send(reason: AttemptReason) -> None:
    history = with_transaction(attempts=(attempt(1, None, None, reason=reason.value, ended_at=None),))
    kinds = [event.kind for event in story(history)]
    assert (EventKind.ASKED in kinds) == (reason is AttemptReason.ENQUIRY)
    assert (EventKind.SENT in kinds) == (reason is not AttemptReason.ENQUIRY)
    assert EventKind.ANSWERED not in kinds


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        ("approved", "it was approved"),
        ("declined", "it was declined"),
        ("not_found", "TPS never had it, and that is believed"),
        ("try_again", "Nothing definite"),
        ("unknown", "Nothing definite"),
    ],
)
def test_enquiries(outcome: str, words: str) -> None:
    history = with_transaction(attempts=(attempt(2, outcome, "http.404", reason="enquiry", may_have_charged=False),))
    assert said(history, EventKind.ASKED) == f"TPS was asked what became of {ONE}."
    assert said(history, EventKind.FOUND) == f"After 412 ms: {words} (http.404)."


CHARGED = {True: "2.50 978 may have been charged.", False: "Nothing was charged so far."}


@pytest.mark.parametrize(("state", "charged"), list(product(State, (False, True))))
def test_every_state(state: State, charged: bool) -> None:
    settled = later(NOW, MINUTE) if state.is_final else None
    history = with_transaction(state=state, settled_at=settled, may_have_charged=charged, due=None, cause="http.503")
    text = said(history, EventKind.STANDS)
    assert text.startswith("It stands: ")
    facts = next(event.facts for event in story(history) if event.kind is EventKind.STANDS)
    if state is State.APPROVED:
        assert facts["charged"] == 250
    elif not state.is_final:
        assert CHARGED[charged] in text
        assert facts["charged"] is None
    elif charged and state in (State.FAILED, State.CLOSED):
        assert "Nobody found out whether 2.50 978 was charged." in text
        assert facts["charged"] is None
    else:
        assert "Nothing was charged." in text
        assert facts["charged"] == 0
    assert ("Cause: http.503." in text) == (state is not State.APPROVED)
    assert len(texts(history, EventKind.NEXT)) == (not state.is_final)


def test_under_which_token_key_the_card_is_known() -> None:
    text = said(replace(never_sent(Disposition.DENIED, "deny_list"), token_key="5A3B1C"), EventKind.DECIDED)
    assert "Deny list version 12. Card token under key 5A3B1C. Configuration c0ffee." in text


@pytest.mark.parametrize("disposition", Disposition)
def test_every_disposition(disposition: Disposition) -> None:
    history = never_sent(disposition, "deny_list")
    assert said(history, EventKind.DECIDED) == (
        "Decided: denied (deny_list). The card stands on the deny list until its debt is recovered. "
        f"Nothing was sent to TPS ({disposition.value}). Deny list version 12. Configuration c0ffee."
    )
    assert said(history, EventKind.STANDS) == "It stands: never sent to TPS, so nothing was charged."
    assert said(history, EventKind.KEPT).startswith("No card data is kept. ")
    assert texts(history, EventKind.NEXT) == []


@pytest.mark.parametrize(("verdict", "reason"), [*product(Verdict, ["ok"]), *product([Verdict.DENIED], REASONS)])
def test_every_verdict_and_reason_has_words(verdict: Verdict, reason: str) -> None:
    text = said(never_sent(Disposition.DENIED, reason, verdict), EventKind.DECIDED)
    assert f"{verdict.name.lower().replace('_', ' ')} ({reason})" in text
    assert "not in the catalogue" not in text or reason == "unknown"


def test_a_tap_that_waits_for_its_answer_is_decided_by_it() -> None:
    asked = attempt(1, "declined", "action.116", reason="tap", may_have_charged=False)
    history = with_transaction(timing=Timing.REALTIME, attempts=(asked,), state=State.DECLINED, due=None)
    denied = replace(history, recorded=replace(TAP, verdict=Verdict.DENIED, reason="action.116"), delivered=1, boxes=())
    kinds = [event.kind.value for event in story(denied)]
    assert kinds == ["tapped", "received", "sent", "answered", "decided", "shown", "stands", "kept"]
    assert next(event.at for event in story(denied) if event.kind is EventKind.DECIDED) == asked.ended_at
    assert said(denied, EventKind.DECIDED).startswith("Decided by the answer: denied (action.116). The account behind")
    waits = replace(history, recorded=replace(TAP, verdict=None, reason="asking"))
    assert said(waits, EventKind.DECIDED) == "Not decided yet: the passenger waits for TPS's answer."


def test_of_several_taps_each_is_decided_by_its_own_attempt() -> None:
    tries = tuple(attempt(n, "unknown", "timeout", reason="tap", ended_at=later(NOW, n * SECOND)) for n in (1, 2))
    history = replace(with_transaction(timing=Timing.REALTIME, attempts=tries), taps=(16, 17))
    assert next(event.at for event in story(history) if event.kind is EventKind.DECIDED) == later(NOW, 2 * SECOND)
    assert "Its transaction is also that of tap 16." in texts(history, EventKind.REPEATED)
    covered = replace(history, taps=(15, 16, 17))  # an earlier one paid for it: no attempt was its own
    assert next(event.at for event in story(covered) if event.kind is EventKind.DECIDED) is None


def test_what_was_shown_and_what_came_again() -> None:
    history = replace(KEPT, shown=Shown.LET_IN, unseen=True, repeats=2, note="deny_list; time estimated")
    assert texts(history, EventKind.SHOWN) == [
        "The validator said that it had let the passenger in by itself.",
        "The passenger was turned away although the tap was accepted, and the fare may have been charged.",
    ]
    assert said(history, EventKind.REPEATED) == "The validator sent it 2 times more and was told the same verdict."
    assert (
        "Noted: deny_list: The card stands on the deny list until its debt is recovered. Noted: time estimated."
        in said(history, EventKind.DECIDED)
    )
    for delivered in (0, 1, 2):
        assert len(texts(replace(KEPT, delivered=delivered), EventKind.SHOWN)) == 1


def test_a_stored_tap_came_late() -> None:
    late = replace(KEPT, recorded=replace(TAP, tapped_at=Micros(NOW - 9 * HOUR)))
    assert said(late, EventKind.RECEIVED) == "Received and kept as tap 17 (VAL00042:3:17), 9 h after the tap."
    ahead = replace(KEPT, recorded=replace(TAP, tapped_at=later(NOW, HOUR)))
    assert said(ahead, EventKind.RECEIVED) == "Received and kept as tap 17 (VAL00042:3:17)."


def test_what_comes_next_on_the_ladder() -> None:
    due = later(NOW, 14 * MINUTE)
    history = with_transaction(sends=4, due=due)
    assert said(history, EventKind.NEXT) == (
        "Next: send 5 of at most 13 is due at 2026-11-23T09:29:30.123+01:00 (tier 2 of the ladder, 15 min after "
        "the send before)."
    )
    history = replace(with_transaction(sends=4, due=due, enquiry_due=later(NOW, MINUTE)), unreachable_since=NOW)
    assert said(history, EventKind.NEXT).endswith(
        "TPS is asked about it before, at 2026-11-23T09:16:30.123+01:00. "
        "TPS's host has not been reached since 2026-11-23T09:15:30.123+01:00: taps wait for it."
    )
    assert "once the clock is trusted" in said(with_transaction(body_waits=True), EventKind.NEXT)


def test_what_comes_next_at_rest() -> None:
    held = with_transaction(state=State.HELD, cause="http.403@X:1", due=None, ran_rested=0)
    assert said(held, EventKind.NEXT).endswith("tpsd release --cause http.403@X:1")
    canary = replace(held, hold=Hold(NOW, later(NOW, 15 * MINUTE)))
    assert "a canary of its cause goes at 2026-11-23T09:30:30.123+01:00" in said(canary, EventKind.NEXT)
    assert said(replace(held, hold=Hold(NOW, None)), EventKind.NEXT) == said(held, EventKind.NEXT)
    failed = with_transaction(state=State.PERMANENTLY_FAILED, due=None)
    assert said(failed, EventKind.NEXT).endswith("tpsd resend 17 or tpsd close 17 --reason …")
    assert "resend" not in said(replace(failed, boxes=()), EventKind.NEXT)
    doubt = with_transaction(state=State.IN_DOUBT, due=None, enquiries=2)
    assert f"tpsd resolve {ONE} --as charged" in said(doubt, EventKind.NEXT)
    asked = with_transaction(state=State.IN_DOUBT, due=None, enquiries=2, enquiry_due=NOW)
    assert said(asked, EventKind.NEXT) == "Next: enquiry 3 of 5 is made at 2026-11-23T09:15:30.123+01:00."
    asking = attempt(3, None, None, reason="enquiry", ended_at=None)
    under_way = with_transaction(state=State.IN_DOUBT, due=None, attempts=(asking,))
    assert "under way" in said(under_way, EventKind.NEXT)


def test_how_long_card_data_is_kept() -> None:
    failed = with_transaction(state=State.PERMANENTLY_FAILED, due=None, ran_rested=0)
    assert said(failed, EventKind.KEPT).startswith(
        "Card data (body, tap) is kept sealed for 6 days more of running time, so until 2026-11-29T09:15:30.123+01:00 "
        "at the earliest, or until it is settled."
    )
    held = with_transaction(state=State.HELD, due=None, ran_rested=0)
    assert "for 29 days more" in said(held, EventKind.KEPT)
    assert "about to be erased" in said(replace(failed, ran=8 * DAY), EventKind.KEPT)
    assert said(replace(failed, boxes=()), EventKind.KEPT).startswith(
        "No card data is kept, so it cannot be sent again."
    )
    rejected = replace(never_sent(Disposition.REJECTED, "internal"), boxes=(Box("payload", DAY),))
    assert said(rejected, EventKind.KEPT).startswith(
        "Card data (payload) is kept sealed for 7 days more of running time"
    )
    bare = replace(rejected, recorded=replace(rejected.recorded, masked=None, facts={}), boxes=())
    assert said(bare, EventKind.KEPT) == (
        "No card data is kept. The row stays whole for 90 running days after its end."
    )


def test_mails_and_orders_stand_in_their_time() -> None:
    failed = with_transaction(state=State.PERMANENTLY_FAILED, due=None, attempts=(attempt(1, "unknown", "timeout"),))
    mailing = Mailing("permanently_failed", "permanently_failed/timeout", "it was the last", later(NOW, HOUR))
    order = AuditRow(1, later(NOW, MINUTE), "alice (1000)", "resend", ONE, "she called")
    told = replace(failed, mailings=(mailing,), orders=(order,))
    assert [event.kind.value for event in story(told)][3:6] == ["sent", "answered", "ordered"]
    assert said(told, EventKind.ORDERED) == f"By hand, alice (1000): resend of {ONE}; their reason: she called."
    head = "Noticed for operators, permanently_failed/timeout: it was the last. "
    ends: list[tuple[dict[str, Any], str]] = [
        ({}, "It will be mailed."),
        ({"closes_at": NOW}, "It will be mailed with what its cause gathers until 2026-11-23T09:15:30.123+01:00."),
        ({"due": NOW}, "Its mail is written; SMTP has not taken it yet, the next is at 2026-11-23T09:15:30.123+01:00."),
        ({"due": NOW, "tries": 3},
         "Its mail is written; SMTP has not taken it in 3 tries, the next is at 2026-11-23T09:15:30.123+01:00."),
        ({"mailed_at": NOW}, "Mailed at 2026-11-23T09:15:30.123+01:00."),
    ]  # fmt: skip
    for change, words in ends:
        changed = replace(told, mailings=(replace(mailing, **change),))
        assert said(changed, EventKind.TOLD) == head + words


def test_a_journey_and_what_was_given_back() -> None:
    check_in = Moved(ONE, "RETAIL_CHECK_IN", State.APPROVED, NOW, "gate-1", "centre", 500, None, By.TAP)
    check_out = Moved(TWO, "RETAIL_CHECK_OUT", State.APPROVED, later(NOW, HOUR), "gate-2", None, 320, 300, By.ITSELF)
    refund = Moved(BACK, "RETAIL_REFUND", State.IN_DOUBT, later(NOW, 2 * HOUR), "gate-2", None, 100, None, By.HAND)
    own = with_transaction(kind="RETAIL_CHECK_IN", amount=500, state=State.APPROVED, due=None, follows=BACK)
    journey = Travelled(3, "closed", "978", check_in, check_out)
    told = replace(own, recorded=replace(TAP, journey=journey, refunds=(refund,)))
    assert texts(told, EventKind.JOURNEY) == [
        "Journey 3, check-in by a tap at lane gate-1, zone centre: 5.00 978, approved. The journey is closed.",
        "Journey 3, check-out by tpsd itself: 3.00 978 of 3.20 978, approved in part. The journey is closed.",
    ]
    assert texts(told, EventKind.FOLLOWED) == [
        f"Refund of 1.00 978 by hand: in doubt ({BACK}). It counts as given back until it is resolved.",
        f"Its transaction follows {BACK}.",
    ]
    assert said(told, EventKind.STANDS) == "It stands: approved. 5.00 978 was held until its check-out."
    released = replace(refund, kind="RETAIL_CHECK_OUT", state=State.APPROVED, amount=0)
    stray = replace(own, recorded=replace(TAP, refunds=(released,)))
    assert said(stray, EventKind.STANDS) == "It stands: approved. 5.00 978 was held, and released."
    still = replace(told, recorded=replace(told.recorded, journey=replace(journey, state="open", check_out=None)))
    assert said(still, EventKind.STANDS) == "It stands: approved. 5.00 978 is held."


def test_a_part_and_one_that_another_replaced() -> None:
    part = with_transaction(state=State.APPROVED, due=None, approved=100)
    assert said(part, EventKind.STANDS) == (
        f"It stands: {Result.PARTLY.value} (approved). 1.00 978 of the 2.50 978 asked for was charged."
    )
    old = replace(SENT, uuid=TWO, state=State.CLOSED, due=None, replaced_by=ONE, attempts=(attempt(1),))
    both = replace(KEPT, transactions=(old, replace(SENT, attempts=(attempt(1),))))
    assert [event.facts["uuid"] for event in story(both) if event.kind is EventKind.SENT] == [TWO, ONE]
    closed = with_transaction(state=State.CLOSED, due=None, replaced_by=TWO)
    assert f"{TWO} took its place." in said(closed, EventKind.STANDS)


def test_no_card_number_is_told() -> None:
    whole = replace(
        with_transaction(state=State.IN_DOUBT, attempts=(attempt(1),), due=None),
        mailings=(Mailing("in_doubt", "in_doubt/timeout", "x", NOW),),
    )
    assert findings("story", "\n".join(map(str, story(whole))).encode(), [PAN]) == []


@pytest.mark.parametrize(
    ("microseconds", "words"),
    [(0, "0 ms"), (412_000, "412 ms"), (1_500_000, "1.5 s"), (90 * SECOND, "90 s"), (15 * MINUTE, "15 min"),
     (9 * HOUR, "9 h"), (156 * HOUR, "6.5 days")],
)  # fmt: skip
def test_spans(microseconds: int, words: str) -> None:
    assert span(microseconds) == words


def test_small_words() -> None:
    assert money(1_234_505, "12") == "12345.05 12"
    assert every(90 * SECOND) == "1.5 min"
    assert sentence("a.", None, "", "b.") == "a. b."
