"""The configuration of a simulated world: the real model, made from a plan's style."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from schemas.config import Configuration
from tests.sim.plan import Plan, Style
from tpsd.config.relations import problems

COMPANY_ID = 1001
AMOUNT_LIMIT = 99_999
AFC_URL = "http://127.0.0.1:8444/afc-api/v3"


def configuration(plan: Plan) -> Configuration:
    """Raises AssertionError where a plan asks for what ``tpsd`` would refuse to run with."""
    style = plan.style
    raw: dict[str, Any] = {
        "mode": "test",
        "operator": {"company_id": COMPANY_ID, "stock_location_id": 42},
        "sfey": {"base_url": "http://127.0.0.1:8443", "timeout_seconds": style.timeout_seconds},
        "store": {"url": "sqlite:///data/journal.db"},
        "keys": {"kek_file": "/keys/kek", "epoch_dir": "/epochs", "keep_failed_days": style.keep_failed_days},
        "retry": _retry(style),
        "email": {
            "smtp_url": "smtp://127.0.0.1:2525",
            "sender": "tpsd@example.org",
            "recipients": ["operations@example.org"],
        },
        "lanes": [_lane(plan, number) for number in range(len(plan.doors))],
    }
    raw["realtime"] = {"found_approved": style.found_approved, "journey_hours": style.journey_hours}
    if style.feed is not None:
        feed = style.feed
        raw["feed"] = {"enabled": True, "poll_minutes": feed.poll_minutes, "max_age_hours": feed.max_age_hours}
    if style.enquires:
        raw["sfey"]["afc_base_url"] = AFC_URL
    config = Configuration.model_validate(raw, context={"folder": Path("/")})
    found = problems(config)
    assert not found, f"a plan that tpsd would not run: {found}"
    return config


def _retry(style: Style) -> dict[str, Any]:
    return {
        "tiers": [{"tries": tries, "every_minutes": minutes} for tries, minutes in style.tiers],
        "jitter": style.jitter,
        "concurrency": style.concurrency,
        "hold_while_offline": style.hold_while_offline,
        "hold_hours_max": style.hold_hours_max,
        "spread_seconds": style.spread_seconds,
        "idempotency_horizon_hours": style.horizon_hours,
    }


def _lane(plan: Plan, number: int) -> dict[str, Any]:
    style, lane = plan.style, plan.style.lane(number)
    stale = "accept" if style.feed is None or lane.realtime else style.feed.stale_list
    return {
        "name": f"door-{number + 1}",
        "port": f"/dev/door-{number + 1}",
        "kind": lane.kind,
        "timing": "realtime" if lane.realtime else "deferred",
        "verdict_seconds": lane.verdict_seconds,
        "partial": lane.partial,
        "check_in_again": lane.check_in_again,
        "tokens": "validator" if lane.checks_in or lane.checks_out or style.feed is not None else None,
        "stale_list": {"accept_below": stale} if isinstance(stale, int) else stale,
        "fare": 250,
        "amount_limit": AMOUNT_LIMIT,
        "pass_back_seconds": style.pass_back_seconds,
        "group_size": style.group_size,
    }
