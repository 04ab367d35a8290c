"""What a verdict shows, and that the validator gets it."""

from __future__ import annotations

import random

import pytest

from device.vl1.simulator import SimulatedValidator
from device.vl1.simulator_events import SimulatorEvent, TapVerdict
from tpsd.core.display import SHOW_SECONDS, Display, Light, display
from tpsd.core.texts import Catalogue, languages, load, required_keys
from tpsd.domain.tap import Told, Verdict
from tpsd.domain.time import Micros
from tpsd.link.vl1 import Vl1Device
from tpsd.ports import DeviceEvent, TapArrived

EN = load("en")
CATALOGUES = [load(language) for language in languages()]
WALL = Micros(1_790_000_000_000_000)


@pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda catalogue: catalogue.language)
@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("amount", [None, 250])
def test_every_verdict_with_every_reason_fits_the_display(
    verdict: Verdict, catalogue: Catalogue, amount: int | None
) -> None:
    for reason in (*required_keys(), "action.042", "system.-5", "no such thing", ""):
        shown = display(Told(verdict, reason, amount), catalogue)
        lines = shown.text.split("\n")
        assert 1 <= len(lines) <= 2, reason
        assert all(1 <= len(line) <= 20 and line.isprintable() for line in lines), reason
        assert len(shown.text.encode()) <= 64, reason
        assert shown.amount == amount


@pytest.mark.parametrize(
    ("verdict", "reason", "text"),
    [
        (Verdict.CHECK_OUT_AGAIN, "action.116", "Balance too low\nPlease tap again"),
        (Verdict.CHECK_OUT_FAILED, "action.116", "Balance too low\nContact support"),
        (Verdict.CHECK_OUT_AGAIN, "action.112", "PIN needed\nPlease tap again"),
        (Verdict.CHECK_OUT_FAILED, "system.41", "Not in service\nContact support"),
        (Verdict.CHECK_OUT_AGAIN, "malformed", "Please tap again"),
        (Verdict.DENIED, "action.116", "Balance too low\nUse another card"),
    ],
)
def test_a_failed_check_out_shows_the_reason_and_what_to_do(verdict: Verdict, reason: str, text: str) -> None:
    assert display(Told(verdict, reason), EN).text == text


@pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda catalogue: catalogue.language)
@pytest.mark.parametrize("verdict", [Verdict.CHECK_OUT_AGAIN, Verdict.CHECK_OUT_FAILED])
def test_the_second_line_never_contradicts_what_tps_or_the_way_said(verdict: Verdict, catalogue: Catalogue) -> None:
    advice = {line for text in catalogue.texts.values() for line in text.passenger.split("\n")[1:]}
    for reason in required_keys():
        if reason.startswith(("action.", "system.", "http", "tls")):
            first, second = display(Told(verdict, reason), catalogue).text.split("\n")
            assert first not in advice, reason
            assert second not in first


def test_lights_and_beeps_tell_the_verdicts_apart() -> None:
    assert display(Told(Verdict.CHECKED_IN, "ok", 900), EN) == Display(
        EN.passenger("ok"), Light.GREEN, 1, False, SHOW_SECONDS, 900
    )
    assert display(Told(Verdict.CHECK_OUT_AGAIN, "timeout"), EN).light is Light.AMBER
    assert display(Told(Verdict.CHECK_OUT_FAILED, "timeout"), EN).light is Light.RED


@pytest.mark.parametrize("amount", [None, 0, 320, 2**32 - 1])
@pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda catalogue: catalogue.language)
def test_the_validator_gets_text_and_amount(catalogue: Catalogue, amount: int | None) -> None:
    device = Vl1Device(rng=random.Random(1), baud=115_200, language=catalogue.language, idle_text="gate-1")
    validator = SimulatedValidator(serial="VAL00042", limit_seconds=None)
    device.open(0.0)
    validator.open(0.0)
    _exchange(device, validator, 0.0)
    number = validator.tap(1.0, card=(), tapped_at=None)
    arrived = [event for event in _exchange(device, validator, 1.0)[0] if isinstance(event, TapArrived)]
    assert len(arrived) == 1

    told = Told(Verdict.CHECK_OUT_FAILED, "action.116", amount)
    device.tell(arrived[0].answer_to, told, display(told, catalogue), 1.0)
    verdicts = [event for event in _exchange(device, validator, 1.0)[1] if isinstance(event, TapVerdict)]
    assert [(event.tap, event.verdict.amount) for event in verdicts] == [(number, amount)]
    assert verdicts[0].verdict.text == catalogue.check_out("action.116", "check_out_failed")


def _exchange(
    device: Vl1Device, validator: SimulatedValidator, now: float
) -> tuple[list[DeviceEvent], list[SimulatorEvent]]:
    """Carry bytes both ways until neither end has more, a few rounds at most."""
    down: list[DeviceEvent] = []
    up: list[SimulatorEvent] = []
    for _ in range(20):
        to_validator, to_device = device.output(), validator.output()
        if not (to_validator or to_device):
            break
        up += validator.receive(to_validator, now)
        down += device.receive(to_device, now, WALL)
    return down, up
