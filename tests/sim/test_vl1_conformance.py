"""The examination of validators: ours passes whole, and each planted fault is found by the check that is for it."""

from __future__ import annotations

import random

import pytest

from device.vl1.cards import CARDS
from device.vl1.conformance.examination import Examination, Finding, Verdict
from device.vl1.conformance.table import CHECKS
from tests.card_search import findings
from tests.sim import vl1_faults as faults
from tests.sim.vl1_faults import Device

LONGEST_SECONDS = 900.0
LATENCY_SECONDS = 0.002
TAP_SECONDS = 20.0


def examined(device: Device, seed: int = 1, tap_after: float | None = 0.3) -> dict[str, Finding]:
    """Every check's finding, in virtual time; a card is tapped so long after it was asked for."""
    examination = Examination(random.Random(seed), TAP_SECONDS)
    found: dict[str, Finding] = {}
    now = 0.0
    tap_at: float | None = None
    device.open(now)
    events = examination.open(now)
    while not examination.done:
        for event in events:
            if isinstance(event, Finding):
                found[event.name] = event
            elif event.wish == "tap a card" and tap_after is not None:
                tap_at = now + tap_after
        down, up = examination.output(), device.output()
        if down or up:
            now += LATENCY_SECONDS
            device.receive(down, now)
            events = examination.receive(up, now)
            continue
        now = min(at for at in (examination.deadline, device.deadline, tap_at) if at is not None)
        assert now < LONGEST_SECONDS
        device.tick(now)
        if tap_at is not None and now >= tap_at:
            tap_at = None
            device.tap(now)
        events = examination.tick(now)
    return found | {event.name: event for event in events if isinstance(event, Finding)}


def failed(found: dict[str, Finding]) -> set[str]:
    return {name for name, finding in found.items() if finding.verdict is Verdict.FAILED}


@pytest.mark.parametrize("seed", range(5))
def test_our_own_validator_passes_every_check(seed: int) -> None:
    found = examined(Device(), seed, tap_after=0.1 + seed)
    assert [finding for finding in found.values() if finding.verdict is not Verdict.PASSED] == []
    assert list(found) == [check.name for check in CHECKS]


FOUND_BY: list[tuple[type[Device], set[str]]] = [
    (faults.OldVersion, {"hello_usable"}),
    (faults.HastyHello, {"hello_repeated"}),
    (faults.OnceHello, {"hello_repeated"}),
    (faults.AnswersIdle, {"idle_answers_nothing", "reset_ends_the_session"}),
    (faults.NoPing, {"ping_when_quiet"}),
    (faults.NeedsLeading00, {"leading_00_optional"}),
    (faults.HelloInSession, {"hello_ack_taken", "hello_ack_repeated", "silence_ends_the_session"}),
    (faults.BeginsAnew, {"hello_ack_repeated"}),
    (faults.DeafToEmptyFrames, {"empty_frames_ignored"}),
    (faults.KeepsHalfFrames, {"half_frame_ends_at_00", "pieces_are_one_frame"}),
    (faults.ForgetsPieces, {"pieces_are_one_frame"}),
    (faults.StrictCobs, {"cobs_both_endings"}),
    (faults.AnyCrc, {"bad_crc_dropped"}),
    (faults.AnyVersion, {"other_version_dropped"}),
    (faults.EndOfTheLong, {"oversize_dropped"}),
    (faults.SmallBuffer, {"largest_taken"}),
    (faults.ResetsOnUnknown, {"unknown_is_ignored"}),
    (faults.SpoilsPings, {"own_frames_are_whole", "ping_when_quiet"}),
    (faults.StaleAck, {"data_acknowledged"}),
    (faults.TakesRepeats, {"duplicate_acknowledged_once"}),
    (faults.AnswersTwice, {"duplicate_acknowledged_once"}),
    (faults.NoNak, {"wrong_seq_gets_nak"}),
    (faults.DeafToNak, {"nak_of_nothing", "nak_repeats_at_once", "nak_acknowledges"}),
    (faults.AnswersOthers, {"other_session_dropped", "data_acknowledged"}),  # its PONG names no ack of ours either
    (faults.DeafToAnotherHelloAck, {"hello_ack_of_another"}),
    (faults.AnswersAfterReset, {"reset_ends_the_session"}),
    (faults.NeverLonely, {"silence_ends_the_session", "five_tries"}),  # what keeps it alive acknowledges too
    (faults.WrongSeq, {"seq_counts_data"}),
    (faults.NoRetransmission, {"data_repeated", "nak_repeats_at_once"}),
    (faults.UnmarkedRepeat, {"data_repeated"}),
    (faults.NewSeqOnRepeat, {"data_repeated"}),
    (faults.NeverGivesUp, {"five_tries"}),
    (faults.ChangesOnResend, {"tap_repeated_unchanged", "tap_resent"}),
    (faults.ForgetsAfterKept, {"tap_kept_is_no_verdict"}),
    (faults.NeverTells, {"shown_is_told"}),
    (faults.NoAge, {"live_tap_leaves_at_once", "shown_is_told"}),  # it leaves both out
    (faults.SlowVerdict, {"verdict_taken_in_time"}),
    (faults.DeafToVerdict, {"verdict_ends_the_tap", "stored_one_at_a_time", "taps_answered"}),
    (faults.AllAtOnce, {"stored_one_at_a_time"}),
    (faults.NewestFirst, {"stored_one_at_a_time"}),
    (faults.LiveLast, {"live_before_stored"}),
    (faults.BackwardBoot, {"counters_go_forward"}),
]


@pytest.mark.parametrize(("device", "by"), FOUND_BY)
def test_a_planted_fault_is_found_by_its_checks_and_by_no_other(device: type[Device], by: set[str]) -> None:
    assert failed(examined(device())) == by


@pytest.mark.parametrize(
    ("device", "by"),
    [
        (faults.Silent, {"ping_answered"}),  # most others end with a PING
        (faults.ForgetsAfterAck, {"tap_repeated_every_2_s", "tap_resent", "tap_kept_is_no_verdict"}),
    ],
)
def test_a_fault_that_breaks_most_rules_is_found_by_its_own_too(device: type[Device], by: set[str]) -> None:
    assert by <= failed(examined(device()))


def test_for_every_check_there_is_a_fault_that_it_finds() -> None:
    by = set[str]().union(*(names for _, names in FOUND_BY)) | {"ping_answered", "tap_repeated_every_2_s"}
    assert by == {check.name for check in CHECKS}


def test_without_a_card_the_checks_of_taps_are_not_tried_and_none_fails() -> None:
    found = examined(Device(), tap_after=None)
    assert failed(found) == set()
    not_tried = [name for name, finding in found.items() if finding.verdict is Verdict.NOT_TRIED]
    assert "data_repeated" in not_tried
    assert "no TAP came within 20 s" in found["data_repeated"].why
    assert "hello_repeated" not in not_tried


def test_a_dead_line_leaves_every_check_untried() -> None:
    class Dead(Device):
        def output(self) -> bytes:
            super().output()
            return b""

    found = examined(Dead())
    assert {finding.verdict for finding in found.values()} == {Verdict.NOT_TRIED}
    assert found["ping_answered"].why == "no HELLO after RESET"


def test_a_validator_taken_in_the_middle_of_a_session_is_examined_as_well() -> None:
    device = Device()
    device.validator.open(0.0)
    device.tap(0.0)
    assert failed(examined(device)) == set()


def test_no_finding_holds_card_data() -> None:
    said = "".join(repr(finding) for finding in examined(faults.ChangesOnResend()).values())
    assert findings("findings", said.encode(), [card.pan for card in CARDS]) == []
