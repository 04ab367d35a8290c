"""The update feed's decisions: what a page changes, which pages are refused, when a new list waits."""

from __future__ import annotations

import pytest

from tpsd.core.feed import (
    ANEW_AFTER,
    JITTER_SHARE,
    LONG_LIST,
    PAGE_RECORDS,
    RETRY_AFTER_US_MAX,
    RETRY_FIRST_US,
    RETRY_MAX_US,
    ROUND_PAGES_MAX,
    Flush,
    Put,
    Step,
    Strike,
    Take,
    alarm,
    asks_with,
    held_back,
    judge,
    pause,
    waits,
)
from tpsd.domain.feed import Action, BadPage, Denial, Foreign, Heard, Loss, NoPage, Page, Record
from tpsd.domain.time import MINUTE, SECOND

A, B, C = (bytes([letter]) * 32 for letter in b"ABC")
FLUSH = Record(Action.FLUSH)
POLL = 5 * MINUTE


def insert(token: bytes) -> Record:
    return Record(Action.INSERT, token)


def delete(token: bytes) -> Record:
    return Record(Action.DELETE, token)


@pytest.mark.parametrize(
    ("records", "steps"),
    [
        ((), ()),
        ((insert(B), insert(A)), (Put((A, B)),)),
        ((Record(Action.UPDATE, A),), (Put((A,)),)),
        ((insert(A), delete(A)), (Strike((A,)),)),
        ((delete(A), insert(A)), (Put((A,)),)),
        ((insert(A), insert(A)), (Put((A,)),)),
        ((delete(A), insert(B)), (Put((B,)), Strike((A,)))),
        ((FLUSH,), (Flush(),)),
        ((FLUSH, insert(A)), (Flush(), Put((A,)))),
        ((insert(A), FLUSH, delete(B), insert(C)), (Put((A,)), Flush(), Put((C,)), Strike((B,)))),
        ((FLUSH, FLUSH), (Flush(), Flush())),
    ],
)
def test_what_a_page_changes(records: tuple[Record, ...], steps: tuple[Step, ...]) -> None:
    assert judge(Page(records, False, "next"), "before", (), listed=True) == Take(steps, "next", False)


@pytest.mark.parametrize(
    ("page", "seen", "cause"),
    [
        (Page((), False, None), (), "token.missing"),
        (Page((), False, "before"), (), "token.repeats"),
        (Page((), False, "x"), ("x", "y"), "token.repeats"),
        (Page((), False, "next"), range(ROUND_PAGES_MAX), "round.endless"),
        (Page((FLUSH,) * (PAGE_RECORDS + 1), True, "next"), (), "page.records"),
        (Page((FLUSH,) * PAGE_RECORDS, True, "next", (Foreign("X", None),)), (), "page.records"),
    ],
)
def test_pages_against_the_contract(page: Page, seen: tuple[str, ...], cause: str) -> None:
    assert judge(page, "before", seen, listed=True) == BadPage(cause)


def test_the_last_page_may_repeat_its_token_or_bring_none() -> None:
    assert judge(Page((), True, "before"), "before", ("before",), listed=True) == Take((), "before", True)
    assert judge(Page((), True, None), "before", (), listed=True) == Take((), "before", True)
    assert judge(Page((), True, None), None, (), listed=False) == Take((), None, True)


def test_a_list_asked_for_from_the_beginning_replaces_what_is_there() -> None:
    page = Page((insert(A),), False, "next")
    assert judge(page, None, (), listed=True).steps == (Flush(), Put((A,)))  # type: ignore[union-attr]
    assert judge(page, None, (), listed=False).steps == (Put((A,)),)  # type: ignore[union-attr]


def test_a_token_that_is_refused_again_and_again_is_given_up() -> None:
    assert [asks_with("t", refusals) for refusals in (0, ANEW_AFTER - 1, ANEW_AFTER)] == ["t", "t", None]


@pytest.mark.parametrize(
    ("loss", "waiting"),
    [
        (Loss(0, 0, 10), False),
        (Loss(LONG_LIST, LONG_LIST, 0), False),
        (Loss(LONG_LIST + 1, 501, 5000), True),
        (Loss(LONG_LIST + 1, 500, 501), False),
        (Loss(2 * LONG_LIST, LONG_LIST, LONG_LIST), False),
        (Loss(2 * LONG_LIST, LONG_LIST + 1, 2 * LONG_LIST), True),
    ],
)
def test_when_a_new_list_waits(loss: Loss, waiting: bool) -> None:
    assert waits(loss) is waiting


@pytest.mark.parametrize(
    ("heard", "failures", "least"),
    [
        (Page((), True), 0, POLL),
        (NoPage("connect"), 1, RETRY_FIRST_US),
        (NoPage("connect"), 2, 2 * RETRY_FIRST_US),
        (NoPage("http.503", retry_after=1), 2, 2 * RETRY_FIRST_US),
        (NoPage("http.503", retry_after=900), 1, 900 * SECOND),
        (NoPage("http.429", retry_after=10**9), 1, RETRY_AFTER_US_MAX),
        (Denial("http.403"), 4, 8 * RETRY_FIRST_US),
        (BadPage("page.json"), 1_000_000, RETRY_MAX_US),
    ],
)
def test_when_it_asks_again(heard: Heard, failures: int, least: int) -> None:
    assert pause(heard, failures, POLL, 0.0) == least
    assert pause(heard, failures, POLL, 1.0) == round(least * (1 + JITTER_SHARE))


def test_the_words_of_its_alarms() -> None:
    assert alarm(BadPage("token.repeats")).cause == "alarm/feed.token.repeats"
    assert alarm(Denial("http.403")).detail == (
        "TPS refuses to give the deny list (http.403); the deny list that is there stays in force"
    )
    assert held_back(Loss(2000, 1900, 150)).detail == (
        "a new deny list of 150 cards lacks 1900 of the 2000 of the old one; both deny until 'tpsd denylist accept'"
    )
