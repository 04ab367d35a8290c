"""The configuration as it takes effect: defaults filled in, paths absolute, secrets masked."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from schemas.config import Configuration, Lane
from tpsd.core.doubt import DoubtPolicy
from tpsd.core.fares import Zones
from tpsd.core.passback import PassBack
from tpsd.core.receipts import Labels
from tpsd.domain.authorisation import Ladder, Tier
from tpsd.domain.history import Keeping
from tpsd.domain.money import AMOUNT_MAX
from tpsd.domain.tap import Kind
from tpsd.domain.time import DAY, HOUR, MINUTE, SECOND, Micros

_PASSWORD = re.compile(r"(?<=://)([^:@/]*):.*(?=@)")
DIGEST_CHARACTERS = 16  # 64 bits: enough to tell an operator's configurations apart, short enough for every row


def effective(config: Configuration) -> dict[str, Any]:
    """Every value in force, as JSON types. Passwords are starred; key files are paths, never contents."""
    shown: dict[str, Any] = _plain(config.model_dump(by_alias=True))
    return shown


def config_digest(config: Configuration) -> str:
    """16 hex digits of SHA-256 over the canonical JSON of ``effective``: it names a configuration on rows."""
    canonical = json.dumps(effective(config), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()[:DIGEST_CHARACTERS]


def flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) in the order of the file; lists of tables are numbered from 0."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            yield from flat(value, f"{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for index, item in enumerate(value):
                yield from flat(item, f"{name}[{index}].")
        else:
            yield name, value


def ladder(config: Configuration) -> Ladder:
    """The retry tiers as the core takes them."""
    return tuple(Tier(tier.tries, round(tier.every_minutes * MINUTE)) for tier in config.retry.tiers)


def clock_floor(config: Configuration) -> Micros:
    """The instant before which no clock is believed."""
    floor = config.clock.floor
    return Micros((floor - date(1970, 1, 1)).days * DAY)


def doubt(config: Configuration) -> DoubtPolicy:
    """When rows are asked about instead of sent, as the core takes it."""
    horizon_us = round(config.retry.idempotency_horizon_hours * HOUR)
    return DoubtPolicy(horizon_us, enquires=config.sfey.afc_base_url is not None)


def is_realtime(lane: Lane) -> bool:
    """Whether TPS's answer is a lane's verdict."""
    return lane.timing == "realtime" or (lane.timing is None and lane.kind.startswith("RETAIL"))


def kinds(lane: Lane) -> frozenset[Kind]:
    """What taps of a lane may be."""
    if lane.kind == "RETAIL_CHECK_IN_OUT":
        return frozenset({Kind.RETAIL_CHECK_IN, Kind.RETAIL_CHECK_OUT})
    return frozenset({Kind(lane.kind)})


def check_out_limit(config: Configuration) -> int:
    """Minor units: the most that a journey may cost at any lane that ends journeys, or at any lane where none does."""
    ends = [lane.amount_limit for lane in config.lanes if lane.kind.endswith("_OUT")]
    return max(ends or [lane.amount_limit for lane in config.lanes], default=AMOUNT_MAX)


def makes_tokens(lane: Lane, config: Configuration) -> bool:
    """Whether a card's token can be had there."""
    if lane.tokens is None:
        return has_token_key(config)
    return lane.tokens == "validator" or (lane.tokens == "ours" and has_token_key(config))


def uses_fed_keys(config: Configuration) -> bool:
    """Whether keys that TPS gives a terminal are used by themselves, at least where no file names one."""
    return config.feed.enabled and config.keys.use_fed != "never"


def has_token_key(config: Configuration) -> bool:
    """Whether card tokens can be made: under the file's key, or under what TPS gives."""
    return config.keys.token_key_file is not None or uses_fed_keys(config)


def card_request(lane: Lane, config: Configuration) -> tuple[int, str, str | None] | None:
    """Amount, currency and country that a reader asks cards for before it knows them; None: the validator knows.

    A check-out by the zones costs what only its journey tells: there the card is asked for nothing.
    """
    if lane.protocol != "vivopay":
        return None
    amount = lane.fare
    if amount is None and lane.zone is not None and lane.kind != "RETAIL_CHECK_OUT":
        amount = zones(config).largest_from(lane.zone)
    return amount or 0, config.operator.currency, lane.country


def zones(config: Configuration) -> Zones:
    """The zone table as the core takes it."""
    return Zones({(zone.start, zone.end): zone.amount for zone in config.zones})


def poll_us(config: Configuration) -> int:
    """From one poll of the deny list's feed to the next, in microseconds."""
    return round(config.feed.poll_minutes * MINUTE)


def max_age_us(config: Configuration) -> int:
    """The age in microseconds from which on the deny list is stale."""
    return round(config.feed.max_age_hours * HOUR)


def stale_accepts_below(lane: Lane) -> int | None:
    """Below what amount a lane lets in under a stale deny list, in minor units; 0: nobody, None: whoever comes."""
    match lane.stale_list:
        case "accept":
            return None
        case "deny":
            return 0
        case limit:
            return limit["accept_below"]


def labels(config: Configuration) -> Labels:
    """What receipts call the merchant and the lanes."""
    return Labels(config.operator.merchant, {lane.name: lane.alias for lane in config.lanes if lane.alias})


def keeping(config: Configuration) -> Keeping:
    """How long card data at rest and final rows are kept."""
    keys = config.keys
    return Keeping(keys.keep_failed_days * DAY, keys.keep_held_days * DAY, config.store.retention_days * DAY)


def pass_back(lane: Lane) -> PassBack:
    """A lane's rule as the core takes it."""
    again, refused = lane.pass_back_seconds
    return PassBack(round(again * SECOND), round(refused * SECOND), lane.group_size)


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {key: _plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case SecretStr():
            return _PASSWORD.sub(r"\1:****", value.get_secret_value())
        case Path() | date():
            return str(value)
        case float() if value.is_integer():
            return int(value)
        case _:
            return value
