"""Inside the transaction: the verdict and the rows of a new tap, what a repeat does, and that no card data raises."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from device.tlv import Form, Tlv, TlvError, decode
from tests.intake_taps import (
    OK,
    PRODUCTION,
    TERMINAL,
    TTK,
    VISA,
    card,
    denied,
    prepared,
    told_of,
    try_again,
)
from tpsd.core.intake import Decision, Effect, Facts, KnownTap, decide
from tpsd.domain.authorisation import State
from tpsd.domain.tap import Disposition, Shown, Told, Verdict


def known(**fields: Any) -> KnownTap:
    values: dict[str, Any] = {
        "number": 7,
        "told": OK,
        "disposition": None,
        "state": State.PENDING,
        "attempts": 0,
        "unseen": False,
    }
    return KnownTap(**(values | fields))


GOOD: dict[str, Any] = {}
EXPIRED: dict[str, Any] = {"card": card("2001")}
BAD_KIND: dict[str, Any] = {"kind": 0x04}
MALFORMED: dict[str, Any] = {"fault": "cut", "card": ()}
NOTHING, LET_IN, AWAY = Shown.NOTHING, Shown.LET_IN, Shown.TURNED_AWAY
LET = Told(Verdict.ACCEPTED, "let_in")

NEW: list[tuple[dict[str, Any], Shown, Told, State | None, Disposition | None, str | None, list[str]]] = [
    # tap, shown → told, state, disposition, note, notices
    (GOOD, NOTHING, OK, State.PENDING, None, None, []),
    (GOOD, LET_IN, OK, State.PENDING, None, None, []),
    (GOOD, AWAY, denied("turned_away"), None, Disposition.DENIED, None, []),
    (EXPIRED, NOTHING, denied("expired"), None, Disposition.DENIED, None, []),
    (EXPIRED, LET_IN, LET, State.PENDING, None, "expired", []),
    (EXPIRED, AWAY, denied("turned_away"), None, Disposition.DENIED, None, []),
    (BAD_KIND, NOTHING, denied("kind"), None, Disposition.DENIED, None, []),
    (BAD_KIND, LET_IN, denied("kind"), None, Disposition.DENIED, None, [f"unseen/kind@{TERMINAL}"]),
    (BAD_KIND, AWAY, denied("turned_away"), None, Disposition.DENIED, None, []),
    (MALFORMED, NOTHING, try_again("malformed"), None, Disposition.REJECTED, None, []),
    (MALFORMED, LET_IN, try_again("malformed"), None, Disposition.REJECTED, None, [f"unseen/malformed@{TERMINAL}"]),
    (MALFORMED, AWAY, denied("turned_away"), None, Disposition.DENIED, None, []),
]


@pytest.mark.parametrize(("tap", "shown", "told", "state", "disposition", "note", "notices"), NEW)
def test_a_new_tap(
    tap: dict[str, Any],
    shown: Shown,
    told: Told,
    state: State | None,
    disposition: Disposition | None,
    note: str | None,
    notices: list[str],
) -> None:
    decision = decide(prepared(shown=shown, **tap), Facts())
    assert (decision.told, decision.state, decision.disposition, decision.note) == (told, state, disposition, note)
    assert [notice.cause for notice in decision.notices] == notices
    assert (decision.known, decision.effect) == (None, Effect.NONE)
    assert (decision.state is None) is (decision.disposition is not None)


@pytest.mark.parametrize("tap", [GOOD, EXPIRED, BAD_KIND])
@pytest.mark.parametrize("shown", Shown)
def test_a_clash_is_an_alarm_beside_the_same_decision(tap: dict[str, Any], shown: Shown) -> None:
    candidate = prepared(shown=shown, **tap)
    alone, clashing = decide(candidate, Facts()), decide(candidate, Facts(clash=True))
    assert [notice.cause for notice in clashing.notices] == [
        f"alarm/tap_identity@{TERMINAL}",
        *[notice.cause for notice in alone.notices],
    ]
    assert replace(clashing, notices=()) == replace(alone, notices=())


def test_a_tap_of_a_held_terminal_joins_with_its_cause() -> None:
    cause = f"system.41@{TERMINAL}"
    decision = decide(prepared(), Facts(held_cause=cause))
    assert (decision.told, decision.state, decision.cause) == (OK, State.HELD, cause)
    assert [notice.cause for notice in decision.notices] == [f"held/{cause}"]
    refused = decide(prepared(**EXPIRED), Facts(held_cause=cause))
    assert (refused.state, refused.cause, refused.notices) == (None, None, ())


DENIED_TAP = known(told=denied("expired"), disposition=Disposition.DENIED, state=None)
REJECTED_TAP = known(told=try_again("malformed"), disposition=Disposition.REJECTED, state=None)
UNSEEN_NOTICE, UNSENT = [f"unseen/turned_away@{TERMINAL}"], "unseen/{}@" + TERMINAL

REPEATS: dict[str, tuple[Shown, KnownTap, Effect, list[str]]] = {
    "nothing shown yet": (NOTHING, known(), Effect.NONE, []),
    "nothing shown, final": (NOTHING, known(state=State.APPROVED, attempts=1), Effect.NONE, []),
    "nothing shown, denied": (NOTHING, DENIED_TAP, Effect.NONE, []),
    "away, unsent": (AWAY, known(), Effect.CANCEL, []),
    "away, held unsent": (AWAY, known(state=State.HELD), Effect.CANCEL, []),
    "away, tried": (AWAY, known(attempts=1), Effect.UNSEEN, UNSEEN_NOTICE),
    "away, held after a send": (AWAY, known(state=State.HELD, attempts=1), Effect.UNSEEN, UNSEEN_NOTICE),
    "away, on its way": (AWAY, known(state=State.SENDING, attempts=1), Effect.UNSEEN, UNSEEN_NOTICE),
    "away, approved": (AWAY, known(state=State.APPROVED, attempts=1), Effect.UNSEEN, UNSEEN_NOTICE),
    "away, told already": (AWAY, known(state=State.APPROVED, attempts=1, unseen=True), Effect.NONE, []),
    "away, cancelled already": (AWAY, known(state=State.NOT_CHARGED), Effect.NONE, []),
    "away, as the verdict said": (AWAY, DENIED_TAP, Effect.NONE, []),
    "away, rejected": (AWAY, REJECTED_TAP, Effect.NONE, []),
    "away, revived before": (AWAY, known(told=denied("expired"), shown=LET_IN), Effect.CANCEL, []),
    "in, as the verdict said": (LET_IN, known(), Effect.NONE, []),
    "in, sent": (LET_IN, known(state=State.APPROVED, attempts=1), Effect.NONE, []),
    "in, denied": (LET_IN, DENIED_TAP, Effect.REVIVE, []),
    "in, rejected": (LET_IN, REJECTED_TAP, Effect.NONE, [UNSENT.format("malformed")]),
    "in, rejected, told already": (LET_IN, replace(REJECTED_TAP, shown=LET_IN), Effect.NONE, []),
    "in, cancelled": (LET_IN, known(state=State.NOT_CHARGED, shown=AWAY), Effect.NONE, [UNSENT.format("ok")]),
    "in, cancelled, told already": (LET_IN, known(state=State.NOT_CHARGED, shown=LET_IN), Effect.NONE, []),
}


@pytest.mark.parametrize(("shown", "row", "effect", "notices"), REPEATS.values(), ids=REPEATS.keys())
def test_a_repeat(shown: Shown, row: KnownTap, effect: Effect, notices: list[str]) -> None:
    decision = decide(prepared(shown=shown), Facts(known=row))
    assert (decision.told, decision.known, decision.effect) == (row.told, 7, effect)
    assert [notice.cause for notice in decision.notices] == notices


PRUNED: dict[str, tuple[Shown, KnownTap, list[str]]] = {
    "nothing shown": (NOTHING, known(state=State.APPROVED), []),
    "away, approved": (AWAY, known(state=State.APPROVED), UNSEEN_NOTICE),
    "away, told already": (AWAY, known(state=State.APPROVED, shown=AWAY), []),
    "away, told before it was pruned": (AWAY, known(state=State.APPROVED, unseen=True), []),
    "away, cancelled": (AWAY, known(state=State.NOT_CHARGED), []),
    "away, revived": (AWAY, known(told=denied("expired"), state=State.APPROVED, shown=LET_IN), UNSEEN_NOTICE),
    "away, as the verdict said": (AWAY, DENIED_TAP, []),
    "in, as the verdict said": (LET_IN, known(state=State.APPROVED), []),
    "in, denied": (LET_IN, DENIED_TAP, [UNSENT.format("expired")]),
    "in, told already": (LET_IN, replace(DENIED_TAP, shown=LET_IN), []),
    "in, cancelled": (LET_IN, known(state=State.NOT_CHARGED, shown=AWAY), [UNSENT.format("ok")]),
}


@pytest.mark.parametrize(("shown", "row", "notices"), PRUNED.values(), ids=PRUNED.keys())
def test_a_repeat_of_a_pruned_tap_has_no_effect(shown: Shown, row: KnownTap, notices: list[str]) -> None:
    decision = decide(prepared(shown=shown), Facts(known=replace(row, pruned=True)))
    assert (decision.told, decision.known, decision.effect, decision.state) == (row.told, 7, Effect.NONE, None)
    assert [notice.cause for notice in decision.notices] == notices


def test_a_denied_tap_that_can_never_be_sent_is_not_revived() -> None:
    decision = decide(prepared(shown=LET_IN, **BAD_KIND), Facts(known=replace(DENIED_TAP, told=denied("kind"))))
    assert (decision.effect, decision.state) == (Effect.NONE, None)
    assert [notice.cause for notice in decision.notices] == [UNSENT.format("kind")]


def test_a_revived_tap_joins_the_held_ones_of_its_terminal() -> None:
    cause = f"system.41@{TERMINAL}"
    decision = decide(prepared(shown=LET_IN, **EXPIRED), Facts(known=DENIED_TAP, held_cause=cause))
    assert (decision.effect, decision.state, decision.cause, decision.note) == (
        Effect.REVIVE,
        State.HELD,
        cause,
        "let_in",
    )
    assert [notice.cause for notice in decision.notices] == [f"held/{cause}"]


@given(
    shown=st.sampled_from(Shown),
    told=st.sampled_from([OK, LET, denied("expired"), try_again("malformed"), denied("turned_away")]),
    disposition=st.sampled_from([None, *Disposition]),
    state=st.sampled_from([None, *State]),
    attempts=st.integers(0, 13),
    unseen=st.booleans(),
    before=st.sampled_from(Shown),
    tap=st.sampled_from([GOOD, EXPIRED, BAD_KIND, MALFORMED]),
)
def test_a_repeat_always_gets_the_verdict_it_had(tap: dict[str, Any], before: Shown, **row: Any) -> None:
    shown = row.pop("shown")
    decision = decide(prepared(shown=shown, **tap), Facts(known=known(shown=before, **row)))
    assert (decision.told, decision.known, decision.disposition) == (row["told"], 7, None)
    if decision.effect is Effect.CANCEL:
        assert row["attempts"] == 0
        assert row["state"] in (State.PENDING, State.HELD)
    assert (decision.state is not None) is (decision.effect is Effect.REVIVE)


tags = st.sampled_from(
    [0x57, 0x5A, 0x5F24, 0x9F36, 0x56, 0xDFFF8401, 0xDFFF8402, 0xDFFF8403, 0xDFFF8404, 0xDFFF8405, 0xDFFF8406, 0xDF7F]
)
values = st.one_of(
    st.binary(max_size=24),
    st.sampled_from([bytes([mode]) for mode in range(6)]),
    st.just(bytes.fromhex(f"{VISA}D31122011758928889")),
)
leaves = st.builds(Tlv, tags, values)
trees = st.recursive(
    leaves,
    lambda inner: st.builds(Tlv.template, st.sampled_from([0x70, 0x77, 0xFFFF8406, 0xE1]), st.lists(inner, max_size=4)),
    max_leaves=12,
)
cards = st.lists(trees, max_size=8).map(tuple)


@given(card=cards, shown=st.sampled_from(Shown), kind=st.integers(0, 255), amount=st.none() | st.integers(0, 2**32 - 1))
@example(card=(Tlv(0x57, b"", form=Form.MASKED), Tlv(0x57, b"x", form=Form.ENCRYPTED)), shown=NOTHING, kind=0, amount=0)
def test_no_card_data_makes_intake_raise(card: tuple[Tlv, ...], shown: Shown, kind: int, amount: int | None) -> None:
    for configured in ({}, TTK, PRODUCTION, PRODUCTION | TTK):
        candidate = prepared(None, configured, card=card, shown=shown, kind=kind, amount=amount)
        decision = decide(candidate, Facts())
        assert isinstance(decision, Decision)
        assert (decision.state is None) is (decision.disposition is not None)


@given(raw=st.binary(max_size=80))
@example(raw=bytes.fromhex("DFFF840101005A084761739001010119"))
def test_nothing_that_decodes_makes_intake_raise(raw: bytes) -> None:
    for vendor_lengths in (False, True):
        try:
            items = decode(raw, vendor_lengths=vendor_lengths)
        except TlvError:
            continue
        assert told_of(decide(prepared(card=items), Facts())).reason
