"""The table behind /healthz: each check by itself, and the words people get."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tpsd.core.health import APART_US, GONE_TOLD_US, LADDER_MARGIN_US, MAIL_STUCK_US, Check, judge
from tpsd.core.retry import DEFAULT_LADDER, JITTER_SHARE_MAX, span
from tpsd.domain.authorisation import Tier
from tpsd.domain.picture import (
    FeedFacts,
    FleetFacts,
    JournalFigures,
    LaneFacts,
    Picture,
    RungCount,
    SpoolFacts,
    TapLogFacts,
    UplinkFacts,
)
from tpsd.domain.time import DAY, HOUR, MINUTE, SECOND, Micros

NOW = Micros(1_790_000_000_000_000)
READY = LaneFacts("gate-1", "North", "ready", "", 0, 0)
QUIET = JournalFigures((), (), 0, None, 0, None)
WELL = Picture(NOW, (READY,), QUIET, None, (UplinkFacts("tps", True, 60.0, ""),), True, 0)
SHARED = FleetFacts("gate-1", presides=True, others=("gate-2",), gone={}, apart_us=0)
FED = FeedFacts(3600.0, 3600.0, 86400.0, "", 1000, None, waits=False)


def rung(waits_us: int, *, released: bool = False, tiers: tuple[Tier, ...] = DEFAULT_LADDER) -> RungCount:
    oldest = Micros(NOW - waits_us)
    return RungCount(tiers, 3, 1, NOW, oldest, None if released else oldest)


def of(**changes: object) -> Picture:
    return replace(WELL, **changes)  # type: ignore[arg-type]


def figures(**changes: object) -> Picture:
    return of(figures=replace(QUIET, **changes))  # type: ignore[arg-type]


LONGEST = span(DEFAULT_LADDER, JITTER_SHARE_MAX) + LADDER_MARGIN_US


@pytest.mark.parametrize(
    "picture",
    [
        WELL,
        of(lanes=()),
        of(uplinks=()),
        of(figures=None),
        of(feed=FED),
        of(feed=replace(FED, cause="http.503", coming=5)),
        of(taplog=TapLogFacts(5, 3, None)),
        of(spool=SpoolFacts(3, 9.0, 9.0, None)),
        of(fleet=SHARED),
        of(fleet=replace(SHARED, apart_us=APART_US)),
        of(fleet=replace(SHARED, gone={"scrapped": GONE_TOLD_US + 1})),
        figures(rungs=(rung(LONGEST),)),
        figures(rungs=(rung(10 * LONGEST, released=True),)),
        figures(mails_waiting=1, oldest_mail=Micros(NOW - MAIL_STUCK_US)),
    ],
)
def test_what_is_well(picture: Picture) -> None:
    health = judge(picture)
    assert health.healthy
    assert all(health.holds(check) for check in Check)


@pytest.mark.parametrize(
    ("picture", "check", "reason"),
    [
        (
            of(feed=replace(FED, age_seconds=9000.0, waited_seconds=9000.0)),
            Check.DENY_LIST,
            "TPS has not completed the deny list for 2.5 h",
        ),
        (
            of(feed=replace(FED, age_seconds=3601.0, waited_seconds=3601.0, cause="token.repeats")),
            Check.DENY_LIST,
            "TPS has not completed the deny list for 1.0 h (token.repeats)",
        ),
        (of(feed=replace(FED, age_seconds=None)), Check.DENY_LIST, "the deny list is of unknown age"),
        (of(feed=replace(FED, max_age_seconds=3599.0)), Check.DENY_LIST, "the deny list is too old"),
        (
            of(
                feed=replace(FED, max_age_seconds=3599.0),
                lanes=(READY, replace(READY, name="gate-2", turns_away_when_stale=True)),
            ),
            Check.DENY_LIST,
            "the deny list is too old: turned away at gate-2",
        ),
        (of(feed=replace(FED, waits=True)), Check.DENY_LIST, "a new deny list waits for 'tpsd denylist accept'"),
        (
            of(lanes=(READY, replace(READY, name="gate-2", state="offline", reason="/dev/x cannot be opened"))),
            Check.LANES,
            "lane gate-2 is offline: /dev/x cannot be opened",
        ),
        (of(lanes=(replace(READY, state="waiting"),)), Check.LANES, "lane gate-1 is waiting"),
        (of(lanes=(replace(READY, reason="tamper"),)), Check.LANES, "lane gate-1 is ready: tamper"),
        (of(journal_trouble="the disk is full"), Check.JOURNAL, "the disk is full"),
        (
            figures(rungs=(rung(LONGEST + 1),)),
            Check.PENDING,
            "the oldest pending tap waits for 22.5 h, longer than its ladder",
        ),
        (
            figures(rungs=(rung(20 * MINUTE, tiers=(Tier(1, MINUTE),)), rung(20 * HOUR))),
            Check.PENDING,
            "the oldest pending tap waits for 0.3 h, longer than its ladder",
        ),
        (
            figures(mails_waiting=2, oldest_mail=Micros(NOW - 3 * HOUR)),
            Check.MAIL,
            "2 mails are not accepted by SMTP, the oldest for 3.0 h",
        ),
        (
            of(uplinks=(UplinkFacts("tps.example", False, 12.4, "dns"),)),
            Check.UPLINK,
            "tps.example cannot be reached for 12 s (dns)",
        ),
        (of(clock_trusted=False), Check.CLOCK, "the clock is not trusted"),
        (of(preflight=("lane gate-1: x",)), Check.PREFLIGHT, "lane gate-1: x"),
        (
            of(fleet=replace(SHARED, apart_us=APART_US + 1)),
            Check.FLEET,
            "this machine's clock is 2.0 s ahead of the database's: have one time server set both",
        ),
        (
            of(fleet=replace(SHARED, apart_us=-3 * SECOND)),
            Check.FLEET,
            "this machine's clock is 3.0 s behind the database's: have one time server set both",
        ),
        (
            of(fleet=replace(SHARED, gone={"gate-2": 5 * MINUTE})),
            Check.FLEET,
            "daemon gate-2 gives no sign of life for 5 min; the others go on with what it left due",
        ),
        (
            of(fleet=replace(SHARED, gone={"gate-2": 31 * SECOND})),
            Check.FLEET,
            "daemon gate-2 gives no sign of life for 31 s; the others go on with what it left due",
        ),
    ],
)
def test_what_is_wrong(picture: Picture, check: Check, reason: str) -> None:
    health = judge(picture)
    assert health.reasons == ((check, reason),)
    assert not health.healthy
    assert [other for other in Check if not health.holds(other)] == [check]


def test_every_check_is_told_in_one_go() -> None:
    bad = replace(
        figures(rungs=(rung(9 * LONGEST),), mails_waiting=1, oldest_mail=Micros(0)),
        lanes=(replace(READY, state="closed"),),
        journal_trouble="x",
        uplinks=(UplinkFacts("tps", False, 1.0, ""),),
        clock_trusted=False,
        feed=replace(FED, waits=True),
        preflight=("lane gate-1: own.crt expires on 2026-12-01, in 7 days",),
        taplog=TapLogFacts(5, 3, "No space left on device"),
        spool=SpoolFacts(3, 11.0, 11.0, None),
        fleet=replace(SHARED, apart_us=DAY),
    )
    assert {check for check, _ in judge(bad).reasons} == set(Check)


@pytest.mark.parametrize(
    ("spool", "said"),
    [
        (SpoolFacts(3, 11.0, 12.0, None), "3 taps wait in the spool, the oldest for 11 s"),
        (SpoolFacts(0, None, 2.0, "OSError"), "the database is away (OSError): taps go to the spool, which holds 0"),
        (
            SpoolFacts(1, 1.0, 2.0, None, "ValueError"),
            "a tap of the spool cannot be drained (ValueError), and nothing is sent before it: look at the log",
        ),
    ],
)
def test_what_is_wrong_with_the_spool(spool: SpoolFacts, said: str) -> None:
    assert judge(of(spool=spool)).reasons == ((Check.SPOOL, said),)
