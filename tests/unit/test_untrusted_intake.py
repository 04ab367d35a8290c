"""Taps taken before the time is known: told a verdict, their bytes not made, their time marked as our guess."""

from __future__ import annotations

from typing import Any

import pytest

from tests.intake_taps import ENCRYPTED, LANE, NOW, OK, UUID_1, Requests, at, card, denied, report, setting
from tpsd.core.intake import Candidate, Facts, decide, prepare
from tpsd.core.taptime import CLOCK_FLOOR
from tpsd.domain.authorisation import State
from tpsd.domain.tap import Kind
from tpsd.domain.time import SECOND, Micros

LIFE = "5f2c"
UNSET = Micros(30 * SECOND)
EXPIRED = card("2001")


def untrusted(requests: Requests | None = None, **fields: Any) -> Candidate:
    return prepare(report(received_at=UNSET, **fields), LANE, setting(requests), UUID_1, LIFE)


def test_the_bytes_wait_and_everything_else_is_there() -> None:
    requests = Requests()
    candidate = untrusted(requests, tapped_at=None)
    draft = candidate.draft
    assert draft is not None
    assert (draft.path, draft.body, draft.uuid, draft.amount) == ("", None, UUID_1, 250)
    assert (candidate.clock_life, candidate.untimed, candidate.local) == (LIFE, True, OK)
    assert candidate.card == prepare(report(), LANE, setting(), UUID_1).card
    assert len(requests.seen) == 1, "what cannot be sent is refused now, not when the passenger is gone"
    assert decide(candidate, Facts()).state is State.PENDING


def test_a_usable_stamp_of_its_own_is_its_time() -> None:
    candidate = untrusted(tapped_at=NOW)
    assert (candidate.tapped_at, candidate.clock_life) == (NOW, None)
    assert candidate.draft is not None
    assert candidate.draft.body is None
    assert candidate.untimed


@pytest.mark.parametrize("stamp", [None, UNSET, Micros(CLOCK_FLOOR - 1)])
def test_any_other_stamp_is_not(stamp: Micros | None) -> None:
    candidate = untrusted(tapped_at=stamp, age_ms=5_000)
    assert (candidate.tapped_at, candidate.clock_life) == (UNSET - 5 * SECOND, LIFE)


def test_a_tap_older_than_its_daemon_keeps_its_age() -> None:
    assert untrusted(tapped_at=None, age_ms=3_600_000).tapped_at == UNSET - 3600 * SECOND


def test_a_configured_floor() -> None:
    floor = at(2026, 6, 1)
    for stamp, life in ((floor, None), (Micros(floor - 1), LIFE)):
        configured = setting(clock_floor=floor)
        candidate = prepare(report(received_at=UNSET, tapped_at=stamp), LANE, configured, UUID_1, LIFE)
        assert candidate.clock_life == life


def test_expiry_is_judged_only_by_a_stamp_that_means_something() -> None:
    assert untrusted(tapped_at=NOW, card=EXPIRED).local == denied("expired")
    assert untrusted(tapped_at=None, card=EXPIRED).local == OK
    assert prepare(report(tapped_at=None, card=EXPIRED), LANE, setting(), UUID_1).local == denied("expired")
    in_1970 = prepare(report(received_at=UNSET, tapped_at=None, card=EXPIRED), LANE, setting(), UUID_1)
    assert in_1970.local == OK, "a card of 2020 had not expired then"
    ahead = report(received_at=at(2095, 1, 1), tapped_at=None)
    assert prepare(ahead, LANE, setting(), UUID_1, LIFE).local == OK, "a battery that died shows any year"


def test_other_checks_are_as_always() -> None:
    assert untrusted(amount=5000, currency="978").local == denied("amount_limit")
    assert untrusted(kind=0x02).local == denied("kind")
    assert untrusted(card=()).local.reason == "no_card_data"
    assert untrusted(card=()).draft is None
    assert untrusted(card=()).untimed is False, "its own stamp was good"
    assert untrusted(card=(), tapped_at=None).untimed is True
    assert untrusted(card=ENCRYPTED).draft is not None


def test_with_the_time_known_nothing_waits() -> None:
    candidate = prepare(report(tapped_at=None), LANE, setting(), UUID_1)
    assert (candidate.clock_life, candidate.untimed, candidate.tapped_at) == (None, False, NOW)
    assert candidate.kind is Kind.MTT
