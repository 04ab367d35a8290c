"""What keys of the configuration must be to each other, one function a rule."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from device.vivopay.limits import DECISION_SECONDS
from schemas.config import Configuration
from tpsd.config import fares
from tpsd.config.effective import (
    has_token_key,
    is_realtime,
    ladder,
    makes_tokens,
    stale_accepts_below,
)
from tpsd.config.locations import database_url, is_loopback, key_files, mail_settings, spool_path, store_path
from tpsd.config.problems import KeyPath, Problem, Rule
from tpsd.core import texts
from tpsd.core.retry import span
from tpsd.domain.time import HOUR
from tpsd.errors import ConfigError
from tpsd.sfey.wire import PROFILES, override

SOCKET_PATH_MAX = 107  # bytes: sockaddr_un.sun_path holds 108 with its NUL
TRIES_MAX = 12  # resends in one release: invariant I3, and the schemes' limits on resubmission
READER_VERDICT_SECONDS_MAX = DECISION_SECONDS - 5  # s: its minute begins before ours, and a commit may take a while
HORIZON_MARGIN_US = HOUR  # a send may wait in the queue and in flight after its rung is due


def problems(config: Configuration) -> list[Problem]:
    """Everything that keeps this configuration from being run."""
    return [problem for rule in _RULES for problem in rule(config)]


def _lane_names(config: Configuration) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, lane in enumerate(config.lanes):
        if lane.name in seen:
            yield Problem(("lanes", index, "name"), f"{lane.name!r} is taken by another lane", "rename one of them")
        seen.add(lane.name)


def _lane_ports(config: Configuration) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for index, lane in enumerate(config.lanes):
        port = lane.port.lower() if lane.port.startswith("socket://") else os.path.realpath(lane.port)
        if port in seen:
            yield Problem(
                ("lanes", index, "port"),
                f"is the port of lane {seen[port]!r} too ({port})",
                "give each lane a port of its own",
            )
        seen.setdefault(port, lane.name)


def _amounts(config: Configuration) -> Iterator[Problem]:
    for index, lane in enumerate(config.lanes):
        if lane.fare is None:
            continue
        if lane.fare > lane.amount_limit:
            yield Problem(
                ("lanes", index, "fare"),
                f"{lane.fare} is above amount_limit {lane.amount_limit}, so every tap would be denied",
                "raise amount_limit or lower the fare",
            )
        if lane.fare == 0 and not lane.zero_allowed:
            yield Problem(("lanes", index, "fare"), "is 0 and zero_allowed is false", "set a fare or allow zero")


def _timings(config: Configuration) -> Iterator[Problem]:
    for index, lane in enumerate(config.lanes):
        if lane.kind == "MTT" and lane.timing == "realtime":
            yield Problem(
                ("lanes", index, "timing"), "is realtime, and MTT's verdict is local", "leave it out, or use KFT"
            )
        if lane.kind.startswith("RETAIL") and lane.timing == "deferred":
            yield Problem(
                ("lanes", index, "timing"), f"is deferred, and {lane.kind} needs TPS's answer", "leave it out"
            )


def _journeys(config: Configuration) -> Iterator[Problem]:
    for index, lane in enumerate(config.lanes):
        if lane.kind.startswith("RETAIL_CHECK") and not makes_tokens(lane, config):
            yield Problem(
                ("lanes", index, "tokens"),
                "gives no card token, and a journey is kept by it",
                'set [keys] token_key_file, or tokens = "validator" if the validator makes them; '
                "a reader that encrypts and gives none cannot run check-in and check-out",
            )


def _journey_hours(config: Configuration) -> Iterator[Problem]:
    hours, horizon = config.realtime.journey_hours, config.retry.idempotency_horizon_hours
    if hours > horizon and any(lane.kind.startswith("RETAIL_CHECK") for lane in config.lanes):
        yield Problem(
            ("realtime", "journey_hours"),
            f"is {hours:g}, and TPS may have forgotten a check-out that is sent again after {horizon:g} h",
            "lower it, or raise retry.idempotency_horizon_hours if TPS keeps UUIDs that long",
        )


def _readers(config: Configuration) -> Iterator[Problem]:
    for index, lane in enumerate(config.lanes):
        if lane.protocol != "vivopay":
            continue
        if lane.tokens == "validator":
            yield Problem(
                ("lanes", index, "tokens"),
                "is validator, and a vivopay reader makes none",
                'use "none" if it encrypts, "ours" with a token_key_file if not',
            )
        if lane.tokens == "ours" and not has_token_key(config):
            yield Problem(
                ("lanes", index, "tokens"),
                "is ours without a key for them",
                "set [keys] token_key_file, or leave it out",
            )
        if is_realtime(lane) and lane.verdict_seconds > READER_VERDICT_SECONDS_MAX:
            yield Problem(
                ("lanes", index, "verdict_seconds"),
                f"is {lane.verdict_seconds:g}, and a vivopay reader is freed after {DECISION_SECONDS:g} s",
                f"use at most {READER_VERDICT_SECONDS_MAX:g}",
            )


def _credentials(config: Configuration) -> Iterator[Problem]:
    sections: list[tuple[KeyPath, Path | None, Path | None]] = [
        (("sfey",), config.sfey.client_cert_file, config.sfey.client_key_file)
    ]
    sections += [
        (("lanes", index), lane.client_cert_file, lane.client_key_file) for index, lane in enumerate(config.lanes)
    ]
    for where, cert, key in sections:
        if (cert is None) != (key is None):
            present, absent = (
                ("client_cert_file", "client_key_file") if cert else ("client_key_file", "client_cert_file")
            )
            yield Problem((*where, present), f"is set and {absent} is not", "set both or neither")
        elif cert is None and where != ("sfey",) and config.mode == "production" and not config.sfey.client_cert_file:
            yield Problem(where, "has no client certificate", "set one here or the common one in [sfey]")


def _folders(config: Configuration) -> Iterator[Problem]:
    file = spool_path(config) if database_url(config) is not None else store_path(config)
    if file is None:
        return
    store = Path(os.path.realpath(file.parent))
    apart: dict[str, Path] = {"epoch_dir": config.keys.epoch_dir, **key_files(config)}
    for name, path in apart.items():
        real = Path(os.path.realpath(path))
        if real.is_relative_to(store):
            yield Problem(
                ("keys", name),
                f"{path} is inside the store's folder {store}",
                "move it out: a copy of that folder must not hold the keys to it",
            )


def _spool(config: Configuration) -> Iterator[Problem]:
    if config.store.spool is not None and database_url(config) is None:
        what = "takes taps for a database that does not answer, and the journal is a file here"
        yield Problem(("store", "spool"), what, "leave it out")


def _tap_log(config: Configuration) -> Iterator[Problem]:
    folder = config.taplog.folder
    if folder is None:
        return
    real = Path(os.path.realpath(folder))
    apart = [("epoch_dir", config.keys.epoch_dir)]
    if database_url(config) is None:
        apart.insert(0, ("the journal's folder", store_path(config).parent))
    for name, path in apart:
        if real.is_relative_to(os.path.realpath(path)):
            yield Problem(
                ("taplog", "folder"),
                f"{folder} is inside {name} {path}",
                "move it out: engineers read it, and nobody needs to see the journal or its keys for that",
            )


def _socket_length(config: Configuration) -> Iterator[Problem]:
    size = len(os.fsencode(config.admin.socket))
    if size > SOCKET_PATH_MAX:
        yield Problem(("admin", "socket"), f"is {size} bytes long", f"use a path of at most {SOCKET_PATH_MAX} bytes")


def _ladder(config: Configuration) -> Iterator[Problem]:
    tries = sum(tier.tries for tier in config.retry.tiers)
    if tries > TRIES_MAX:
        yield Problem(("retry", "tiers"), f"has {tries} tries in all", f"keep to {TRIES_MAX}")
    needed = span(ladder(config), config.retry.jitter) + HORIZON_MARGIN_US
    if config.retry.idempotency_horizon_hours * HOUR < needed:
        yield Problem(
            ("retry", "idempotency_horizon_hours"),
            f"{config.retry.idempotency_horizon_hours:g} is less than the ladder, its jitter and 1 h"
            f" ({math.ceil(needed / HOUR * 10) / 10} h)",
            "raise it if TPS keeps UUIDs that long, or shorten the ladder",
        )


def _feed(config: Configuration) -> Iterator[Problem]:
    if not config.feed.enabled:
        return
    if config.feed.lane is not None and config.feed.lane not in [lane.name for lane in config.lanes]:
        yield Problem(("feed", "lane"), f"{config.feed.lane!r} is no lane", "name one of [[lanes]], or leave it out")
    if urlsplit(config.feed.base_url or config.sfey.base_url).scheme != urlsplit(config.sfey.base_url).scheme:
        yield Problem(("feed", "base_url"), "has another scheme than [sfey] base_url", "use https for both")
    if not config.lanes:
        yield Problem(("feed", "enabled"), "is true, and there is no lane whose terminal could ask", "add [[lanes]]")
    if config.keys.token_key_file is None and not any(makes_tokens(lane, config) for lane in config.lanes):
        yield Problem(
            ("feed", "enabled"),
            "is true, and no lane has card tokens to look up in it",
            'set [keys] token_key_file, or tokens = "validator" where validators make them',
        )


def _stale_lists(config: Configuration) -> Iterator[Problem]:
    feed = config.feed
    if feed.enabled and feed.max_age_hours * 60 < 2 * feed.poll_minutes:
        yield Problem(
            ("feed", "max_age_hours"),
            f"{feed.max_age_hours:g} is less than two polls of {feed.poll_minutes:g} min: a good list would be stale",
            "raise it, or poll more often",
        )
    for index, lane in enumerate(config.lanes):
        below = stale_accepts_below(lane)
        if below is None:
            continue
        where = ("lanes", index, "stale_list")
        if not feed.enabled:
            yield Problem(
                where, "is set without a feed, and then no list has an age", "set [feed] enabled, or leave it out"
            )
        if is_realtime(lane):
            yield Problem(where, "is set on a realtime lane, whose verdict is TPS's answer", "leave it out")
        elif not makes_tokens(lane, config):
            yield Problem(
                where,
                "is set, and the lane gives no card token to look up in a list",
                'leave it out; untokenised = "deny" is for such taps',
            )
        if below > lane.amount_limit:
            yield Problem(
                where,
                f"accepts below {below} minor units, and amount_limit is {lane.amount_limit}: nobody would be denied",
                "lower it (500 is 5.00), or leave it out",
            )


def _wire(config: Configuration) -> Iterator[Problem]:
    for name, value in config.sfey.wire.items():
        try:
            override(PROFILES[config.sfey.profile], {name: value})
        except ConfigError as exc:
            yield Problem(("sfey", "wire", *name.split(".")), f"cannot be used: {exc}", "see the README's assumptions")


def _mail(config: Configuration) -> Iterator[Problem]:
    try:
        mail_settings(config)
    except ConfigError as exc:
        yield Problem(("email",), f"cannot be used: {exc}", "correct the key it names")


def _languages(config: Configuration) -> Iterator[Problem]:
    wanted: list[tuple[KeyPath, str | None]] = [(("operator", "language"), config.operator.language)]
    wanted += [(("lanes", index, "language"), lane.language) for index, lane in enumerate(config.lanes)]
    for key, language in wanted:
        try:
            if language is not None:
                texts.load(language)
        except ConfigError as exc:
            yield Problem(key, f"cannot be used: {exc}", "choose one of them")


def _urls(config: Configuration) -> Iterator[tuple[KeyPath, str | None]]:
    yield ("sfey", "base_url"), config.sfey.base_url
    yield ("sfey", "afc_base_url"), config.sfey.afc_base_url
    yield ("feed", "base_url"), config.feed.base_url


def _hosts(config: Configuration) -> Iterator[Problem]:
    for key, given in _urls(config):
        url = urlsplit(given or "")
        if url.scheme == "http" and not is_loopback(url.hostname or ""):
            yield Problem(key, "is http beyond this machine", "use https: taps hold card data")


def _production(config: Configuration) -> Iterator[Problem]:
    if config.mode != "production":
        return
    for key, given in _urls(config):
        url = urlsplit(given or "")
        if url.hostname and is_loopback(url.hostname):
            yield Problem(key, f"is {url.hostname} in production", "name Sfey's host, or use test mode")
    for index, tier in enumerate(config.retry.tiers):
        if not tier.every_minutes.is_integer():
            yield Problem(
                ("retry", "tiers", index, "every_minutes"),
                f"is {tier.every_minutes:g} in production",
                "use whole minutes; fractions are for test mode",
            )


_RULES: tuple[Rule, ...] = (
    _lane_names,
    _lane_ports,
    _amounts,
    _timings,
    _journeys,
    _journey_hours,
    _readers,
    fares.table,
    fares.journeys,
    fares.limits,
    _credentials,
    _folders,
    _tap_log,
    _socket_length,
    _ladder,
    _feed,
    _stale_lists,
    _wire,
    _mail,
    _languages,
    _hosts,
    _production,
    _spool,
)
