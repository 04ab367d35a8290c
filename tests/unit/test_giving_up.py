"""Whoever is first decides: the answer that is being kept, or the lane's time."""

from __future__ import annotations

import pytest

from tpsd.core.answering import Waiting
from tpsd.domain.tap import Kind, Shown
from tpsd.workers.giving_up import Patience

WAITING = Waiting("0c7f3f6e-55f4-4f6b-9df2-3a1f5b1d7a01", Kind.RETAIL_CHECK_IN, 500, "GATE-X1:VAL00042")


@pytest.mark.parametrize("shown", Shown)
def test_who_was_sent_away_was_turned_away(shown: Shown) -> None:
    patience = Patience()
    assert patience.end()
    given = Waiting(WAITING.uuid, WAITING.kind, WAITING.amount, WAITING.terminal, shown=shown)
    assert patience.judge(given).shown is (Shown.TURNED_AWAY if shown is Shown.NOTHING else shown)


def test_nobody_is_sent_away_while_an_answer_is_being_kept() -> None:
    patience = Patience()
    assert patience.judge(WAITING) is WAITING
    assert not patience.end()
    assert not patience.is_over


def test_what_could_not_be_kept_is_judged_again() -> None:
    patience = Patience()
    patience.judge(WAITING)
    patience.judge_again()
    assert patience.end()
    assert patience.judge(WAITING).shown is Shown.TURNED_AWAY
