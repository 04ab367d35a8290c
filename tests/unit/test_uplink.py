"""The uplink's machine: its table, what exchanges show, when probes and mails are due, how first sends are spread."""

from itertools import product
from uuid import UUID

import pytest

from schemas.config import Retry
from tpsd.core.retry import DEFAULT_LADDER
from tpsd.core.uplink import (
    CREDENTIAL_TROUBLE,
    HOST_TROUBLE,
    SPREAD_LONGEST_US,
    TABLE,
    TELL_AFTER_US,
    Effect,
    Input,
    Link,
    Outage,
    Spread,
    Standing,
    claimable_before,
    evidence,
    goes_back,
    has_lasted,
    is_spread,
    next_look,
    probe_pause,
    put_back,
    reachable,
    remembered,
    spread_due,
    step,
    unreachable,
)
from tpsd.domain.authorisation import AttemptReason, Claimed, Progress, State
from tpsd.domain.notice import NoticeKind
from tpsd.domain.outcome import (
    Answer,
    CredentialRefused,
    Exchange,
    NoAnswer,
    NoConnection,
    NotSent,
    Outcome,
    TryAgain,
    Unknown,
)
from tpsd.domain.time import HOUR, MINUTE, SECOND, Micros

NOW = Micros(1_790_000_000_000_000)
UP = Standing(Link.UP, NOW)
HOLD_US = 96 * HOUR


def at(seconds: float) -> Micros:
    return Micros(NOW + int(seconds * SECOND))


def down(link: Link = Link.DOWN) -> Standing:
    return Standing(link, NOW, 0, at(5))


def claimed(reason: AttemptReason = AttemptReason.LADDER, *, charged: bool = False) -> Claimed:
    return Claimed(
        uuid=UUID(int=1),
        number=4,
        fence=4,
        reason=reason,
        terminal="GATE-X1:VAL00042",
        path="/p",
        credential="common",
        body=b"{}",
        started_at=at(60),
        progress=Progress(4, charged, DEFAULT_LADDER),
    )


@pytest.mark.parametrize(("link", "given"), list(product(Link, Input)))
def test_every_input_at_every_state_is_in_the_table_or_raises(link: Link, given: Input) -> None:
    standing = UP if link is Link.UP else down(link)
    if (link, given) in TABLE:
        after, effect = step(standing, given, at(9))
        assert (after.link, effect) == TABLE[link, given]
        assert (after.probe_due is None) == after.is_up
    else:
        with pytest.raises(ValueError, match=f"{given.name} cannot happen to a host that is {link.value}"):
            step(standing, given, at(9))


def test_only_these_two_cannot_happen() -> None:
    absent = {pair for pair in product(Link, Input) if pair not in TABLE}
    assert absent == {(Link.UP, Input.LASTED), (Link.TOLD, Input.LASTED)}


def test_an_outage_from_its_beginning_to_its_end() -> None:
    standing, effect = step(UP, Input.TROUBLE, NOW)
    assert (standing, effect) == (Standing(Link.DOWN, NOW, 0, at(5)), Effect.BEGIN)
    dues = []
    for _ in range(6):
        assert standing.probe_due is not None
        dues.append((standing.probe_due - NOW) // SECOND)
        standing, effect = step(standing, Input.TROUBLE, standing.probe_due)
        assert effect is Effect.PROBE
    assert dues == [5, 15, 35, 75, 135, 195]
    assert (standing.since, standing.probes) == (NOW, 6)
    standing, effect = step(standing, Input.LASTED, at(1800))
    assert (standing.link, standing.since, standing.probes, effect) == (Link.TOLD, NOW, 6, Effect.TELL)
    assert step(standing, Input.REACHED, at(9000)) == (Standing(Link.UP, at(9000)), Effect.END)


def test_probes_go_after_five_seconds_doubling_to_a_minute() -> None:
    assert [probe_pause(failed) // SECOND for failed in (0, 1, 2, 3, 4, 5, 1000)] == [5, 10, 20, 40, 60, 60, 60]


EVIDENCE: list[tuple[Exchange, Input | None]] = [
    (Answer(200, action_code="000"), Input.REACHED),
    (Answer(503), Input.REACHED),
    (Answer(404, readable=False), Input.REACHED),
    (NoConnection("connect"), Input.TROUBLE),
    (NoConnection("connect_timeout"), Input.TROUBLE),
    (NoConnection("dns"), Input.TROUBLE),
    (NoConnection("tls"), Input.REACHED),
    (NoConnection("tls.server"), Input.REACHED),
    (NoConnection("probe"), Input.REACHED),
    (CredentialRefused("tls.client"), Input.REACHED),
    (CredentialRefused("no_credential"), None),
    (NoAnswer("timeout"), None),
    (NoAnswer("closed"), None),
]


@pytest.mark.parametrize(("exchange", "shown"), EVIDENCE)
def test_what_an_exchange_shows_of_the_host(exchange: Exchange, shown: Input | None) -> None:
    assert evidence(exchange) is shown


def test_silence_on_a_fresh_connection_shows_that_there_was_one() -> None:
    assert evidence(NoAnswer("timeout"), fresh=True) is Input.REACHED
    assert evidence(NoConnection("connect"), fresh=True) is Input.TROUBLE


def test_one_lanes_bad_certificate_is_not_the_hosts_trouble() -> None:
    for cause in CREDENTIAL_TROUBLE:
        assert not goes_back(NotSent(cause, clean=True), AttemptReason.LADDER)


@pytest.mark.parametrize(
    ("outcome", "reason", "back"),
    [
        *((NotSent(cause, clean=True), AttemptReason.LADDER, True) for cause in sorted(HOST_TROUBLE)),
        (NotSent("connect", clean=True), AttemptReason.HAND, True),
        (NotSent("connect", clean=True), AttemptReason.CANARY, False),
        (NotSent("connect", clean=True), AttemptReason.ENQUIRY, False),
        (NotSent("probe", clean=True), AttemptReason.LADDER, False),
        (NotSent("seal", clean=True), AttemptReason.LADDER, False),
        (Unknown("timeout", clean=False), AttemptReason.LADDER, False),
        (TryAgain("connect", clean=False), AttemptReason.LADDER, False),
    ],
)
def test_only_what_was_not_tried_goes_back(outcome: Outcome, reason: AttemptReason, back: bool) -> None:
    assert goes_back(outcome, reason) is back


@pytest.mark.parametrize("charged", [False, True])
def test_what_goes_back_is_as_it_was_before_the_claim(charged: bool) -> None:
    settlement = put_back(claimed(charged=charged), NotSent("dns", clean=True))
    assert (settlement.state, settlement.cause, settlement.due) == (State.PENDING, "dns", at(60))
    assert (settlement.uncounted, settlement.may_have_charged, settlement.notices) == (True, charged, ())


def test_while_it_is_down_only_what_waited_too_long_is_claimed() -> None:
    assert claimable_before(UP, HOLD_US, NOW) is None
    assert claimable_before(down(), HOLD_US, NOW) == NOW - HOLD_US
    assert claimable_before(down(Link.TOLD), HOLD_US, NOW) == NOW - HOLD_US
    assert claimable_before(down(), None, NOW) is None


def test_the_operator_is_told_after_half_an_hour_and_once() -> None:
    assert not has_lasted(UP, at(1e6))
    assert not has_lasted(down(), at(1799.999))
    assert has_lasted(down(), at(1800))
    assert not has_lasted(down(Link.TOLD), at(1800))


def test_the_next_look_is_the_probe_or_the_mail() -> None:
    assert next_look(UP) is None
    assert next_look(down()) == at(5)
    assert next_look(Standing(Link.DOWN, NOW, 30, at(1830))) == at(1800)
    assert next_look(Standing(Link.TOLD, NOW, 30, at(1830))) == at(1830)


def test_a_restart_remembers_and_probes_at_once() -> None:
    assert remembered(Outage(NOW, told=False), at(60)) == Standing(Link.DOWN, NOW, 0, at(60))
    assert remembered(Outage(NOW, told=True), at(60)) == Standing(Link.TOLD, NOW, 0, at(60))
    assert remembered(Outage(at(99), told=True), NOW).since == NOW, "a clock that was ahead"


def test_the_shortest_outage_that_is_spread() -> None:
    outage = Outage(NOW, told=False)
    assert not is_spread(outage, at(30))
    assert is_spread(outage, Micros(at(30) + 1))


def test_a_terminals_first_sends_keep_their_order_after_one_offset() -> None:
    spread = Spread(300 * SECOND, b"12345678")
    first, second = (spread_due(spread, "GATE-X1:VAL00042", NOW, place) for place in (0, 7))
    assert second - first == 7
    assert NOW < first <= at(300)
    other = spread_due(spread, "GATE-X1:VAL00043", NOW, 0)
    again = spread_due(Spread(300 * SECOND, b"12345679"), "GATE-X1:VAL00042", NOW, 0)
    assert len({first, other, again}) == 3


def test_the_words_of_an_outage() -> None:
    outage = Outage(NOW, told=True)
    notice = unreachable("tps.example:8443", outage, 1)
    assert (notice.kind, notice.cause) == (NoticeKind.OUTAGE, "outage/unreachable@tps.example:8443")
    assert notice.detail == "not reachable since 2026-09-21T14:13:20Z; 1 tap waits"
    notice = reachable("tps.example", outage, 412, Micros(NOW + 3 * HOUR + 7 * MINUTE + 59 * SECOND))
    assert notice.cause == "outage/reachable@tps.example"
    assert notice.detail == "reachable again after 3 h 7 min (since 2026-09-21T14:13:20Z); 412 taps wait"
    assert "after 31 min (" in reachable("tps.example", outage, 0, at(31 * 60)).detail


def test_the_limits_fit_together() -> None:
    longest = Retry.model_json_schema()["properties"]["spread_seconds"]["maximum"]
    assert longest * SECOND == SPREAD_LONGEST_US
    assert TELL_AFTER_US == 30 * MINUTE
