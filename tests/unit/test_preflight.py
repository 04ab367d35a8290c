"""What keeps a lane closed before it opens: each check by itself, how grave it is, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tpsd.core import preflight
from tpsd.core.preflight import (
    AGAIN_LONGEST_SECONDS,
    CLOCK_APART_US,
    EXPIRES_SOON_US,
    TABLE,
    Check,
    Finding,
    Gravity,
    again_seconds,
    closing,
    reason,
    was_heard,
)
from tpsd.domain.identity import Identity, IdentityState
from tpsd.domain.outcome import CredentialRefused, Exchange, NoAnswer, NoConnection
from tpsd.domain.preflight import CertificateFacts, Expected, FileFacts, TerminalSaid
from tpsd.domain.time import DAY, SECOND, Micros, later

NOW = Micros(1_790_000_000_000_000)
TERMINAL = "GATE-X1:VAL00001"
CERTIFICATE = CertificateFacts(
    "/etc/own.crt",
    own=True,
    common_name=TERMINAL,
    issuer="Sfey Device CA",
    begins=later(NOW, -DAY),
    ends=later(NOW, 365 * DAY),
)
LIVE = Expected(production=True, host="device.api.sfey.com", company_id=1001, stock_location_id=42, terminal=TERMINAL)
SAID = TerminalSaid(200, None, 1001, 42, NOW)


def checks(findings: object) -> list[Check]:
    return [one.check for one in findings]  # type: ignore[attr-defined]


def test_every_check_has_its_gravity_and_none_is_graver_for_a_deferred_lane() -> None:
    assert TABLE.keys() == set(Check)
    order = [Gravity.NOTES, Gravity.WARNS, Gravity.CLOSES]
    assert all(order.index(deferred) <= order.index(realtime) for deferred, realtime in TABLE.values())


def test_being_offline_closes_realtime_lanes_alone() -> None:
    [finding] = preflight.of_silence(NoConnection("connect"))
    assert closing([finding], realtime=False) == []
    assert closing([finding], realtime=True) == [finding]
    assert not was_heard([finding])
    assert was_heard(preflight.of_answer(TerminalSaid(404), LIVE))


@pytest.mark.parametrize(
    ("file", "production", "found"),
    [
        (FileFacts("sfey.client_key_file", "/k", secret=True), True, []),
        (FileFacts("sfey.client_key_file", "/k", unread="Permission denied", secret=True), False, [Check.FILE]),
        (FileFacts("sfey.client_key_file", "/k", secret=True, exposed=True), True, [Check.FILE_OPEN]),
        (FileFacts("sfey.client_key_file", "/k", secret=True, exposed=True), False, [Check.FILE_OPEN_IN_TEST]),
        (FileFacts("sfey.client_cert_file", "/c", exposed=True), True, []),
    ],
    ids=["good", "unreadable", "open", "open in test", "no secret"],
)
def test_files(file: FileFacts, production: bool, found: list[Check]) -> None:
    findings = list(preflight.of_files([file], production=production))
    assert checks(findings) == found
    assert all(file.setting in one.what and file.path in one.what and one.remedy for one in findings)


@pytest.mark.parametrize(
    ("changes", "terminal", "found"),
    [
        ({}, TERMINAL, []),
        ({"common_name": "GATE-X1:VAL00002"}, TERMINAL, [Check.NAME]),
        ({"common_name": "GATE-X1:VAL00002"}, None, []),
        ({"common_name": "GATE-X1:VAL00002", "own": False}, TERMINAL, []),
        ({"common_name": "somebody"}, TERMINAL, []),
        ({"unfit": "not a certificate", "broken": "anything"}, TERMINAL, [Check.PAIR]),
        ({"broken": "certificate 1 is not signed by the next one"}, TERMINAL, [Check.CHAIN]),
        ({"begins": later(NOW, SECOND)}, TERMINAL, [Check.VALID]),
        ({"ends": later(NOW, -SECOND)}, TERMINAL, [Check.VALID]),
        ({"ends": later(NOW, EXPIRES_SOON_US)}, TERMINAL, []),
        ({"ends": later(NOW, EXPIRES_SOON_US - SECOND)}, TERMINAL, [Check.EXPIRES]),
    ],
)
def test_certificates(changes: dict[str, object], terminal: str | None, found: list[Check]) -> None:
    seen = replace(CERTIFICATE, **changes)  # type: ignore[arg-type]
    assert checks(preflight.of_certificate(seen, terminal, NOW)) == found


def test_nobody_judges_dates_while_the_time_is_unknown() -> None:
    assert not list(preflight.of_certificate(replace(CERTIFICATE, ends=later(NOW, -DAY)), TERMINAL, None))


def test_an_expiry_says_the_day() -> None:
    [finding] = preflight.of_certificate(replace(CERTIFICATE, ends=later(NOW, 10 * DAY + SECOND)), TERMINAL, NOW)
    assert finding.what == "/etc/own.crt expires on 2026-10-01, in 10 days"


@pytest.mark.parametrize(
    ("host", "issuer", "name", "which"),
    [
        ("device.api.sfey.com", "Sfey Device CA", TERMINAL, None),
        ("attest.sfey.com", "Devon Contest CA", TERMINAL, None),
        ("test.api.sfey.com", "Sfey Device CA", TERMINAL, "the host test.api.sfey.com is a test's"),
        ("device.api.sfey.com", "Sfey TEST CA", TERMINAL, "the certificate's issuer 'Sfey TEST CA' is a test's"),
        ("device-dev.sfey.com", "Sandbox", "demo:1", "and the certificate's issuer 'Sandbox' are a test's"),
    ],
)
def test_production_with_a_tests_host_or_certificate_says_which_disagrees(
    host: str, issuer: str, name: str, which: str | None
) -> None:
    certificate = replace(CERTIFICATE, issuer=issuer, common_name=name)
    findings = list(preflight.of_mode(replace(LIVE, host=host), certificate))
    assert checks(findings) == ([] if which is None else [Check.MODE])
    assert all(str(which) in one.what for one in findings)
    assert not list(preflight.of_mode(replace(LIVE, host=host, production=False), certificate))


def test_production_refuses_mode_00() -> None:
    [finding] = preflight.of_mode(replace(LIVE, clear=True), None)
    assert (finding.check, "mode 00" in finding.what) == (Check.MODE, True)
    assert not list(preflight.of_mode(replace(LIVE, clear=True, production=False), None))


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (SAID, []),
        (replace(SAID, company_id=1002), [Check.COMPANY]),
        (replace(SAID, stock_location_id=43), [Check.LOCATION]),
        (replace(SAID, company_id=1002, stock_location_id=43), [Check.COMPANY, Check.LOCATION]),
        (TerminalSaid(200), [Check.UNTOLD]),
        (TerminalSaid(404), [Check.UNTOLD]),
        (TerminalSaid(403), [Check.UNTOLD]),
        (TerminalSaid(302), [Check.UNTOLD]),
        (TerminalSaid(503), [Check.REACHED]),
        (TerminalSaid(400, 41), [Check.TERMINAL]),
        (TerminalSaid(400, 42), [Check.TERMINAL]),
        (TerminalSaid(400, 22), [Check.TERMINAL]),
        (TerminalSaid(400, 11), [Check.COMPANY]),
        (TerminalSaid(400, 10), [Check.LOCATION]),
        (TerminalSaid(400, 35), [Check.UNTOLD]),
    ],
)
def test_what_tps_says(said: TerminalSaid, found: list[Check]) -> None:
    findings = list(preflight.of_answer(said, LIVE))
    assert checks(findings) == found
    assert all(one.remedy for one in findings)


@pytest.mark.parametrize(
    ("exchange", "check"),
    [
        (NoConnection("connect"), Check.REACHED),
        (NoConnection("tls.server"), Check.REACHED),
        (NoAnswer("closed"), Check.REACHED),
        (CredentialRefused("tls.client"), Check.TAKEN),
        (CredentialRefused("tls.own"), Check.TAKEN),
    ],
)
def test_what_its_silence_says(exchange: Exchange, check: Check) -> None:
    assert checks(preflight.of_silence(exchange)) == [check]


@pytest.mark.parametrize("sign", [1, -1])
def test_the_clock_may_be_two_minutes_off(sign: int) -> None:
    assert not list(preflight.of_clock(later(NOW, sign * CLOCK_APART_US), NOW))
    [finding] = preflight.of_clock(later(NOW, sign * (CLOCK_APART_US + SECOND)), NOW)
    assert "121 s apart" in finding.what
    assert not list(preflight.of_clock(None, NOW))
    assert not list(preflight.of_clock(NOW, None))


KEPT = Identity(
    "door-1", TERMINAL, IdentityState.ACTIVE, "049-443", NOW, NOW, later(NOW, EXPIRES_SOON_US), company_id=1001
)


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        (None, None),
        (KEPT, None),
        (replace(KEPT, state=IdentityState.AWAITING, company_id=7), None),
        (replace(KEPT, company_id=None), None),
        (replace(KEPT, terminal="GATE-X1:VAL9"), f"registered as GATE-X1:VAL9, and its terminal is {TERMINAL}"),
        (replace(KEPT, company_id=7), "registered for company 7, and operator.company_id is 1001"),
        (replace(KEPT, ends=later(NOW, EXPIRES_SOON_US - SECOND)), "ends on 2026-10-21"),
    ],
)
def test_a_kept_identity_is_compared(kept: Identity | None, words: str | None) -> None:
    findings = list(preflight.of_identity(kept, LIVE, NOW))
    assert checks(findings) == ([] if words is None else [Check.IDENTITY])
    assert all(str(words) in one.what and "tpsd terminal register" in one.remedy for one in findings)
    assert not list(preflight.of_identity(replace(KEPT, ends=NOW), LIVE, None))


def test_a_reason_says_the_first_and_how_many_more() -> None:
    findings = [Finding(Check.TERMINAL, "TPS knows nobody", "enter it"), Finding(Check.CLOCK, "late", "set it")]
    assert reason(findings[:1]) == "preflight: TPS knows nobody"
    assert reason(findings) == "preflight: TPS knows nobody (and 1 more: tpsd preflight)"


def test_looks_become_rarer_to_once_a_minute() -> None:
    assert [again_seconds(failures) for failures in range(1, 7)] == [5, 10, 20, 40, 60, 60]
    assert again_seconds(10**9) == AGAIN_LONGEST_SECONDS
