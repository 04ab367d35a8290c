"""``tpsd demo --json``: what it promises on its last line, and how much of a processor it takes."""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
from dataclasses import dataclass
from typing import Any
from unittest.mock import ANY

import pytest

from tests.integration.processes import environment
from tpsd.cli.demonstration import show_result
from tpsd.demo import DemoResult
from tpsd.demo.debtor import Debt
from tpsd.demo.mix import NEVER_ANSWERED, TERMINAL_REFUSED, plan
from tpsd.demo.reader import Passed

LADDER = [1, 2, 3, 18, 33, 48, 108, 168, 228, 588, 948, 1308]
PROCESSOR_SECONDS_MAX = 15.0  # of its half minute; the rest of that is its own waits, whatever else a machine does
HANG_SECONDS = 240.0


@dataclass(frozen=True)
class Played:
    """One demo in a process of its own."""

    code: int
    lines: list[str]
    errors: str

    @property
    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.lines[-1])
        return found


def played(*processes: tuple[str, ...]) -> list[Played]:
    """Demos with these options, side by side: each mostly waits."""
    command = [sys.executable, "-m", "tpsd", "demo", "--json"]
    running = [
        subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
        )
        for options in processes
    ]
    found = []
    for process in running:
        output, errors = process.communicate(timeout=HANG_SECONDS)
        found.append(Played(process.returncode, output.splitlines(), errors))
    return found


def processor_seconds() -> float:
    """Of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.fixture(scope="module")
def demos() -> list[Played]:
    before = processor_seconds()
    found = played((), ("--taps", "5", "--seed", "3"))
    assert processor_seconds() - before < PROCESSOR_SECONDS_MAX * len(found)
    return found


def test_it_ends_by_itself_and_well(demos: list[Played]) -> None:
    for demo in demos:
        assert (demo.code, demo.errors) == (0, "")


def test_the_summary_of_sixty_taps(demos: list[Played]) -> None:
    summary = demos[0].summary
    assert len(demos[0].lines) == 1
    assert (summary["taps_sent"], summary["taps_kept"]) == (60, 60)
    assert (summary["lost"], summary["duplicate_charges"]) == (0, 0)
    assert summary["accepted"] + summary["denied"] == 60
    outcomes = summary["outcomes"]
    assert set(outcomes) >= {
        "approved", "declined", "tap_refused", "held", "permanently_failed", "in_doubt", "pending"
    }  # fmt: skip
    assert sum(outcomes.values()) == summary["accepted"]
    assert all(outcomes[name] for name in ("approved", "declined", "tap_refused", "held", "permanently_failed"))
    assert (outcomes["pending"], outcomes["permanently_failed"]) == (0, 1)
    assert summary["sends"] >= summary["accepted"] + 12
    assert summary["emails_received"] >= 3, "permanently failed, held, tap refused"
    assert 0 < summary["verdict_ms"]["p50"] <= summary["verdict_ms"]["p99"], "how long is the machine's affair"
    assert summary["ladder_minutes"] == LADDER


def test_the_riders_at_both_gates(demos: list[Played]) -> None:
    """Three ride; one ends unpaid and is checked out by hand; one never checks out; one answer is lost and found."""
    for demo in demos:
        summary = demo.summary
        assert summary["journeys"] == {"closed": 3, "by_hand": 1, "ended_unpaid": 0, "open": 0, "expired": 1}
        assert (summary["in_doubt_found"], summary["refunds"], summary["violations"]) == (1, 1, 0)


def test_a_listed_card_is_turned_away_and_rides_once_its_debt_is_recovered(demos: list[Played]) -> None:
    assert [demo.summary["deny_list"] for demo in demos] == [{"denied": "deny_list", "let_in": True}] * 2


def test_the_reader_s_passengers_are_let_in_once_whatever_became_of_their_first_cards(demos: list[Played]) -> None:
    """Of five cards one's answer is damaged, one cannot be read; whoever held them taps again."""
    for demo in demos:
        reader, lanes = demo.summary["reader"], demo.summary["taps_by_lane"]
        assert reader == {"cards_held": 5, "let_in": 3, "cards_lost": 1, "cards_unread": 1, "charges": 3, "missing": 0}
        assert lanes == {"front": ANY, "middle": ANY, "rear": ANY, "gate-in": 7, "gate-out": 6, "side": 3}
        assert sum(lanes[door] for door in ("front", "middle", "rear")) == demo.summary["taps_sent"]


def test_the_last_screen_says_why_a_reader_sees_more_cards_than_passengers(capsys: pytest.CaptureFixture[str]) -> None:
    show_result(DemoResult({"taps_sent": 60}, (), None, True, Passed(5, 3, 1, 1, 3, 0)))
    said = " ".join(capsys.readouterr().out.split())
    assert "Of 5 cards the data of 1 was lost on the line and 1 could not be read" in said
    assert "3 were let in, 3 charged" in said
    assert "deny list" not in said


@pytest.mark.parametrize(("let_in", "words"), [(True, "it was let in again"), (False, "it was NOT LET IN AGAIN")])
def test_the_last_screen_says_what_became_of_the_listed_card(
    capsys: pytest.CaptureFixture[str], let_in: bool, words: str
) -> None:
    show_result(DemoResult({}, (), None, True, Passed(5, 3, 1, 1, 3, 0), debt=Debt("deny_list", let_in)))
    said = " ".join(capsys.readouterr().out.split())
    assert (
        f"turned away (deny_list). Its debt was recovered, TPS struck it from the list, and after the next poll {words}"
        in said
    )


@pytest.mark.parametrize(("charges", "beyond"), [(2, 0), (3, 0), (4, 1)])
def test_a_charge_for_nobody_who_was_let_in_is_one_too_many(charges: int, beyond: int) -> None:
    assert Passed(5, 3, 1, 1, charges, 0).charged_beyond == beyond


def test_fewer_taps_and_another_seed(demos: list[Played]) -> None:
    summary = demos[1].summary
    assert (summary["taps_sent"], summary["taps_kept"]) == (5, 5)
    assert (summary["lost"], summary["duplicate_charges"]) == (0, 0)
    assert summary["outcomes"]["pending"] == 0


@pytest.mark.parametrize("taps", [1, 2, 3, 5, 13, 60, 200])
def test_the_plan(taps: int) -> None:
    for seed in range(5):
        planned = plan(taps, seed, 3)
        assert planned == plan(taps, seed, 3)
        assert len(planned) == taps
        assert all(0 <= tap.validator < 3 for tap in planned)
        if taps >= 60:
            assert [tap.amount for tap in planned].count(NEVER_ANSWERED) == 1
            assert planned[-1].amount == TERMINAL_REFUSED
            assert len({tap.fate for tap in planned}) >= 10
    assert plan(60, 1, 3) != plan(60, random.Random(0).randrange(2, 99), 3)
