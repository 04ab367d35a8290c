"""What an operator is told of a check-out or refund by hand, and by which day a refund is called a cancellation."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tpsd.admin.journeys import local_date, local_iso, order_page
from tpsd.asking import Receipted
from tpsd.cli.journeys import came_of
from tpsd.core.following import Original
from tpsd.domain.authorisation import State
from tpsd.domain.tap import Kind
from tpsd.domain.time import DAY, HOUR, Micros

CHARGED_AT = Micros(int(datetime(2026, 11, 23, 22, 30, tzinfo=UTC).timestamp()) * 1_000_000)
PAYMENT = "0c7f3f6e-55f4-4f6b-9df2-3a1f5b1d7a01"
UUID = "7f3c0e0a-1111-4222-8333-444455556666"
ORIGINAL = Original(
    PAYMENT, Kind.RETAIL_PAYMENT, State.APPROVED, "gate-1", "GATE-X1:VAL00042", "VAL00042", "GATE-X1", "common", 250,
    250, "978", CHARGED_AT,
)  # fmt: skip


@pytest.fixture
def auckland(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine stands in New Zealand, thirteen hours before UTC at that time of the year."""
    monkeypatch.setenv("TZ", "NZST-12NZDT,M9.5.0,M4.1.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def page(
    order: str = "refund", now: Micros = CHARGED_AT, original: Original = ORIGINAL, **fields: Any
) -> dict[str, Any]:
    values: dict[str, Any] = {"uuid": UUID, "amount": 250, "state": "approved", "cause": "action.000"}
    return order_page(order, Receipted(original=original, **(values | fields)), now)


def told(order: str = "checkout", **fields: Any) -> tuple[bool, str]:
    return came_of(page(order, **fields))


@pytest.mark.usefixtures("auckland")
def test_a_day_is_this_machines() -> None:
    """At 22:30 UTC it is 11:30 of the next day there: an hour and a half earlier or twelve later is the same day."""
    assert str(local_date(CHARGED_AT)) == "2026-11-24"
    assert local_iso(Micros(CHARGED_AT + 123_999)) == "2026-11-24T11:30:00.123+13:00"
    assert page(now=Micros(CHARGED_AT + 12 * HOUR))["same_day"] is True
    assert page(now=Micros(CHARGED_AT + 13 * HOUR))["same_day"] is False
    assert page(now=Micros(CHARGED_AT + DAY))["same_day"] is False


@pytest.mark.usefixtures("auckland")
def test_a_refund_says_whether_it_is_a_cancellation() -> None:
    done, words = told("refund")
    assert done
    assert words == (
        f"approved: the refund of 2.50 978 ({UUID}); the charge is of the same day, so this is a cancellation, "
        "usually free"
    )
    done, words = came_of(page(now=Micros(CHARGED_AT + DAY)))
    assert done
    assert words.endswith("; the charge is of 2026-11-24, so this is a refund, which costs")
    assert "same day" in came_of(page(state="declined", cause="action.116"))[1]


def test_a_check_out_and_a_release_have_no_such_day() -> None:
    assert page("checkout")["same_day"] is None
    assert told("checkout") == (True, f"approved: the check-out of 2.50 978 ({UUID})")
    check_in = Original(
        PAYMENT, Kind.RETAIL_CHECK_IN, State.APPROVED, "l", "t", "s", "t", "common", 500, 500, "978", CHARGED_AT
    )  # fmt: skip
    found = page("refund", original=check_in, amount=0)
    assert (found["order"], came_of(found)[1]) == (
        "release",
        f"approved: the release of what the check-in holds ({UUID})",
    )
    assert told("checkout", amount=0)[1].startswith("approved: the release of what the check-in holds")


def test_a_part_is_said_to_be_one() -> None:
    assert told(approved=100) == (True, f"approved: the check-out of 2.50 978, but only 1.00 978 of it ({UUID})")
    assert told(approved=250) == (True, f"approved: the check-out of 2.50 978 ({UUID})")


@pytest.mark.parametrize(
    ("state", "cause", "words"),
    [
        ("declined", "action.116", "was declined (action code 116, the account holds too little)"),
        ("tap_refused", "system.60", "was refused by TPS (system code 60, INVALID_VALIDATOR_DATA_TAG)"),
        ("failed", "http.503", "failed (http.503)"),
    ],
)
def test_what_is_not_done_may_be_ordered_again(state: str, cause: str, words: str) -> None:
    assert told(state=state, cause=cause) == (
        False,
        f"not done: the check-out of 2.50 978 {words}; it may be ordered again",
    )


def test_an_unknown_answer_is_in_doubt_and_says_what_to_do() -> None:
    done, words = told(state="in_doubt", cause="timeout")
    assert not done
    assert words.startswith("in doubt (timeout): nobody knows whether the check-out of 2.50 978 was made. ")
    assert f"'tpsd resolve {UUID} --as charged' or '--as not-charged'" in words
    assert "Do not pay it in another way" in words
    done, words = told("refund", state="in_doubt", cause="timeout", enquired=True)
    assert not done
    assert "TPS is being asked about it: see 'tpsd in-doubt'" in words


@pytest.mark.parametrize("state", ["sending", "in_doubt", "pending"])
def test_what_was_ordered_before_is_told_with_its_state(state: str) -> None:
    done, words = told(state=state, cause="", already=True)
    assert done
    assert words.startswith("ordered before, so nothing was sent now: the check-out of 2.50 978 ")
    assert UUID in words
    assert ("tpsd resolve" in words) is (state == "in_doubt")


def test_what_another_settled_is_looked_up() -> None:
    assert told(state="settled elsewhere", cause="") == (
        False, f"the check-out of 2.50 978 was settled by somebody else meanwhile; see: tpsd show {UUID}",
    )  # fmt: skip
