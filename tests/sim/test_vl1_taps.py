"""A simulated validator and a daemon with a journal on a bad line: every tap gets its VERDICT, and the same one.

The journal here is the least that a daemon must be: a row for each identity, its verdict made once, a repeat
answered from the row. It dies with nothing; the daemon's session may die at any time.
"""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from device.vl1.cards import CARDS, read
from device.vl1.daemon import DaemonSession
from device.vl1.events import Received, SessionLost, SessionUp
from device.vl1.frames import Frame, FrameType, encode_frame
from device.vl1.messages import (
    ConfigMessage,
    Hello,
    HelloAck,
    MessageError,
    Shown,
    StatusMessage,
    TapKeptMessage,
    TapKind,
    TapMessage,
    TapNumber,
    VerdictCode,
    VerdictMessage,
    decode_message,
    stable_payload,
)
from device.vl1.simulator import SimulatedValidator
from device.vl1.simulator_events import ConfigReceived, Misunderstood, StrayVerdict, TapDecided, TapVerdict
from tests.sim.vl1_world import PERFECT, Faults, World

EPOCH_US = 1_790_000_000_000_000
BAD = Faults(lose=0.2, double=0.1, damage=0.1, delay=0.1, late=0.3)
WORSE = Faults(lose=0.2, double=0.15, damage=0.15, delay=0.2, late=0.6, reorders=True)


class Depot:
    """A lane: a daemon's session, a journal, and a validator on the other end of the line."""

    def __init__(self, seed: int, faults: Faults = PERFECT, **validator: Any) -> None:
        self.rng = random.Random(seed)
        self.validator = SimulatedValidator(serial="VAL00042", **validator)
        self.world = World(seed, {"daemon": self.new_session(), "validator": self.validator}, faults)
        self.world.on_event = self.on_event
        self.journal: dict[tuple[TapNumber | None, bytes], VerdictMessage] = {}
        self.shown: dict[TapNumber, list[Shown]] = {}
        self.ages: dict[TapNumber, list[int | None]] = {}
        self.order: list[TapNumber | None] = []  # of first arrival
        self.sendings: dict[TapNumber | None, int] = {}
        self.verdicts: dict[TapNumber, TapVerdict] = {}
        self.strays: list[VerdictMessage] = []
        self.decided: list[TapDecided] = []
        self.hellos: list[Hello] = []
        self.statuses: list[StatusMessage] = []
        self.decision_seconds = (0.0, 0.05)
        self.kept_first = False
        self.closed = False  # cannot commit
        self.made: list[TapNumber] = []
        self.card_counter = 0

    def new_session(self) -> DaemonSession:
        return DaemonSession(rng=self.rng, baud=115_200, hello_ack=lambda hello: HelloAck())

    def open(self) -> None:
        for end in self.world.ends.values():
            end.open(self.world.now)  # type: ignore[attr-defined]
        self.world.settle()

    def restart_daemon(self) -> None:
        session = self.new_session()
        self.world.ends["daemon"] = session
        session.open(self.world.now)
        self.world.settle()

    def tap(self) -> TapNumber:
        self.card_counter += 1
        card = self.rng.choice(CARDS)
        tapped_at = EPOCH_US + round(self.world.now * 1_000_000)
        tlvs = read(card, self.rng, amount=250, currency="978", tapped_at=tapped_at, counter=self.card_counter)
        number = self.validator.tap(
            self.world.now, card=tlvs, tapped_at=tapped_at, kind=TapKind.MTT, amount=250, currency="978"
        )
        self.made.append(number)
        self.world.settle()
        return number

    def on_event(self, name: str, event: Any) -> None:
        match event:
            case Received(payload) if name == "daemon":
                self.arrived(payload)
            case SessionUp(hello) if name == "daemon":
                self.hellos.append(hello)
            case TapVerdict(tap):
                assert tap not in self.verdicts
                self.verdicts[tap] = event
            case StrayVerdict(verdict):
                self.strays.append(verdict)
            case TapDecided():
                self.decided.append(event)
            case Misunderstood():
                raise AssertionError(event)

    def arrived(self, payload: bytes) -> None:
        try:
            message = decode_message(payload)
        except MessageError as exc:
            key = (exc.tap, stable_payload(payload))
            verdict = VerdictMessage(exc.tap, VerdictCode.TRY_AGAIN, "malformed")
            number = exc.tap
        else:
            if isinstance(message, StatusMessage):
                self.statuses.append(message)
                return
            assert isinstance(message, TapMessage)
            number = message.tap
            key = (number, stable_payload(payload))
            self.shown.setdefault(number, []).append(message.shown)
            self.ages.setdefault(number, []).append(message.age_ms)
            code = VerdictCode.ACCEPTED if self.rng.random() < 0.7 else VerdictCode.DENIED
            if message.shown is not Shown.NOTHING:
                code = VerdictCode.ACCEPTED if message.shown is Shown.LET_IN else VerdictCode.DENIED
            verdict = VerdictMessage(number, code, f"made {len(self.journal)}")
        self.sendings[number] = self.sendings.get(number, 0) + 1
        if self.closed:
            return
        if key not in self.journal:
            self.order.append(number)
            if self.kept_first and number is not None:
                self.world.ends["daemon"].send(TapKeptMessage(number).encode(), self.world.now)  # type: ignore[attr-defined]
        kept = self.journal.setdefault(key, verdict)
        self.world.after(self.rng.uniform(*self.decision_seconds), lambda: self.tell(kept))

    def tell(self, verdict: VerdictMessage) -> None:
        self.world.ends["daemon"].send(verdict.encode(), self.world.now)  # type: ignore[attr-defined]

    def all_answered(self) -> bool:
        return set(self.verdicts) == set(self.made)

    def check(self) -> None:
        """Every tap one row, one VERDICT, the row's; and whatever came again said the same."""
        assert self.all_answered()
        assert self.validator.waiting == 0
        assert len(self.journal) == len(self.made)
        by_number = {number: verdict for (number, _), verdict in self.journal.items()}
        for tap in self.made:
            assert self.verdicts[tap].verdict == by_number[tap]
        for stray in self.strays:
            assert stray == by_number[stray.tap]


LINES = {"perfect": PERFECT, "20 % lost": Faults(lose=0.2), "bad": BAD, "worse": WORSE}


@pytest.mark.parametrize("limit", [None, 0.5], ids=["patient", "decides"])
@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("seed", range(4))
def test_every_tap_gets_its_verdict_and_the_same_one(seed: int, line: str, limit: float | None) -> None:
    depot = Depot(seed, LINES[line], limit_seconds=limit)
    depot.open()
    for n in range(40):
        depot.world.after(depot.rng.uniform(0.0, 60.0), depot.tap)
        if n % 10 == 9:
            depot.world.after(depot.rng.uniform(0.0, 60.0), depot.restart_daemon)
            depot.world.after(depot.rng.uniform(0.0, 60.0), lambda: depot.validator.reboot(depot.world.now))
    depot.world.run(61.0)
    depot.world.run(2000.0, depot.all_answered)
    depot.check()


@pytest.mark.parametrize("seed", range(3))
def test_taps_made_without_a_line_come_oldest_first(seed: int) -> None:
    depot = Depot(seed, BAD, limit_seconds=None)
    for line in depot.world.lines.values():
        line.cut = True
    depot.open()
    for _ in range(30):
        depot.tap()
    depot.world.run(5.0)
    assert depot.journal == {}
    for line in depot.world.lines.values():
        line.cut = False
    depot.world.run(600.0, depot.all_answered)
    depot.check()
    assert depot.order == depot.made


def test_a_live_tap_goes_before_stored_ones() -> None:
    depot = Depot(1, limit_seconds=None)
    depot.decision_seconds = (0.2, 0.2)
    for _ in range(20):
        depot.tap()
    depot.open()
    depot.world.run(0.7)
    assert 0 < len(depot.order) < 10
    live = depot.tap()
    before = len(depot.order)
    depot.world.run(0.1)
    assert depot.order.index(live) <= before + 1
    depot.world.run(60.0, depot.all_answered)
    depot.check()


def test_one_stored_tap_without_its_verdict_at_a_time() -> None:
    depot = Depot(1, limit_seconds=None)
    depot.closed = True
    for _ in range(5):
        depot.tap()
    depot.open()
    depot.world.run(10.0)
    assert set(depot.sendings) == {depot.made[0]}
    # At the start, then every 2 s.
    assert depot.sendings[depot.made[0]] == 5
    depot.closed = False
    depot.world.run(60.0, depot.all_answered)
    depot.check()


def test_live_taps_do_not_wait_for_each_others_verdicts() -> None:
    depot = Depot(1, limit_seconds=None)
    depot.decision_seconds = (1.0, 1.0)
    depot.open()
    depot.world.run(0.1)
    for _ in range(5):
        depot.tap()
    depot.world.run(0.5)
    assert depot.order == depot.made
    assert depot.verdicts == {}
    depot.world.run(5.0, depot.all_answered)
    depot.check()
    assert set(depot.sendings.values()) == {1}


def test_the_link_holds_one_tap_at_a_time() -> None:
    """So that a later live tap never queues behind repeats, and no tap stands in the queue twice."""
    depot = Depot(1, limit_seconds=None)
    depot.open()
    depot.world.run(0.1)
    depot.world.lines["daemon"].cut = True  # nothing is acknowledged
    for _ in range(5):
        depot.tap()
        assert depot.validator._session.pending == 1
    depot.world.run(2.5)
    assert depot.validator._session.pending == 1


def test_live_taps_of_a_lost_session_are_stored_ones_in_the_next() -> None:
    depot = Depot(1, limit_seconds=None)
    depot.closed = True
    depot.open()
    depot.world.run(0.1)
    first, second = depot.tap(), depot.tap()
    depot.world.run(0.5)
    assert depot.sendings == {first: 1, second: 1}
    depot.world.inject("validator", encode_frame(Frame(FrameType.RESET)))
    depot.world.run(1.9)
    assert depot.sendings == {first: 2, second: 1}
    depot.closed = False
    depot.world.run(10.0, depot.all_answered)
    depot.check()


def test_age_is_the_validators_own_and_unknown_over_a_reboot() -> None:
    depot = Depot(1, limit_seconds=None)
    depot.closed = True
    depot.open()
    depot.world.run(0.1)
    tap = depot.tap()
    depot.world.run(4.5)
    depot.validator.reboot(depot.world.now)
    depot.world.run(2.5)
    first, second, third, after_reboot, *_ = depot.ages[tap]
    assert (first, after_reboot) == (0, None)
    assert second == pytest.approx(2000, abs=5)
    assert third == pytest.approx(4000, abs=5)
    assert [hello.boot for hello in depot.hellos] == [1, 2]
    assert depot.hellos[-1].last_tap == 1
    depot.closed = False
    depot.world.run(10.0, depot.all_answered)
    depot.check()
    assert depot.verdicts[tap].waited is None


class TestOwnLimit:
    @pytest.mark.parametrize("when_late", [Shown.LET_IN, Shown.TURNED_AWAY])
    def test_it_decides_after_500_ms_and_says_so(self, when_late: Shown) -> None:
        depot = Depot(1, when_late=when_late)
        depot.closed = True
        depot.open()
        depot.world.run(0.1)
        tapped = depot.world.now
        tap = depot.tap()
        depot.world.run(0.49)
        assert depot.decided == []
        depot.world.run(0.02)
        assert depot.decided == [TapDecided(tap, when_late)]
        assert depot.world.events["validator"][-1][0] == pytest.approx(tapped + 0.5)
        depot.world.run(0.1)
        assert depot.shown[tap] == [Shown.NOTHING, when_late]
        depot.closed = False
        depot.world.run(5.0, depot.all_answered)
        depot.check()
        assert depot.verdicts[tap].shown is when_late
        assert depot.verdicts[tap].verdict.accepts is (when_late is Shown.LET_IN)

    def test_what_it_decides_while_the_tap_is_on_the_line_goes_right_behind_it(self) -> None:
        depot = Depot(1, baud=2400)
        depot.world.lines["validator"].baud = 2400
        depot.closed = True
        depot.open()
        depot.world.run(1.0)
        tapped = depot.world.now
        tap = depot.tap()
        depot.world.run(0.6)
        assert depot.decided == [TapDecided(tap, Shown.LET_IN)]
        assert tap not in depot.shown
        depot.world.run(5.0, lambda: len(depot.shown.get(tap, [])) == 2)
        assert depot.shown[tap] == [Shown.NOTHING, Shown.LET_IN]
        assert depot.world.now < tapped + 2

    def test_it_decides_without_a_session_too(self) -> None:
        depot = Depot(1)
        tap = depot.tap()
        depot.world.run(1.0)
        assert depot.decided == [TapDecided(tap, Shown.LET_IN)]
        depot.open()
        depot.world.run(5.0, depot.all_answered)
        depot.check()
        assert depot.shown[tap] == [Shown.LET_IN]

    def test_a_verdict_in_time_leaves_nothing_to_decide(self) -> None:
        depot = Depot(1)
        depot.open()
        depot.world.run(0.1)
        tap = depot.tap()
        depot.world.run(5.0)
        assert depot.decided == []
        assert depot.verdicts[tap].shown is Shown.NOTHING
        assert depot.verdicts[tap].waited == pytest.approx(0.05, abs=0.06)

    def test_none_never_decides(self) -> None:
        depot = Depot(1, limit_seconds=None)
        depot.tap()
        depot.world.run(600.0)
        assert depot.decided == []

    def test_tap_kept_gives_it_more_patience(self) -> None:
        depot = Depot(1, kept_limit_seconds=8.0)
        depot.kept_first = True
        depot.decision_seconds = (5.0, 5.0)
        depot.open()
        depot.world.run(0.1)
        tap = depot.tap()
        depot.world.run(20.0, depot.all_answered)
        assert depot.decided == []
        assert depot.verdicts[tap].waited == pytest.approx(5.0, abs=0.1)
        # Every 2 s, TAP_KEPT or not: it only says that the tap is safe.
        assert depot.sendings[tap] == 3

    def test_a_late_verdict_that_contradicts_what_was_shown_does_not_end_it(self) -> None:
        """The daemon accepted, the passenger was turned away meanwhile: the daemon must hear that."""
        depot = Depot(1, when_late=Shown.TURNED_AWAY)
        depot.open()
        depot.world.run(0.1)
        depot.world.lines["daemon"].cut = True
        depot.world.lines["validator"].cut = True
        tap = depot.tap()
        depot.world.run(0.6)
        assert depot.decided == [TapDecided(tap, Shown.TURNED_AWAY)]
        depot.world.inject("validator", self.verdict(depot, tap))
        assert depot.verdicts == {}
        assert depot.validator.waiting == 1
        for line in depot.world.lines.values():
            line.cut = False
        depot.world.run(20.0, depot.all_answered)
        assert Shown.TURNED_AWAY in depot.shown[tap]

    def verdict(self, depot: Depot, tap: TapNumber) -> bytes:
        payload = VerdictMessage(tap, VerdictCode.ACCEPTED).encode()
        return encode_frame(Frame(FrameType.DATA, depot.validator._session._session, 0, 0, payload))


def test_a_payload_whose_id_cannot_be_read_is_answered_by_a_verdict_without_one() -> None:
    depot = Depot(1, limit_seconds=None)
    depot.open()
    depot.world.run(0.1)
    depot.made.append(depot.validator.tap_payload(bytes.fromhex("015a80"), depot.world.now))
    depot.world.settle()
    good = depot.tap()
    depot.made.append(depot.validator.tap_payload(bytes.fromhex("01df8a0101ff"), depot.world.now))
    depot.world.settle()
    depot.world.run(10.0, depot.all_answered)
    assert depot.all_answered()
    assert {depot.verdicts[tap].verdict.reason for tap in depot.made if tap != good} == {"malformed"}


def test_the_state_outlives_a_power_cut() -> None:
    depot = Depot(1, limit_seconds=None)
    taps = [depot.tap() for _ in range(3)]
    state = depot.validator.state()
    assert [tap.number for tap in state.taps] == taps
    again = SimulatedValidator(serial="VAL00042", state=state, limit_seconds=None)
    assert again.state() == state
    assert "4761" not in repr(state)
    depot.validator = again
    depot.world.ends["validator"] = again
    depot.open()
    depot.world.run(10.0, depot.all_answered)
    depot.check()


def test_config_closes_the_lane_and_the_taps_stay() -> None:
    depot = Depot(1, limit_seconds=None)
    depot.closed = True
    depot.open()
    depot.world.run(0.1)
    depot.tap()
    closed = ConfigMessage(lane_open=False, idle_text="Closed")
    depot.world.ends["daemon"].send(closed.encode(), depot.world.now)  # type: ignore[attr-defined]
    depot.world.run(5.0)
    assert [e for _, e in depot.world.events["validator"] if isinstance(e, ConfigReceived)] == [ConfigReceived(closed)]
    assert depot.validator.lane_open is False
    assert depot.validator.waiting == 1


def test_status_goes_up() -> None:
    depot = Depot(1)
    depot.open()
    depot.world.run(0.1)
    depot.validator.status(StatusMessage(1, "case open", 5), depot.world.now)
    depot.world.run(1.0)
    assert depot.statuses == [StatusMessage(1, "case open", 5)]


def test_what_a_validator_cannot_understand_is_told() -> None:
    depot = Depot(1)
    depot.world.on_event = lambda name, event: None
    depot.open()
    depot.world.run(0.1)
    for payload in (b"\x09", StatusMessage(0).encode()):
        depot.world.ends["daemon"].send(payload, depot.world.now)  # type: ignore[attr-defined]
    depot.world.run(1.0)
    told = [e.what for _, e in depot.world.events["validator"] if isinstance(e, Misunderstood)]
    assert told == ["message number 09 is not known", "StatusMessage goes up, not down"]


def test_losses_are_told() -> None:
    depot = Depot(1)
    depot.open()
    depot.world.run(0.1)
    depot.world.lines["daemon"].cut = True
    depot.world.run(4.0)
    assert any(isinstance(event, SessionLost) for _, event in depot.world.events["validator"])
    assert not depot.validator.is_up


def test_ten_thousand_stored_taps_cost_no_more_each_than_ten() -> None:
    """What is looked at on each step is what is under way, not what is stored."""

    def took(count: int) -> float:
        depot = Depot(1, limit_seconds=None)
        depot.decision_seconds = (0.0, 0.0)
        tapped_at = EPOCH_US
        card = read(CARDS[0], depot.rng, amount=1, currency="978", tapped_at=tapped_at, counter=1)
        for _ in range(count):
            depot.validator.tap(depot.world.now, card=card, tapped_at=tapped_at)
        depot.open()
        depot.world.run(0.1)
        answered = len(depot.verdicts)
        start = time.process_time()
        depot.world.run(0.5)
        assert len(depot.verdicts) - answered > 5
        return (time.process_time() - start) / (len(depot.verdicts) - answered)

    assert min(took(10_000) for _ in range(2)) < 10 * min(took(100) for _ in range(2))
