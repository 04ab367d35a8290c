"""What ``/metrics`` says: counters and times kept while the daemon works, and gauges of the present picture.

One registry of its own. No label holds anything of a card or a tap, and none grows without bound.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tpsd.core.health import Check, Health
from tpsd.core.outcomes import ADVICE
from tpsd.core.queue import rungs
from tpsd.domain.outcome import Declined, Outcome
from tpsd.domain.picture import Picture
from tpsd.domain.tap import Kind, Told
from tpsd.domain.time import SECOND

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
CODES_MAX: Final = 500  # TPS has under a hundred codes; what a broken one invents beyond is counted as "other"
HELD_CAUSES_MAX: Final = 200  # labels of held causes: a cause names its terminal, and a depot has many
SOFT_DECLINED: Final = "soft_declined"
LANE_STATES: Final = ("ready", "waiting", "offline", "closed")

COMMIT_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds: a flush takes one to ten milliseconds; the passenger's 500 ms and the disks that ruin it lie within."""

SEND_BUCKETS: Final = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 60.0, 120.0)
"""Seconds: up to twice the longest time-out, since a credential's probe may come first."""


class Metrics:
    """``metering.Meter`` by Prometheus."""

    def __init__(self, version: str, mode: str) -> None:
        self._registry = CollectorRegistry()
        self._present = _Present(version, mode)
        self._codes: set[tuple[str, str]] = set()
        registry = self._registry
        self._taps = Counter("tpsd_taps", "New taps kept.", ("lane", "kind"), registry=registry)
        self._verdicts = Counter("tpsd_verdicts", "Verdicts of new taps.", ("lane", "verdict"), registry=registry)
        self._repeats = Counter("tpsd_repeats", "Known taps that came again.", ("lane",), registry=registry)
        self._outcomes = Counter(
            "tpsd_outcomes", "Attempts at TPS by what they came to.", ("outcome", "code"), registry=registry
        )
        self._commits = Histogram(
            "tpsd_commit_seconds",
            "One group of the journal, begin to durable.",
            buckets=COMMIT_BUCKETS,
            registry=registry,
        )
        self._sends = Histogram(
            "tpsd_send_seconds", "One exchange with TPS, a probe included.", buckets=SEND_BUCKETS, registry=registry
        )
        ProcessCollector(registry=registry)
        registry.register(self._present)

    def tapped(self, lane: str, kind: Kind | None, told: Told) -> None:
        """See ``metering.Meter``."""
        self._taps.labels(lane, "unknown" if kind is None else kind.value).inc()
        self._verdicts.labels(lane, told.verdict.name.lower()).inc()

    def repeated(self, lane: str) -> None:
        """See ``metering.Meter``."""
        self._repeats.labels(lane).inc()

    def sent(self, seconds: float) -> None:
        """See ``metering.Meter``."""
        self._sends.observe(seconds)

    def settled(self, outcome: Outcome) -> None:
        """See ``metering.Meter``."""
        soft = isinstance(outcome, Declined) and outcome.wants_pin  # no fault: a PIN is wanted, and often follows
        label = (SOFT_DECLINED if soft else ADVICE[type(outcome)][0], outcome.cause)
        if label not in self._codes and len(self._codes) >= CODES_MAX:
            label = (label[0], "other")
        self._codes.add(label)
        self._outcomes.labels(*label).inc()

    def committed(self, seconds: float) -> None:
        """See ``metering.Meter``."""
        self._commits.observe(seconds)

    def text(self, picture: Picture, health: Health) -> bytes:
        """The page, in Prometheus' text format (CONTENT_TYPE)."""
        self._present.metrics = [
            *_of_daemon(picture, health),
            *_of_lanes(picture),
            *_of_feed(picture),
            *_of_tap_log(picture),
            *_of_spool(picture),
            *_of_fleet(picture),
            *_of_journal(picture),
        ]
        return generate_latest(self._registry)


class _Present(Collector):
    """The gauges of the picture given last."""

    def __init__(self, version: str, mode: str) -> None:
        self._info = _gauge("tpsd_info", "What runs.", ("version", "mode"), [((version, mode), 1)])
        self.metrics: list[Metric] = []

    def describe(self) -> Iterable[Metric]:
        """Nothing is known before the first picture."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Asked by the registry."""
        return [self._info, *self.metrics]


def _of_daemon(picture: Picture, health: Health) -> list[Metric]:
    checks = [((check.value,), float(health.holds(check))) for check in Check]
    uplinks = [((uplink.host,), float(uplink.up)) for uplink in picture.uplinks]
    return [
        _single("tpsd_healthy", "1 while /healthz answers 200.", health.healthy),
        _gauge("tpsd_check", "1 while this check of /healthz finds nothing.", ("check",), checks),
        _gauge("tpsd_uplink_up", "1 while the host can be reached.", ("host",), uplinks),
        _single("tpsd_clock_trusted", "1 while the clock is trusted.", picture.clock_trusted),
        _single("tpsd_clock_offset_seconds", "The time believed less the system's.", picture.clock_offset_seconds),
        _single("tpsd_sends_in_flight", "Exchanges with TPS under way.", picture.in_flight),
    ]


def _of_lanes(picture: Picture) -> list[Metric]:
    states = Tally(lane.state for lane in picture.lanes)
    known = dict.fromkeys((*LANE_STATES, *states))
    ready = [((lane.name,), float(lane.state == "ready")) for lane in picture.lanes]
    garbage = CounterMetricFamily("tpsd_garbage", "Runs of bytes that were no frame.", labels=("lane",))
    errors = CounterMetricFamily("tpsd_internal_errors", "Taps that could not be decided.", labels=("lane",))
    lost = CounterMetricFamily("tpsd_cards_lost", "Cards whose data was lost before its commit.", labels=("lane",))
    unread = CounterMetricFamily("tpsd_cards_unread", "Cards that a reader could not read.", labels=("lane",))
    for lane in picture.lanes:
        lost.add_metric((lane.name,), lane.cards_lost)
        unread.add_metric((lane.name,), lane.cards_unread)
        garbage.add_metric((lane.name,), lane.noise)
        errors.add_metric((lane.name,), lane.internal_errors)
    return [
        _gauge("tpsd_lanes", "Lanes by state.", ("state",), [((state,), states[state]) for state in known]),
        _gauge("tpsd_lane_ready", "1 while the lane takes taps.", ("lane",), ready),
        garbage,
        errors,
        lost,
        unread,
    ]


def _of_feed(picture: Picture) -> list[Metric]:
    feed = picture.feed
    if feed is None:
        return []
    known = feed.age_seconds  # no number is better than a wrong one
    aged = [] if known is None else [_single("tpsd_deny_list_age_seconds", "Since TPS completed the list.", known)]
    return [
        *aged,
        _single("tpsd_deny_list_stale", "1 while the deny list is too old, or of unknown age.", feed.stale),
        _single("tpsd_deny_list_cards", "Cards of TPS's deny list in force.", feed.tokens),
        _single("tpsd_deny_list_waits", "1 while a new deny list waits for a person.", feed.waits),
    ]


def _of_tap_log(picture: Picture) -> list[Metric]:
    facts = picture.taplog
    if facts is None:
        return []
    return [
        CounterMetricFamily("tpsd_taplog_lines", "Lines of the tap log written.", value=facts.written),
        CounterMetricFamily("tpsd_taplog_lost", "Lines of the tap log that could not be written.", value=facts.lost),
    ]


def _of_fleet(picture: Picture) -> list[Metric]:
    facts = picture.fleet
    if facts is None:
        return []
    return [
        _single("tpsd_daemon_presides", "1 where this daemon does what one does for all.", facts.presides),
        _single("tpsd_daemons", "Daemons that share the database, this one among them.", 1 + len(facts.others)),
        _single("tpsd_daemons_gone", "Daemons that give no sign of life.", len(facts.gone)),
        _single(
            "tpsd_database_clock_apart_seconds", "This machine's clock less the database's.", facts.apart_us / SECOND
        ),
    ]


def _of_spool(picture: Picture) -> list[Metric]:
    facts = picture.spool
    if facts is None:
        return []
    return [
        _single("tpsd_database_connected", "1 while there is a connection to the database.", facts.away is None),
        _single("tpsd_spool_waiting", "Taps that the database has yet to take.", facts.waiting),
        _single("tpsd_spool_oldest_age_seconds", "0 while none waits.", facts.oldest_seconds or 0.0),
        _single("tpsd_spool_in_use_seconds", "0 while the database answers.", facts.in_use_seconds or 0.0),
    ]


def _of_journal(picture: Picture) -> list[Metric]:
    figures = picture.figures
    if figures is None:
        return []  # no number is better than a wrong one
    held = sorted((rest for rest in figures.resting if rest.state == "held"), key=lambda rest: -rest.count)
    causes = [((rest.cause,), float(rest.count)) for rest in held[:HELD_CAUSES_MAX]]
    if len(held) > HELD_CAUSES_MAX:
        causes.append((("other",), float(sum(rest.count for rest in held[HELD_CAUSES_MAX:]))))
    pending: Tally[tuple[str, ...]] = Tally()
    for rung in rungs(figures.rungs):
        pending[str(rung.tier), str(rung.sends)] += rung.count
    oldest, oldest_mail = figures.oldest_pending, figures.oldest_mail
    return [
        _gauge("tpsd_pending", "Taps on the ladder by tier and sends made.", ("tier", "rung"), pending.items()),
        _single("tpsd_oldest_pending_age_seconds", "0 while nothing is pending.", _age(picture, oldest)),
        _gauge("tpsd_held", "Taps held by cause.", ("cause",), causes),
        _single("tpsd_in_doubt", "Taps in doubt.", _resting(picture, "in_doubt")),
        _single("tpsd_permanently_failed", "Taps given up, not closed.", _resting(picture, "permanently_failed")),
        _single("tpsd_mails_waiting", "Mails SMTP has not accepted.", figures.mails_waiting),
        _single("tpsd_oldest_mail_age_seconds", "0 while no mail waits.", _age(picture, oldest_mail)),
    ]


def _resting(picture: Picture, state: str) -> int:
    return sum(rest.count for rest in picture.figures.resting if rest.state == state) if picture.figures else 0


def _age(picture: Picture, since: int | None) -> float:
    return 0.0 if since is None else max(0.0, (picture.at - since) / SECOND)


def _single(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(name, what, value=float(value))


def _gauge(name: str, what: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    family = GaugeMetricFamily(name, what, labels=labels)
    for label, value in values:
        family.add_metric(label, float(value))
    return family
