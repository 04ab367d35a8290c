"""The log's writer: what is said becomes lines of the schema, and what goes wrong costs lines and nothing else."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from device.tlv import Tlv
from schemas.taplog import LINE, Begin, End, Link, Mailed, Settled, Tap
from tests.card_search import findings_in_files
from tests.intake_taps import LANE, NOW, VISA, at, card, report, setting
from tests.unit.workshop import BOUND_SECONDS
from tpsd.core.candidate import Decision
from tpsd.core.intake import prepare
from tpsd.core.settlement import Settlement
from tpsd.domain.authorisation import AttemptReason, Claimed, Progress, State
from tpsd.domain.notice import MailRow
from tpsd.domain.outcome import Answer, NoAnswer, TryAgain
from tpsd.domain.tap import Told, Verdict
from tpsd.domain.time import Micros
from tpsd.ports import Taken
from tpsd.sfey.messages import transaction
from tpsd.sfey.wire import DEVICE_V1
from tpsd.taplog import TapLog
from tpsd.taplog.folder import Folder
from tpsd.taplog.lines import outline_of

UUID_1 = UUID("0c7f3f6e-55f4-4f6b-9df2-3a1f5b1d7a01")
OUTLINE = outline_of(DEVICE_V1.fields["tag"])


class Clock:
    """Stands where it is put."""

    def __init__(self) -> None:
        self.now = NOW

    def wall(self) -> Micros:
        return self.now

    schedule = wall
    trusted = True

    def monotonic(self) -> float:
        return 12.345678901

    async def wait(self, wake: Any, until: Micros | None) -> None:
        raise AssertionError("the log waits for nothing")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(tmp_path: Path, clock: Clock) -> Iterator[TapLog]:
    (tmp_path / "log").mkdir()
    made = TapLog(Folder(tmp_path / "log", keep_days=30, bytes_max=16 * 2**20), clock, OUTLINE, queue_max=100)
    yield made
    made.close()


def said(tmp_path: Path, name: str = "2026-11-23.jsonl") -> list[Any]:
    return [LINE.validate_json(line) for line in (tmp_path / "log" / name).read_text().splitlines()]


def take(log: TapLog, **changes: Any) -> None:
    real = setting(serialise=lambda request: transaction(DEVICE_V1, request))
    candidate = prepare(report(**changes), LANE, real, UUID_1)
    candidate = replace(candidate, digest=bytes(range(32)), config_digest="c0ffee0123456789")
    decision = Decision(candidate.local, state=State.PENDING if candidate.local.verdict.accepts else None)
    log.took(candidate, Taken(7, candidate.local, True, decision=decision, list_version=3), NOW, can_take_pin=True)


CLAIMED = Claimed(
    UUID_1, 2, 1, AttemptReason.LADDER, "GATE-X1:VAL00042", "/path", "common", b'{"transactionData":{"tag":"AA"}}',
    NOW, Progress(2, may_have_charged=False, ladder=()), amount=250,
)  # fmt: skip


def test_a_tap_as_it_came_and_what_was_decided(tmp_path: Path, log: TapLog) -> None:
    log.start()
    log.configured("start", "0.1.0", "c0ffee0123456789", {"mode": "test"})
    take(log)
    log.close()
    begin, end = said(tmp_path)
    assert isinstance(begin, Begin)
    assert isinstance(end, End)
    assert (begin.why, begin.n, begin.config, end.lost) == ("start", 1, {"mode": "test"}, 0)
    head, tap = said(tmp_path, "2026-11-23.gate-1.jsonl")
    assert isinstance(head, Begin)
    assert isinstance(tap, Tap)
    assert (head.why, head.config_digest, head.life) == ("file", "c0ffee0123456789", begin.life)
    assert (tap.n, tap.at, tap.mono, tap.lane, tap.number) == (2, "2026-11-23T08:15:30.000000Z", 12.345679, "gate-1", 7)
    assert (tap.serial, tap.boot, tap.counter, tap.can_take_pin, tap.timed) == ("VAL00042", 3, 17, True, True)
    assert (tap.card.mode, tap.card.expired, tap.card.masked) == (0, False, "476173******0119")
    assert tap.card.token is not None
    decided = tap.decided
    assert decided is not None
    assert decided.request is not None
    assert decided.told is not None
    assert (decided.uuid, decided.state, decided.list_version) == (str(UUID_1), "pending", 3)
    assert decided.request.fields["transactionData"]["amount"] == 250
    assert decided.request.fields["transactionData"]["panToken"] == tap.card.token
    assert "tag" not in decided.request.fields["transactionData"]
    assert log.facts().written == 3


def test_no_card_data_is_written_whatever_brings_it(tmp_path: Path, log: TapLog) -> None:
    log.start()
    take(log, stop=VISA, where=(("route", f"4761 7390 0101 0119 and {VISA}"),), serial=VISA)
    log.mailed(MailRow(1, "<1@x>", f"about {VISA}", VISA, NOW, 0, NOW))
    log.ordered("refund", VISA, f"user {VISA}", {"amount": int(VISA)})
    log.sent(CLAIMED, NoAnswer(VISA), 1.0)
    log.close()
    assert log.facts().lost == 0
    assert findings_in_files([tmp_path / "log"], [VISA]) == []
    text = "".join(path.read_text() for path in (tmp_path / "log").iterdir())
    assert "476173******0119" in text
    for secret in ("2011758928889", "3112", "9f36"):  # track 2's rest, the expiry, a counter's tag
        assert secret not in text


@pytest.mark.parametrize(
    ("changes", "mode", "fault", "expired"),
    [
        ({}, 0, None, False),
        ({"card": card("2610")}, 0, None, True),
        ({"card": (Tlv(0xDFFF8401, b"\x04"), Tlv(0xDFFF8404, bytes(12)), Tlv(0xDFFF8405, bytes(32)))}, 4, None, None),
        ({"card": ()}, None, "no_card_data", None),
        ({"card": (Tlv(0xDFFF8401, b"\x09"),)}, None, "malformed", None),
        ({"fault": "no serial", "card": ()}, None, None, None),
    ],
)
def test_how_a_card_came(
    tmp_path: Path, log: TapLog, changes: dict[str, Any], mode: int | None, fault: str | None, expired: bool | None
) -> None:
    log.start()
    take(log, **changes)
    log.close()
    (tap,) = said(tmp_path, "2026-11-23.gate-1.jsonl")
    assert (tap.card.mode, tap.card.fault, tap.card.expired) == (mode, fault, expired)


def test_attempts_links_and_mails(tmp_path: Path, log: TapLog) -> None:
    log.start()
    log.sent(CLAIMED, Answer(503, retry_after=7), 0.25)
    again = Settlement(State.PENDING, "http.503", Micros(NOW + 61_500_000), may_have_charged=True)
    log.settled(CLAIMED, TryAgain("http.503", clean=False, http=503, retry_after=7), again, 0.123456789012)
    log.linked("front", "ready", "", "VAL00042")
    log.mailed(MailRow(1, "<1@x>", "a subject", "its text", NOW, 0, NOW))
    log.attended({"journeys_expired": 1})
    log.close()
    sent, settled, mailed, attended, _ = said(tmp_path)
    assert (sent.exchange.kind, sent.exchange.http, sent.exchange.retry_after, sent.seconds) == ("answer", 503, 7, 0.25)
    assert sent.request is None
    assert isinstance(settled, Settled)
    assert (settled.outcome, settled.wait_seconds, settled.jitter) == ("try_again", 61.5, 0.123456789)
    assert isinstance(mailed, Mailed)
    assert attended.done == {"journeys_expired": 1}
    (link,) = said(tmp_path, "2026-11-23.front.jsonl")
    assert isinstance(link, Link)
    assert (link.n, link.serial) == (3, "VAL00042")


def test_a_request_that_holds_no_card_is_kept_whole(tmp_path: Path, log: TapLog) -> None:
    log.start()
    log.sent(replace(CLAIMED, body=b'{"transactionData":{"amount":5}}'), NoAnswer("timeout"), 0.5)
    log.close()
    sent, _ = said(tmp_path)
    assert sent.request.fields == {"transactionData": {"amount": 5}}


def test_the_next_day_is_another_file_that_says_under_what(tmp_path: Path, log: TapLog, clock: Clock) -> None:
    log.start()
    log.configured("start", "0.1.0", "c0ffee0123456789", {})
    clock.now = at(2026, 11, 24, 0, 0, 1)
    log.attended({})
    log.close()
    assert [type(line).__name__ for line in said(tmp_path, "2026-11-24.jsonl")] == ["Begin", "Attended", "End"]
    assert [path.name for path in (tmp_path / "log").glob("*.gz")] == ["2026-11-23+001.jsonl.gz"]


def test_a_full_queue_loses_lines_and_waits_for_nothing(log: TapLog) -> None:
    for _ in range(150):  # nobody writes yet
        log.attended({})
    facts = log.facts()
    assert (facts.lost, facts.trouble) == (50, "100 lines wait to be written")
    log.start()
    log.close()
    facts = log.facts()
    assert facts.written >= 100
    assert facts.written + facts.lost == 151, "the end is a line too"


def test_a_folder_that_is_not_there_loses_lines_until_it_is(tmp_path: Path, log: TapLog) -> None:
    shutil.rmtree(tmp_path / "log")
    log.start()
    take(log)
    drained(log, lost=1)
    assert log.facts().trouble == "No such file or directory"
    (tmp_path / "log").mkdir()
    take(log)
    drained(log, written=1)
    assert log.facts().trouble is None


def drained(log: TapLog, *, written: int = 0, lost: int = 0) -> None:
    """Wait for the thread, as nothing of the daemon ever does."""
    waiting, left = threading.Event(), BOUND_SECONDS
    while (log.facts().written, log.facts().lost) < (written, lost) and left > 0:
        waiting.wait(0.005)
        left -= 0.005
    assert (log.facts().written >= written, log.facts().lost >= lost) == (True, True)


def test_a_line_that_cannot_be_made_costs_itself(tmp_path: Path, log: TapLog) -> None:
    log.start()
    log.ordered("refund", "x", "y", {"amount": b"bytes"})
    log.attended({})
    log.close()
    assert (log.facts().lost, log.facts().trouble) == (1, None)
    assert [type(line).__name__ for line in said(tmp_path)] == ["Attended", "End"]
    assert said(tmp_path)[-1].n == 3, "the gap shows that one is missing"


def test_a_tap_that_could_not_be_decided(tmp_path: Path, log: TapLog) -> None:
    log.start()
    taken = Taken(9, Told(Verdict.TRY_AGAIN, "internal"), True)
    log.rejected(report(), "gate-1", bytes(range(32)), taken, timed=True)
    log.close()
    (tap,) = said(tmp_path, "2026-11-23.gate-1.jsonl")
    assert (tap.number, tap.decided, tap.card.fault) == (9, None, "internal")
