"""Realtime taps at intake: the checks in their order, what commit 1 begins, and what the journal knows better."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid5

import pytest

from device.vl1.codes import TapKind
from tests.intake_taps import NOW, OK, PRODUCTION, TERMINAL, UUID_1, Requests, card, denied, report, setting
from tests.realtime_taps import (
    CHECK_IN,
    CHECK_IN_UUID,
    CHECK_OUT,
    GATE,
    KNOWN_FARE,
    OPEN,
    PAYMENT,
    TRY_UUID,
    realtime,
    trying,
)
from tpsd.core.asking import UNDER_WAY, JourneyMovedError
from tpsd.core.candidate import Asking, LanePolicy
from tpsd.core.fares import Zones
from tpsd.core.intake import CardKeys, Effect, Facts, KnownTap, decide, kind_of, prepare
from tpsd.core.journeys import Input
from tpsd.core.passback import CardPast, PassBack
from tpsd.core.texts import REASONS
from tpsd.domain.authorisation import State
from tpsd.domain.journey import Journey, LastTry
from tpsd.domain.tap import Disposition, Kind, Oda, Shown, Told, Verdict
from tpsd.domain.time import MINUTE, SECOND, Micros

CLOCK = Told(Verdict.OUT_OF_SERVICE, "clock")
NO_KEY: dict[str, Any] = {"keys": CardKeys()}
EXPIRED: dict[str, Any] = {"card": card("2001")}
ASKS: dict[str, Any] = {"enquires": True}
OTHER = "44444444-4444-4444-8444-444444444444"

# Each fails its own check and would fail every later one too: the earliest decides. Journey lanes go by zones, so
# that a fare can be missing.
BAD_TAP: dict[str, Any] = {"currency": "840", "stop": "Z", "age_ms": None, "oda": Oda.FAILED, "card": card("2001")}
NO_FARE: dict[str, Any] = {"fare": None, "zone": "Z"}

ORDER: list[tuple[str, LanePolicy, dict[str, Any], dict[str, Any]]] = [
    # reason, lane, what of the tap is better by then, the configuration
    ("kind", CHECK_OUT, {"kind": 0x05}, PRODUCTION | NO_KEY),
    ("no_token", CHECK_OUT, {}, PRODUCTION | NO_KEY),
    ("no_check_in", CHECK_OUT, {}, PRODUCTION),
    ("currency", CHECK_IN, {}, PRODUCTION),
    ("no_fare", CHECK_IN, {"currency": None}, PRODUCTION),
    ("amount_limit", CHECK_IN, {"currency": None, "amount": 1001}, PRODUCTION),
    ("stale", CHECK_IN, {"currency": None, "amount": 250}, PRODUCTION),
    ("mode", CHECK_IN, {"currency": None, "amount": 250, "age_ms": 0}, PRODUCTION),
    ("expired", CHECK_IN, {"currency": None, "amount": 250, "age_ms": 0}, {}),
    ("oda", CHECK_IN, {"currency": None, "amount": 250, "age_ms": 0, "card": card()}, {}),
]


@pytest.mark.parametrize(("reason", "lane", "better", "configured"), ORDER, ids=[row[0] for row in ORDER])
def test_the_order_of_the_checks(
    reason: str, lane: LanePolicy, better: dict[str, Any], configured: dict[str, Any]
) -> None:
    candidate = realtime(replace(lane, **NO_FARE), None, configured, **(BAD_TAP | better))
    assert candidate.local == denied(reason)
    assert reason in REASONS


@pytest.mark.parametrize(
    ("age_ms", "stale"),
    [(None, True), (0, False), (9_999, False), (10_000, False), (10_001, True), (2**32 - 1, True)],
)
@pytest.mark.parametrize("lane", [PAYMENT, KNOWN_FARE, CHECK_IN, CHECK_OUT])
def test_a_tap_older_than_its_lane_or_of_unknown_age_is_stale(
    lane: LanePolicy, age_ms: int | None, stale: bool
) -> None:
    candidate = realtime(lane, OPEN if lane is CHECK_OUT else None, age_ms=age_ms)
    assert (candidate.local, candidate.draft is None) == (denied("stale") if stale else OK, stale)
    if stale:
        decision = decide(candidate, Facts(journey=candidate.journey))
        assert (decision.told, decision.disposition, decision.asking) == (denied("stale"), Disposition.STALE, None)


def test_a_lanes_own_patience_is_its_age_limit() -> None:
    patient = replace(PAYMENT, verdict_us=60 * SECOND)
    assert realtime(patient, age_ms=60_000).local == OK
    assert realtime(patient, age_ms=60_001).local == denied("stale")
    assert realtime(replace(PAYMENT, realtime=False, kinds=KNOWN_FARE.kinds, kind=Kind.KFT), age_ms=None).local == OK


KINDS: list[tuple[LanePolicy, int, Journey | None, Kind | None, str]] = [
    # lane, DF8A03, journey → kind, local reason
    (PAYMENT, 0x00, None, Kind.RETAIL_PAYMENT, "ok"),
    (PAYMENT, 0x04, None, Kind.RETAIL_PAYMENT, "ok"),
    (PAYMENT, 0x01, None, Kind.MTT, "kind"),
    (PAYMENT, 0x07, None, Kind.RETAIL_CHECK_IN, "kind"),
    (PAYMENT, 0x09, None, None, "unknown_kind"),
    (KNOWN_FARE, 0x00, None, Kind.KFT, "ok"),
    (KNOWN_FARE, 0x03, None, Kind.KFT, "ok"),
    (KNOWN_FARE, 0x02, None, Kind.KFT, "kind"),
    (CHECK_IN, 0x00, None, Kind.RETAIL_CHECK_IN, "ok"),
    (CHECK_IN, 0x00, OPEN, Kind.RETAIL_CHECK_IN, "ok"),
    (CHECK_IN, 0x07, OPEN, Kind.RETAIL_CHECK_OUT, "kind"),
    (CHECK_IN, 0x06, OPEN, Kind.RETAIL_CHECK_OUT, "kind"),
    (CHECK_OUT, 0x00, OPEN, Kind.RETAIL_CHECK_OUT, "ok"),
    (CHECK_OUT, 0x00, None, Kind.RETAIL_CHECK_OUT, "no_check_in"),
    (CHECK_OUT, 0x07, None, Kind.RETAIL_CHECK_IN, "kind"),
    (GATE, 0x00, None, Kind.RETAIL_CHECK_IN, "ok"),
    (GATE, 0x00, OPEN, Kind.RETAIL_CHECK_OUT, "ok"),
    (GATE, 0x07, None, Kind.RETAIL_CHECK_IN, "ok"),
    (GATE, 0x07, OPEN, Kind.RETAIL_CHECK_OUT, "ok"),
    (GATE, 0x07, trying(2), Kind.RETAIL_CHECK_OUT, "ok"),
    (GATE, 0x05, OPEN, Kind.RETAIL_CHECK_IN, "ok"),
    (GATE, 0x06, None, Kind.RETAIL_CHECK_OUT, "no_check_in"),
    (GATE, 0x04, None, Kind.RETAIL_PAYMENT, "kind"),
]


@pytest.mark.parametrize(("lane", "code", "journey", "kind", "reason"), KINDS)
def test_what_a_tap_is(lane: LanePolicy, code: int, journey: Journey | None, kind: Kind | None, reason: str) -> None:
    assert kind_of(report(kind=code), lane, journey) is kind
    assert realtime(lane, journey, kind=code).local.reason == reason


def test_a_card_without_a_token_has_no_journey() -> None:
    for lane in (CHECK_IN, CHECK_OUT, GATE):
        candidate = realtime(lane, None, NO_KEY)
        assert (candidate.local, candidate.draft, candidate.keeps_journeys) == (denied("no_token"), None, False)
        assert decide(candidate, Facts()).told == denied("no_token")
    assert realtime(PAYMENT, None, NO_KEY).local == OK
    assert realtime(replace(PAYMENT, untokenised_denied=True), None, NO_KEY).local == denied("untokenised")


def test_a_check_out_names_its_check_in_and_carries_the_new_taps_data() -> None:
    requests = Requests()
    candidate = realtime(CHECK_OUT, OPEN, requests=requests)
    (request,) = requests.seen
    assert (request.type, request.initial_uuid, request.uuid) == ("RETAIL_CHECK_OUT", UUID(CHECK_IN_UUID), UUID_1)
    assert request.tag
    assert candidate.draft is not None
    assert candidate.draft.initial == CHECK_IN_UUID
    begun = decide(candidate, Facts(journey=OPEN))
    assert begun.asking == Asking(step=Input.CHECK_OUT)
    assert (begun.told, begun.state, begun.disposition) == (None, State.SENDING, None)


def test_a_payment_and_a_check_in_follow_nothing() -> None:
    for lane, type_ in ((PAYMENT, "RETAIL_PAYMENT"), (KNOWN_FARE, "KFT"), (CHECK_IN, "RETAIL_CHECK_IN")):
        requests = Requests()
        candidate = realtime(lane, requests=requests)
        assert [(request.type, request.initial_uuid) for request in requests.seen] == [(type_, None)]
        begun = decide(candidate, Facts())
        assert (begun.told, begun.state, begun.asking) == (None, State.SENDING, Asking())


@pytest.mark.parametrize("bad", [EXPIRED, {"oda": Oda.FAILED}], ids=["expired", "oda"])
def test_neither_the_card_nor_a_list_stops_a_check_out(bad: dict[str, Any]) -> None:
    assert realtime(CHECK_IN, **bad).local.verdict is Verdict.DENIED
    for lane in (CHECK_OUT, GATE):
        candidate = realtime(lane, OPEN, **bad)
        assert candidate.local == OK
        assert decide(candidate, Facts(journey=OPEN, denied=True)).asking == Asking(step=Input.CHECK_OUT)
    listed = decide(realtime(CHECK_IN), Facts(denied=True))
    assert (listed.told, listed.disposition) == (denied("deny_list"), Disposition.DENIED)
    assert decide(realtime(PAYMENT), Facts(denied=True)).told == denied("deny_list")


def test_pass_back_keeps_a_double_tap_from_ending_a_journey() -> None:
    lane = replace(GATE, pass_back=PassBack(5 * SECOND, 60 * SECOND))
    candidate = realtime(lane, OPEN)
    near = decide(candidate, Facts(journey=OPEN, card_past=CardPast(1 * SECOND, riders=1)))
    assert (near.told, near.disposition) == (Told(Verdict.ALREADY_TAPPED, "repeat"), Disposition.REPEAT)
    assert decide(candidate, Facts(journey=OPEN, card_past=CardPast(30 * SECOND))).told == denied("pass_back")
    between = CardPast(1 * SECOND, riders=1, unsettled=True)
    assert decide(candidate, Facts(journey=OPEN, card_past=between)).asking == Asking(step=Input.CHECK_OUT)


UNTRUSTED: dict[str, tuple[LanePolicy, dict[str, Any], Told]] = {
    "a good tap": (PAYMENT, {}, CLOCK),
    "a check-in": (CHECK_IN, {}, CLOCK),
    "a stamp of its own": (PAYMENT, {"tapped_at": NOW}, CLOCK),
    "no stamp": (PAYMENT, {"tapped_at": None}, CLOCK),
    "above the limit": (PAYMENT, {"amount": 1001}, CLOCK),
    "offline authentication failed": (PAYMENT, {"oda": Oda.FAILED}, CLOCK),
    "another currency": (PAYMENT, {"currency": "840"}, CLOCK),
    "expired by its own stamp": (PAYMENT, EXPIRED, CLOCK),
    "another kind": (PAYMENT, {"kind": 0x01}, denied("kind")),
    "stale": (PAYMENT, {"age_ms": 60_000}, denied("stale")),
    "malformed": (PAYMENT, {"fault": "cut", "card": ()}, Told(Verdict.TRY_AGAIN, "malformed")),
}


@pytest.mark.parametrize("shown", Shown)
@pytest.mark.parametrize("case", UNTRUSTED)
def test_nothing_is_sent_while_the_time_is_not_known(case: str, shown: Shown) -> None:
    """Also not of a passenger who was let in: there is no request without a time, and later is too late."""
    lane, tap, told = UNTRUSTED[case]
    candidate = realtime(lane, untrusted="5f2c", shown=shown, **tap)
    assert (candidate.local, candidate.draft) == (told, None)
    decision = decide(candidate, Facts())
    assert (decision.asking, decision.state) == (None, None)
    assert decision.told == (denied("turned_away") if shown is Shown.TURNED_AWAY else told)
    unsent = [f"unseen/{told.reason}@{TERMINAL}"] if shown is Shown.LET_IN else []
    assert [notice.cause for notice in decision.notices] == unsent


def test_a_passenger_who_was_turned_away_is_not_charged() -> None:
    for lane, journey in ((PAYMENT, None), (CHECK_IN, None), (CHECK_OUT, OPEN)):
        decision = decide(realtime(lane, journey, shown=Shown.TURNED_AWAY), Facts(journey=journey, under_way=True))
        assert (decision.told, decision.disposition) == (denied("turned_away"), Disposition.DENIED)
        assert (decision.asking, decision.notices) == (None, ())


@pytest.mark.parametrize(
    ("lane", "tap", "facts", "note"),
    [
        (PAYMENT, {}, Facts(), None),
        (PAYMENT, {"oda": Oda.FAILED}, Facts(), "oda"),
        (PAYMENT, {"amount": 1001}, Facts(), "amount_limit"),
        (PAYMENT, {}, Facts(denied=True), "deny_list"),
        (CHECK_IN, EXPIRED, Facts(), "expired"),
    ],
)
def test_of_a_passenger_who_was_let_in_tps_is_asked_whatever_the_checks_say(
    lane: LanePolicy, tap: dict[str, Any], facts: Facts, note: str | None
) -> None:
    decision = decide(realtime(lane, shown=Shown.LET_IN, **tap), facts)
    assert (decision.told, decision.asking, decision.note) == (None, Asking(), note)
    assert (decision.state, decision.notices) == (State.SENDING, ())


IN_DOUBT = trying(1, LastTry(TRY_UUID, State.IN_DOUBT, 320, may_have_charged=True))
LATER = replace(OPEN, opened_at=Micros(NOW + 1))

REFUSED: dict[str, tuple[LanePolicy, Facts, Told, Disposition]] = {
    "under way": (PAYMENT, Facts(under_way=True), UNDER_WAY, Disposition.REPEAT),
    "checking in under way": (CHECK_IN, Facts(under_way=True), UNDER_WAY, Disposition.REPEAT),
    "checking out under way": (CHECK_OUT, Facts(journey=OPEN, under_way=True), UNDER_WAY, Disposition.REPEAT),
    "a journey is open": (CHECK_IN, Facts(journey=OPEN), denied("journey_open"), Disposition.DENIED),
    "one is checking out": (CHECK_IN, Facts(journey=trying(1)), denied("journey_open"), Disposition.DENIED),
    "the last try is in doubt": (
        CHECK_OUT,
        Facts(journey=IN_DOUBT),
        Told(Verdict.CHECK_OUT_FAILED, "in_doubt"),
        Disposition.DENIED,
    ),
    "before its check-in": (CHECK_OUT, Facts(journey=LATER), denied("out_of_order"), Disposition.DENIED),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_journal_knows_better(case: str) -> None:
    lane, facts, told, disposition = REFUSED[case]
    decision = decide(realtime(lane, facts.journey), facts)
    assert (decision.told, decision.disposition) == (told, disposition)
    assert (decision.asking, decision.state, decision.notices) == (None, None, ())
    assert told.reason in REASONS


@pytest.mark.parametrize("case", REFUSED)
def test_a_person_hears_of_whom_it_refuses_although_they_were_let_in(case: str) -> None:
    lane, facts, told, _ = REFUSED[case]
    decision = decide(realtime(lane, facts.journey, shown=Shown.LET_IN), facts)
    assert (decision.told, decision.asking) == (told, None)
    assert [notice.cause for notice in decision.notices] == [f"unseen/{told.reason}@{TERMINAL}"]


def test_a_clash_is_told_beside_what_is_asked() -> None:
    for facts in (Facts(clash=True), Facts(clash=True, under_way=True)):
        decision = decide(realtime(PAYMENT), facts)
        assert [notice.cause for notice in decision.notices] == [f"alarm/tap_identity@{TERMINAL}"]


@pytest.mark.parametrize(
    ("received_at", "age_ms", "before"),
    [
        (OPEN.opened_at, 0, False),
        (Micros(OPEN.opened_at - 1), 0, True),
        (Micros(OPEN.opened_at + 5 * SECOND), 5_000, False),
        (Micros(OPEN.opened_at + 5 * SECOND - 1), 5_000, True),
    ],
)
def test_the_order_of_taps_is_by_our_own_clock(received_at: Micros, age_ms: int, before: bool) -> None:
    for stamp in (Micros(OPEN.opened_at - 3600 * SECOND), Micros(OPEN.opened_at + 3600 * SECOND), None):
        candidate = realtime(CHECK_OUT, OPEN, received_at=received_at, age_ms=age_ms, tapped_at=stamp)
        told = decide(candidate, Facts(journey=OPEN)).told
        assert told == (denied("out_of_order") if before else None)


@pytest.mark.parametrize("state", State)
def test_the_same_bytes_go_again_exactly_while_a_try_waits_for_a_tap(state: State) -> None:
    journey = trying(1, LastTry(TRY_UUID, state, 320, may_have_charged=True))
    decision = decide(realtime(CHECK_OUT, journey), Facts(journey=journey))
    if state is State.IN_DOUBT:
        assert decision.asking is None
    else:
        same_as = TRY_UUID if state is State.AWAITING_TAP else None
        assert decision.asking == Asking(same_as=same_as, step=Input.CHECK_OUT)


MOVES: list[tuple[Journey | None, Journey | None]] = [
    (None, OPEN),
    (OPEN, None),
    (OPEN, trying(1)),
    (trying(1), trying(2)),
    (trying(1), trying(1, State.DECLINED)),
    (OPEN, replace(OPEN, id=8)),
]


@pytest.mark.parametrize("lane", [CHECK_IN, CHECK_OUT, GATE])
@pytest.mark.parametrize(("seen", "found"), MOVES)
def test_a_journey_that_moved_meanwhile_is_looked_at_again(
    lane: LanePolicy, seen: Journey | None, found: Journey | None
) -> None:
    with pytest.raises(JourneyMovedError):
        decide(realtime(lane, seen), Facts(journey=found))


def test_a_journey_concerns_only_taps_that_keep_one() -> None:
    assert decide(realtime(PAYMENT), Facts(journey=OPEN)).asking == Asking()
    known = KnownTap(9, denied("journey_open"), Disposition.DENIED, None, 0, unseen=False)
    assert decide(realtime(CHECK_IN), Facts(known=known, journey=OPEN)).told == denied("journey_open")


@pytest.mark.parametrize("code", [TapKind.CHECK_IN, TapKind.CHECK_OUT])
@pytest.mark.parametrize("lane", [PAYMENT, KNOWN_FARE])
def test_a_kind_that_its_lane_refuses_is_refused_whatever_the_cards_journey(lane: LanePolicy, code: TapKind) -> None:
    assert decide(realtime(lane, kind=code), Facts(journey=OPEN)).told == denied("kind")


@pytest.mark.parametrize("journey", [OPEN, trying(1), trying(2, State.DECLINED)])
@pytest.mark.parametrize("late", [False, True])
def test_a_journey_that_is_over_is_continued_by_no_tap(journey: Journey, late: bool) -> None:
    """Its attendant may be late after a machine's sleep; TPS may know the last try's UUID no more."""
    configured = {"journey_us": 20 * MINUTE - late}
    told = None if not late else denied("no_check_in")
    for lane, code in ((CHECK_OUT, TapKind.LANE), (GATE, TapKind.CHECK_OUT)):
        assert decide(realtime(lane, journey, configured, kind=code), Facts(journey=journey)).told == told
    for lane, code in ((CHECK_IN, TapKind.LANE), (CLOSING, TapKind.LANE), (GATE, TapKind.CHECK_IN)):
        decision = decide(realtime(lane, journey, configured, kind=code), Facts(journey=journey))
        assert (decision.told == UNDER_WAY) == late
    by_journey = realtime(GATE, journey, configured)
    assert by_journey.kind is (Kind.RETAIL_CHECK_IN if late else Kind.RETAIL_CHECK_OUT)


CLOSING = replace(CHECK_IN, closes_old_journey=True)


def test_a_check_in_may_end_the_old_journey_for_what_it_holds() -> None:
    requests = Requests()
    candidate = realtime(CLOSING, OPEN, requests=requests)
    new, old = requests.seen
    assert (new.type, new.initial_uuid, new.amount) == ("RETAIL_CHECK_IN", None, 250)
    assert (old.type, old.initial_uuid, old.amount) == ("RETAIL_CHECK_OUT", UUID(CHECK_IN_UUID), OPEN.held)
    assert (old.tapped_at, old.currency, old.tag, old.pan_token) == (OPEN.opened_at, "978", b"", None)
    closing = candidate.closing
    assert closing is not None
    assert closing.uuid == old.uuid == uuid5(UUID_1, "closing")
    assert (closing.type, closing.amount, closing.initial) == ("RETAIL_CHECK_OUT", OPEN.held, CHECK_IN_UUID)
    assert decide(candidate, Facts(journey=OPEN)).asking == Asking(step=Input.HAND)


def test_the_same_check_in_makes_the_same_closing_and_another_makes_another() -> None:
    first, again = realtime(CLOSING, OPEN).closing, realtime(CLOSING, OPEN).closing
    assert first == again
    other = realtime(CLOSING, OPEN, uuid=UUID(OTHER)).closing
    assert first is not None
    assert other is not None
    assert other.uuid != first.uuid


def test_a_journey_that_is_being_checked_out_is_not_ended_by_a_check_in() -> None:
    candidate = realtime(CLOSING, trying(1))
    assert decide(candidate, Facts(journey=trying(1))).told == denied("journey_open")


def test_nothing_is_closed_where_there_is_nothing_or_where_it_is_not_wanted() -> None:
    assert realtime(CLOSING).closing is None
    assert realtime(CHECK_IN, OPEN).closing is None
    assert realtime(replace(GATE, closes_old_journey=True), OPEN).closing is None
    assert realtime(CLOSING, OPEN, age_ms=None).closing is None
    assert decide(realtime(CLOSING), Facts()).asking == Asking()


@pytest.mark.parametrize("lane", [PAYMENT, KNOWN_FARE, CHECK_IN])
def test_what_is_in_doubt_is_asked_about_first(lane: LanePolicy) -> None:
    doubtful = Facts(doubtful=OTHER)
    assert decide(realtime(lane, None, ASKS), doubtful).asking == Asking(asks_first=OTHER)
    assert decide(realtime(lane, None, ASKS), Facts()).asking == Asking()
    assert decide(realtime(lane), doubtful).asking == Asking(), "nobody can be asked"


def test_what_is_in_doubt_is_asked_about_first_also_where_an_old_journey_ends() -> None:
    candidate = realtime(CLOSING, OPEN, ASKS)
    decision = decide(candidate, Facts(journey=OPEN, doubtful=OTHER))
    assert decision.asking == Asking(asks_first=OTHER, step=Input.HAND)


REPEATS: list[tuple[Shown, KnownTap, Effect, list[str]]] = [
    # shown, the row → effect, notices
    (Shown.NOTHING, KnownTap(9, None, None, State.SENDING, 1, unseen=False), Effect.NONE, []),
    (Shown.TURNED_AWAY, KnownTap(9, None, None, State.SENDING, 1, unseen=False), Effect.NONE, []),
    (Shown.LET_IN, KnownTap(9, None, None, State.SENDING, 1, unseen=False), Effect.NONE, []),
    (Shown.LET_IN, KnownTap(9, denied("timeout"), None, State.FAILED, 1, unseen=False), Effect.NONE, ["timeout"]),
    (Shown.LET_IN, KnownTap(9, denied("action.116"), None, State.DECLINED, 1, unseen=False), Effect.NONE,
     ["action.116"]),
    (Shown.LET_IN, KnownTap(9, denied("deny_list"), Disposition.DENIED, None, 0, unseen=False), Effect.NONE,
     ["deny_list"]),
    (Shown.LET_IN, KnownTap(9, denied("stale"), Disposition.STALE, None, 0, unseen=False), Effect.NONE, ["stale"]),
    (Shown.LET_IN, KnownTap(9, denied("action.116"), None, State.DECLINED, 1, unseen=False, shown=Shown.LET_IN),
     Effect.NONE, []),
    (Shown.LET_IN, KnownTap(9, Told(Verdict.ACCEPTED, "approved", 250), None, State.APPROVED, 1, unseen=False),
     Effect.NONE, []),
    (Shown.TURNED_AWAY, KnownTap(9, Told(Verdict.ACCEPTED, "approved", 250), None, State.APPROVED, 1, unseen=False),
     Effect.UNSEEN, ["turned_away"]),
    (Shown.TURNED_AWAY, KnownTap(9, denied("action.116"), None, State.DECLINED, 1, unseen=False), Effect.NONE, []),
]  # fmt: skip


@pytest.mark.parametrize(("shown", "row", "effect", "reasons"), REPEATS)
def test_a_repeat_of_a_realtime_tap_is_never_sent_late(
    shown: Shown, row: KnownTap, effect: Effect, reasons: list[str]
) -> None:
    decision = decide(realtime(PAYMENT, shown=shown), Facts(known=row))
    assert (decision.told, decision.known, decision.effect) == (row.told, 9, effect)
    assert (decision.state, decision.asking) == (None, None)
    assert [notice.cause for notice in decision.notices] == [f"unseen/{reason}@{TERMINAL}" for reason in reasons]


ZONES = Zones({("A", "B"): 320, ("A", "C"): 500})


def test_fares_by_zone_at_check_in_and_check_out() -> None:
    by_table: dict[str, Any] = {"fare": None, "zone": "A"}
    zoned: dict[str, Any] = {"zones": ZONES}

    def amount(lane: LanePolicy, journey: Journey | None, **tap: Any) -> int | None:
        return realtime(lane, journey, zoned, **tap).amount

    assert amount(replace(CHECK_IN, **by_table), None) == 500
    assert amount(replace(CHECK_OUT, **by_table), replace(OPEN, zone="B")) == 320
    assert amount(replace(CHECK_OUT, **by_table), replace(OPEN, zone="B"), stop="C") is None
    assert amount(replace(CHECK_OUT, **by_table), replace(OPEN, zone="A"), stop="C") == 500
    assert amount(replace(CHECK_OUT, **by_table), replace(OPEN, zone="A"), amount=75) == 75
    unpriced = realtime(replace(CHECK_OUT, **by_table), replace(OPEN, zone=None), zoned)
    assert (unpriced.local, unpriced.draft) == (denied("no_fare"), None)
    assert realtime(replace(CHECK_IN, **by_table), None, zoned, stop="B").zone == "B"
    assert realtime(replace(CHECK_IN, **by_table), None, zoned).zone == "A"


def test_a_candidate_says_whose_journey_it_was_made_for() -> None:
    candidate = realtime(GATE, OPEN, ASKS)
    assert (candidate.journey, candidate.keeps_journeys, candidate.realtime) == (OPEN, True, True)
    assert (candidate.operator, candidate.enquires) == (1001, True)
    deferred = prepare(report(), replace(GATE, realtime=False), setting(), UUID_1)
    assert not deferred.keeps_journeys
