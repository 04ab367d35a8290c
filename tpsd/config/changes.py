"""What a reload would change, and whether it may: only what new taps and new mails alone are concerned with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from schemas.config import Configuration, Lane
from tpsd.config.effective import card_request, effective, flat

RELOADABLE: Final = (
    "lanes.",
    "operator.stock_location_id",
    "operator.currency",
    "operator.language",
    "operator.merchant",
    "zones",
    "retry.tiers",
    "email.",
)
"""Keys, or the beginnings of keys, that take effect without a restart; every other one needs it."""

ADJUSTABLE: Final = frozenset(
    {
        "kind",
        "timing",
        "verdict_seconds",
        "partial",
        "check_in_again",
        "tokens",
        "zone",
        "fare",
        "amount_limit",
        "zero_allowed",
        "client_cert_file",
        "client_key_file",
        "pass_back_seconds",
        "pass_back_group",
        "group_size",
        "untokenised",
        "stale_list",
    }
)
"""Keys of a lane that its validator need not notice; another one closes the port and opens it anew."""


@dataclass(frozen=True, slots=True)
class LaneChanges:
    """Lanes by name. ``adjusted`` keep their session, ``relinked`` begin a new one; the others are not touched."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    adjusted: tuple[str, ...] = ()
    relinked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """``keys`` that differ, a lane's as ``lanes.NAME.key``; ``refused`` of them need a restart, each in words.

    A lane that comes or goes is ``lanes.NAME``.
    """

    keys: tuple[str, ...]
    refused: tuple[str, ...]
    lanes: LaneChanges


def changes(old: Configuration, new: Configuration) -> Changes:
    """From what is in force to what was read anew. No password is in it."""
    before, after = dict(_keys(old)), dict(_keys(new))
    keys = tuple(key for key in dict.fromkeys((*before, *after)) if before.get(key, _ABSENT) != after.get(key, _ABSENT))
    if _passwords(old) != _passwords(new) and "email.smtp_url" not in keys:
        keys = (*keys, "email.smtp_url")
    refused = tuple(
        f"{key} is {_shown(before.get(key))} and would be {_shown(after.get(key))}"
        for key in keys
        if not key.startswith(RELOADABLE)
    )
    lanes = _lanes(old, new)
    return Changes(_named(keys, lanes), refused, lanes)


def language_of(lane: Lane, config: Configuration) -> str:
    """The language a lane shows."""
    return lane.language or config.operator.language


def _lanes(old: Configuration, new: Configuration) -> LaneChanges:
    before, after = ({lane.name: lane for lane in config.lanes} for config in (old, new))
    adjusted, relinked = [], []
    for name in before.keys() & after.keys():
        one, other = before[name].model_dump(), after[name].model_dump()
        differing = {key for key in one if one[key] != other[key]}
        if _told(before[name], old) != _told(after[name], new) or differing - ADJUSTABLE:
            relinked.append(name)
        elif differing:
            adjusted.append(name)
    return LaneChanges(
        added=tuple(name for name in after if name not in before),
        removed=tuple(name for name in before if name not in after),
        adjusted=tuple(sorted(adjusted)),
        relinked=tuple(sorted(relinked)),
    )


def _told(lane: Lane, config: Configuration) -> tuple[object, ...]:
    """What a validator is told when its port is opened, and keeps."""
    return language_of(lane, config), card_request(lane, config)


def _keys(config: Configuration) -> Iterator[tuple[str, Any]]:
    """Every value in force; lanes by name, since their order means nothing, lists of tables whole."""
    values = effective(config)
    lanes, tiers, zones = values.pop("lanes"), values["retry"].pop("tiers"), values.pop("zones")
    yield from ((key, value) for key, value in flat(values) if value != {})
    yield "retry.tiers", tiers
    yield "zones", zones
    for lane in lanes:
        yield from flat(lane, f"lanes.{lane['name']}.")


def _named(keys: tuple[str, ...], lanes: LaneChanges) -> tuple[str, ...]:
    """A lane that came or went is one change, not one for each of its keys."""
    whole = {*lanes.added, *lanes.removed}
    named = (".".join(key.split(".")[:2]) if key.startswith("lanes.") else key for key in keys)
    return tuple(
        dict.fromkeys(
            name if name.removeprefix("lanes.") in whole else key for name, key in zip(named, keys, strict=True)
        )
    )


def _passwords(config: Configuration) -> str:
    return config.email.smtp_url.get_secret_value()


def _shown(value: Any) -> str:
    return "not set" if value is None else repr(value)


_ABSENT: Final = object()
