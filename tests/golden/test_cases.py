"""The golden cases, replayed: what the code decided when they were made, it decides now."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from device.vl1.cards import CARDS, EXPIRED
from schemas.taplog import LINE, VERSION
from tests.card_search import findings_in_files
from tests.golden.record import CASES, SCENES
from tpsd.core.outcomes import ADVICE
from tpsd.domain.tap import Kind
from tpsd.replay.golden import LOG_NAME, Case, check, load
from tpsd.replay.world import run

NAMES = sorted(path.name for path in CASES.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_it_comes_to_the_same(name: str) -> None:
    case = load(CASES / name)
    result = run(case.asked)
    assert (result.skipped, result.missing) == ((), 0)
    assert check(case) == []


def test_there_are_no_others_than_those_that_can_be_made_anew() -> None:
    assert sorted(scene.name for scene in SCENES) == NAMES


def test_every_kind_and_every_outcome_is_among_them() -> None:
    """The tables of what a tap can be and of what an answer means."""
    lines = [LINE.validate_json(line) for name in NAMES for line in (CASES / name / LOG_NAME).read_text().splitlines()]
    requests = [line.decided.request for line in lines if line.event == "tap" and line.decided is not None]
    requests += [line.request for line in lines if line.event == "sent"]
    kinds = {request.fields["transactionData"]["transactionType"] for request in requests if request is not None}
    assert kinds == {kind.value for kind in Kind}
    outcomes = {line.outcome for line in lines if line.event == "settled"}
    assert outcomes == {name for name, _ in ADVICE.values()}
    assert {line.v for line in lines} == {VERSION}


def test_no_card_is_in_them() -> None:
    assert findings_in_files([CASES], [card.pan for card in (*CARDS, EXPIRED)]) == []


def test_a_case_that_is_not_as_expected_is_told(tmp_path: Path) -> None:
    case = load(CASES / "mtt_approved")
    wrong = Case(case.folder, case.tps, ("lanes.door-1.amount_limit=200",), (), ({"aspect": "never"},))
    told = check(wrong)
    assert told[0] == "expected and not found: {'aspect': 'never'}"
    assert "amount_limit" in told[1]
    assert json.loads((CASES / "mtt_approved" / "case.json").read_text())["expected"] == []
