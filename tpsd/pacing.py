"""How fast sends go and how taps wait, from the configuration."""

from __future__ import annotations

from schemas.config import Configuration
from tpsd.config import is_realtime
from tpsd.core.places import deferred_places
from tpsd.domain.time import HOUR, SECOND
from tpsd.workers.dispatcher import Pace
from tpsd.workers.uplink import Waiting


def pace(config: Configuration) -> Pace:
    """The deferred path's sends in flight and its jitter."""
    retry = config.retry
    realtime = any(is_realtime(lane) for lane in config.lanes)
    return Pace(deferred_places(retry.concurrency, retry.realtime_share, realtime=realtime), retry.jitter)


def waiting(config: Configuration) -> Waiting:
    """How taps wait for a host that cannot be reached."""
    retry = config.retry
    hold_us = round(retry.hold_hours_max * HOUR) if retry.hold_while_offline else None
    return Waiting(hold_us, retry.spread_seconds * SECOND)
