"""Mail windows: when one is made, what it lists, and when a cause is over."""

from dataclasses import replace

import pytest

from tpsd.core.notices import (
    LISTED_MAX,
    Totals,
    WindowClosed,
    cause_at,
    cause_key,
    close_window,
    mail_retry_due,
    open_episode,
    total,
    totals,
)
from tpsd.domain.notice import Episode, NoticeDraft, NoticeKind, NoticeRow
from tpsd.domain.time import HOUR, MINUTE, SECOND, Micros

T0 = Micros(1_790_000_000_000_000)
KEY = "permanently_failed/timeout"
DRAFT = NoticeDraft(NoticeKind.PERMANENTLY_FAILED, KEY)
ROW = NoticeRow(
    id=1,
    kind=NoticeKind.PERMANENTLY_FAILED,
    cause=KEY,
    detail="",
    created_at=T0,
    tap=7,
    tap_id="VAL00042:3:17",
    uuid=None,
    lane="gate-1",
    tapped_at=T0,
    amount=250,
    currency="978",
    masked="476173******0119",
    attempts=13,
    last_cause="timeout",
    may_have_charged=True,
    state="permanently_failed",
)


def through(*windows: int) -> list[WindowClosed]:
    """Close one window after the other, each with that many notices, until the episode is over."""
    episode: Episode | None = open_episode(DRAFT, T0)
    closed = []
    for count in windows:
        assert episode is not None, "the episode is over"
        closed.append(close_window(episode, [ROW] * count, episode.closes_at))
        episode = closed[-1].next_episode
    return closed


def test_the_first_notice_opens_a_minute() -> None:
    episode = open_episode(ROW, T0)
    assert episode == open_episode(DRAFT, T0)
    assert episode == Episode(NoticeKind.PERMANENTLY_FAILED, KEY, 0, T0, Micros(T0 + MINUTE), 0, 0, 0)


def test_windows_grow_to_an_hour_and_stay_there() -> None:
    followers = [step.next_episode for step in through(1, 1, 1, 1, 1)]
    spans = [episode.closes_at - episode.opened_at for episode in followers if episode]
    assert spans == [10 * MINUTE, 60 * MINUTE, 60 * MINUTE, 60 * MINUTE, 60 * MINUTE]
    assert [episode.step for episode in followers if episode] == [1, 2, 3, 4, 5]


def test_one_failed_tap_is_one_mail_and_no_second() -> None:
    first, second = through(1, 0)
    assert first.mail == (ROW,)
    assert not first.all_clear
    assert second == WindowClosed(None, Totals(0, ()), all_clear=False, next_episode=None)


def test_a_cause_that_lasted_ends_with_an_all_clear_and_its_totals() -> None:
    *_, last_mail, end = through(3, 2, 0)
    assert end.all_clear
    assert end.mail is None
    assert end.next_episode is None
    assert last_mail.next_episode is not None
    episode = last_mail.next_episode
    assert (episode.mails, episode.listed, episode.amount_sum) == (2, 5, 1250)


def test_a_window_that_closes_late_opens_the_next_at_that_moment() -> None:
    late = Micros(T0 + 5 * HOUR)
    closed = close_window(open_episode(DRAFT, T0), [ROW], late)
    assert closed.next_episode is not None
    assert (closed.next_episode.opened_at, closed.next_episode.closes_at) == (late, late + 10 * MINUTE)


def test_at_most_fifty_rows_are_listed_and_all_are_totalled() -> None:
    (closed,) = through(LISTED_MAX + 10)
    assert closed.mail is not None
    assert len(closed.mail) == LISTED_MAX == 50
    assert closed.totals == Totals(60, (("978", 15_000),))


def test_totals_handed_in_count_for_notices_that_were_not_read() -> None:
    known = totals(130_000, {"978": 32_500_000, "752": 5})
    closed = close_window(open_episode(DRAFT, T0), [ROW] * LISTED_MAX, T0, known)
    assert closed.totals == Totals(130_000, (("752", 5), ("978", 32_500_000)))
    assert closed.next_episode is not None
    assert (closed.next_episode.listed, closed.next_episode.amount_sum) == (130_000, 32_500_005)


def test_totals_keep_currencies_apart_and_skip_what_has_no_amount() -> None:
    rows = [ROW, replace(ROW, currency="752", amount=1), replace(ROW, amount=None), replace(ROW, currency=None)]
    assert total(rows) == Totals(4, (("752", 1), ("978", 250)))


def test_keys() -> None:
    assert cause_key(NoticeKind.TAP_REFUSED, "system.60") == "tap_refused/system.60"
    assert cause_key(NoticeKind.HELD, "system.41", "GATE-X1:VAL00042") == "held/system.41@GATE-X1:VAL00042"
    assert cause_at("http.404", None) == "http.404"
    assert cause_at("http.404", "a b\r\n@c/d") == "http.404@a-b---c-d"
    assert len(cause_key(NoticeKind.HELD, "system.41", "x" * 500)) == 128


@pytest.mark.parametrize(
    ("tries", "seconds"),
    [(1, 5), (2, 10), (3, 20), (10, 2560), (11, 3600), (12, 3600), (10**6, 3600), (0, 5)],
)
def test_mails_are_retried_from_five_seconds_to_an_hour(tries: int, seconds: int) -> None:
    assert mail_retry_due(tries, T0) == T0 + seconds * SECOND
