"""First loud, then counted: which times of a trouble get a line."""

from __future__ import annotations

from tpsd.core.trouble import CALM_SECONDS, REMIND_SECONDS, WHYS_MAX, Trouble


def test_the_first_time_is_loud_and_the_others_are_counted() -> None:
    trouble = Trouble()
    assert trouble.happened(100.0, "gone") == 1
    assert [trouble.happened(100.0 + second, "gone") for second in range(1, 10)] == [None] * 9
    assert trouble.over(110.0) == 9


def test_what_was_never_there_is_never_over() -> None:
    assert Trouble().over(0.0) is None


def test_a_trouble_that_lasts_is_told_once_an_hour_with_its_count() -> None:
    trouble = Trouble()
    lines = [(at, times) for at in range(0, 86_400, 5) if (times := trouble.happened(float(at), "gone")) is not None]
    assert [at for at, _ in lines] == list(range(0, 86_400, int(REMIND_SECONDS)))
    assert lines[0][1] == 1
    assert {times for _, times in lines[1:]} == {REMIND_SECONDS / 5}


def test_a_trouble_that_comes_and_goes_is_one_trouble() -> None:
    trouble = Trouble()
    said = []
    for at in range(0, 7200, 4):
        said.append(trouble.happened(float(at), "cable"))
        said.append(trouble.over(at + 2.0))
    lines = [times for times in said if times is not None]
    assert len(lines) == 4  # at the start and an hour later: lost, back
    assert lines[:2] == [1, 0]
    assert lines[2] == 900


def test_after_a_calm_it_is_loud_again() -> None:
    trouble = Trouble()
    trouble.happened(0.0, "cable")
    trouble.over(1.0)
    assert trouble.happened(1.0 + CALM_SECONDS, "cable") is None
    trouble.over(62.0)
    assert trouble.happened(62.1 + CALM_SECONDS, "cable") == 1


def test_one_that_never_ended_is_the_same_however_seldom_it_happens() -> None:
    trouble = Trouble()
    trouble.happened(0.0, "smtp")
    assert trouble.happened(REMIND_SECONDS - 1, "smtp") is None


def test_every_reason_is_loud_once_but_not_a_text_that_always_changes() -> None:
    trouble = Trouble()
    assert trouble.happened(0.0, "read failed") == 1
    assert trouble.happened(1.0, "cannot be opened") == 1
    assert trouble.happened(2.0, "read failed") is None
    loud = [trouble.happened(3.0 + number, f"try {number}") for number in range(100)]
    assert sum(times is not None for times in loud) == WHYS_MAX - 2


def test_every_loud_beginning_has_a_loud_end() -> None:
    trouble = Trouble()
    assert trouble.happened(0.0, "a") == 1
    assert trouble.over(1.0) == 0
    assert trouble.over(2.0) is None
    assert trouble.happened(3.0, "a") is None
    assert trouble.over(4.0) is None
    assert trouble.happened(5.0, "b") == 2
    assert trouble.over(6.0) == 0
