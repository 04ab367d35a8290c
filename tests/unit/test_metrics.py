"""The metrics page: names, labels that cannot grow, and numbers of the picture."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.test_health import NOW, QUIET, READY, WELL
from tpsd.admin.metrics import CODES_MAX, HELD_CAUSES_MAX, Metrics
from tpsd.core.health import judge
from tpsd.core.retry import DEFAULT_LADDER
from tpsd.domain.outcome import Approved, Declined, TryAgain
from tpsd.domain.picture import FeedFacts, FleetFacts, Picture, RestCount, RungCount, TapLogFacts
from tpsd.domain.tap import Kind, Told, Verdict
from tpsd.domain.time import MINUTE, SECOND, Micros

Sample = tuple[str, frozenset[tuple[str, str]]]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("1.2.3", "test")


def samples(metrics: Metrics, picture: Picture = WELL) -> dict[Sample, float]:
    text = metrics.text(picture, judge(picture)).decode()
    families = text_string_to_metric_families(text)
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def value(found: dict[Sample, float], name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def test_taps_verdicts_and_repeats(metrics: Metrics) -> None:
    metrics.tapped("gate-1", Kind.MTT, Told(Verdict.ACCEPTED, "ok"))
    metrics.tapped("gate-1", Kind.MTT, Told(Verdict.DENIED, "deny_list"))
    metrics.tapped("gate-2", None, Told(Verdict.TRY_AGAIN, "malformed"))
    metrics.repeated("gate-1")
    found = samples(metrics)
    assert value(found, "tpsd_taps_total", lane="gate-1", kind="MTT") == 2
    assert value(found, "tpsd_taps_total", lane="gate-2", kind="unknown") == 1
    assert value(found, "tpsd_verdicts_total", lane="gate-1", verdict="denied") == 1
    assert value(found, "tpsd_repeats_total", lane="gate-1") == 1


def test_outcomes_by_code_cannot_grow_without_bound(metrics: Metrics) -> None:
    metrics.settled(Approved("action.000", clean=False))
    for number in range(2 * CODES_MAX):
        metrics.settled(Declined(f"action.{number}", clean=True))
    metrics.settled(TryAgain("http.503", clean=False))
    found = samples(metrics)
    assert value(found, "tpsd_outcomes_total", outcome="approved", code="action.000") == 1
    assert value(found, "tpsd_outcomes_total", outcome="declined", code="other") == CODES_MAX + 1
    assert value(found, "tpsd_outcomes_total", outcome="try_again", code="other") == 1
    codes = [name for name, _ in found if name == "tpsd_outcomes_total"]
    assert len(codes) <= CODES_MAX + len(("declined", "try_again"))


def test_times(metrics: Metrics) -> None:
    for seconds in (0.002, 0.03, 7.0):
        metrics.committed(seconds)
        metrics.sent(seconds)
    found = samples(metrics)
    assert value(found, "tpsd_commit_seconds_count") == 3
    assert value(found, "tpsd_commit_seconds_bucket", le="0.0025") == 1
    assert value(found, "tpsd_send_seconds_bucket", le="0.05") == 2
    assert value(found, "tpsd_send_seconds_sum") == pytest.approx(7.032)


def test_the_picture(metrics: Metrics) -> None:
    figures = replace(
        QUIET,
        rungs=(RungCount(DEFAULT_LADDER, 0, 5, NOW, NOW, NOW), RungCount(DEFAULT_LADDER, 4, 2, NOW, NOW, NOW)),
        resting=(
            RestCount("held", "system.41@X:1", 3, NOW),
            RestCount("in_doubt", "horizon", 2, NOW),
            RestCount("permanently_failed", "http.503", 1, NOW),
        ),
        oldest_pending=Micros(NOW - 90 * SECOND),
        mails_waiting=4,
        oldest_mail=Micros(NOW - 5 * SECOND),
    )
    lane = replace(READY, name="gate-2", state="offline", noise=7, internal_errors=1, cards_lost=2, cards_unread=5)
    found = samples(metrics, replace(WELL, figures=figures, lanes=(READY, lane), in_flight=3))
    assert value(found, "tpsd_pending", tier="0", rung="0") == 5
    assert value(found, "tpsd_pending", tier="2", rung="4") == 2
    assert value(found, "tpsd_oldest_pending_age_seconds") == 90
    assert value(found, "tpsd_held", cause="system.41@X:1") == 3
    assert value(found, "tpsd_in_doubt") == 2
    assert value(found, "tpsd_permanently_failed") == 1
    assert value(found, "tpsd_mails_waiting") == 4
    assert value(found, "tpsd_oldest_mail_age_seconds") == 5
    assert value(found, "tpsd_lanes", state="ready") == 1
    assert value(found, "tpsd_lanes", state="offline") == 1
    assert value(found, "tpsd_lanes", state="closed") == 0
    assert value(found, "tpsd_lane_ready", lane="gate-2") == 0
    assert value(found, "tpsd_garbage_total", lane="gate-2") == 7
    assert value(found, "tpsd_internal_errors_total", lane="gate-2") == 1
    assert value(found, "tpsd_cards_lost_total", lane="gate-2") == 2
    assert value(found, "tpsd_cards_unread_total", lane="gate-2") == 5
    assert value(found, "tpsd_healthy") == 0
    assert value(found, "tpsd_check", check="lanes") == 0
    assert value(found, "tpsd_check", check="mail") == 1
    assert value(found, "tpsd_uplink_up", host="tps") == 1
    assert value(found, "tpsd_clock_trusted") == 1
    assert value(found, "tpsd_sends_in_flight") == 3
    assert value(found, "tpsd_info", version="1.2.3", mode="test") == 1


def test_a_journal_that_does_not_answer_has_no_numbers(metrics: Metrics) -> None:
    found = samples(metrics, replace(WELL, figures=None, journal_trouble="it does not answer"))
    assert value(found, "tpsd_healthy") == 0
    assert not any(name in ("tpsd_pending", "tpsd_in_doubt", "tpsd_mails_waiting") for name, _ in found)


def test_held_causes_cannot_grow_without_bound(metrics: Metrics) -> None:
    resting = tuple(RestCount("held", f"system.41@X:{number}", 1, NOW) for number in range(HELD_CAUSES_MAX + 30))
    found = samples(metrics, replace(WELL, figures=replace(QUIET, resting=resting)))
    assert value(found, "tpsd_held", cause="other") == 30
    assert sum(name == "tpsd_held" for name, _ in found) == HELD_CAUSES_MAX + 1


def test_two_daemons_in_one_process_do_not_share_numbers(metrics: Metrics) -> None:
    metrics.repeated("gate-1")
    other = samples(Metrics("1.2.3", "test"))
    assert not any(name == "tpsd_repeats_total" for name, _ in other)


def test_the_tap_log(metrics: Metrics) -> None:
    found = samples(metrics, replace(WELL, taplog=TapLogFacts(120, 3, "No space left on device")))
    assert value(found, "tpsd_taplog_lines_total") == 120
    assert value(found, "tpsd_taplog_lost_total") == 3
    assert value(found, "tpsd_check", check="tap_log") == 0
    assert not [name for name, _ in samples(metrics) if name.startswith("tpsd_taplog")], "off"


def test_the_deny_lists_feed(metrics: Metrics) -> None:
    fed = FeedFacts(12.5, 12.5, 60.0, "", 1000, 900, waits=True)
    found = samples(metrics, replace(WELL, feed=fed))
    assert value(found, "tpsd_deny_list_age_seconds") == 12.5
    assert value(found, "tpsd_deny_list_stale") == 0
    unknown = samples(metrics, replace(WELL, feed=replace(fed, age_seconds=None)))
    assert not [name for name, _ in unknown if name == "tpsd_deny_list_age_seconds"], "no number is better than a wrong"
    assert value(unknown, "tpsd_deny_list_stale") == 1
    assert value(found, "tpsd_deny_list_cards") == 1000
    assert value(found, "tpsd_deny_list_waits") == 1
    assert not [name for name, _ in samples(metrics) if name.startswith("tpsd_deny_list")], "off"


def test_the_daemons_that_share_a_database(metrics: Metrics) -> None:
    fleet = FleetFacts("gate-1", presides=True, others=("gate-2", "gate-3"), gone={"gate-4": MINUTE}, apart_us=-SECOND)
    found = samples(metrics, replace(WELL, fleet=fleet))
    assert value(found, "tpsd_daemon_presides") == 1
    assert value(found, "tpsd_daemons") == 3
    assert value(found, "tpsd_daemons_gone") == 1
    assert value(found, "tpsd_database_clock_apart_seconds") == -1
    assert not [name for name, _ in samples(metrics) if name.startswith("tpsd_daemon")], "the journal is its own"
