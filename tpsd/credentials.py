"""As whom the daemon speaks to TPS: its certificates by name, and its line for enquiries."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from schemas.config import Configuration
from schemas.config import Lane as LaneSection
from tpsd import config as settings
from tpsd.dating import Judge, by_the_system
from tpsd.errors import ConfigError
from tpsd.lanes import COMMON_CREDENTIAL, credential_of, wire_profile
from tpsd.ports import Timepiece
from tpsd.sfey.afc import AfcClient
from tpsd.sfey.tls import read_subject, tls_context
from tpsd.sfey.updates import Terminal, UpdateClient


def tls_contexts(config: Configuration, judge: Judge = by_the_system) -> dict[str, ssl.SSLContext | None]:
    """Every credential by its name; ``judge`` as in ``tls_context``. Raises ConfigError naming the wrong file."""
    names = _pairs(config)
    if not speaks_tls(config):
        return dict.fromkeys(names)
    return {name: context_of(config, name, judge) for name in names}


def usable_contexts(
    config: Configuration, judge: Judge = by_the_system
) -> tuple[dict[str, ssl.SSLContext | None], dict[str, str]]:
    """The credentials that can be used, and why the others cannot; a lane whose own cannot stays closed."""
    contexts: dict[str, ssl.SSLContext | None] = {}
    unusable: dict[str, str] = {}
    for name in _pairs(config):
        try:
            contexts[name] = context_of(config, name, judge) if speaks_tls(config) else None
        except ConfigError as exc:
            unusable[name] = str(exc)
    return contexts, unusable


def context_of(config: Configuration, name: str, judge: Judge = by_the_system) -> ssl.SSLContext:
    """One credential, made of its files as they are now. Raises ConfigError naming the wrong file."""
    return tls_context(config.sfey.ca_file, *_pairs(config)[name], judge=judge)


def files_of(config: Configuration) -> dict[str, tuple[Path, ...]]:
    """What each credential is made of; nothing where TPS is spoken to without TLS."""
    if not speaks_tls(config):
        return {}
    own = {name: (config.sfey.ca_file, *pair) for name, pair in _pairs(config).items()}
    return {name: tuple(path for path in paths if path is not None) for name, paths in own.items()}


def whom(config: Configuration) -> dict[str, str]:
    """Whom TPS sees behind each credential that can be used: a digest of its certificate's subject and issuer.

    Daemons that show the same may send for one another. Without a certificate they are all the same.
    """
    seen = {}
    for name, (certificate, _) in _pairs(config).items():
        if certificate is None or not speaks_tls(config):
            seen[name] = "nobody"
            continue
        with suppress(ConfigError):
            seen[name] = read_subject(certificate)
    return seen


def speaks_tls(config: Configuration) -> bool:
    """Whether TPS is spoken to over TLS."""
    return urlsplit(str(config.sfey.base_url)).scheme == "https"


def pair_of(config: Configuration, section: LaneSection) -> tuple[Path | None, Path | None]:
    """Certificate and key that a lane's terminal shows: its own, else the common ones."""
    return _pairs(config)[credential_of(section)]


def _pairs(config: Configuration) -> dict[str, tuple[Path | None, Path | None]]:
    """Certificate and key of every credential, [sfey]'s own first."""
    sfey = config.sfey
    pairs = {COMMON_CREDENTIAL: (sfey.client_cert_file, sfey.client_key_file)}
    return pairs | {
        lane.name: (lane.client_cert_file, lane.client_key_file)
        for lane in config.lanes
        if lane.client_cert_file is not None
    }


def afc_client(config: Configuration, clock: Timepiece) -> AfcClient | None:
    """The line for enquiries, where one is configured. Raises ConfigError."""
    sfey = config.sfey
    if sfey.afc_base_url is None:
        return None
    context = None
    if urlsplit(str(sfey.afc_base_url)).scheme == "https":
        context = tls_context(sfey.ca_file, sfey.client_cert_file, sfey.client_key_file, judge=clock.judging)
    token = None
    if sfey.afc_token_file is not None:
        token = settings.read_token(sfey.afc_token_file, private=config.mode == "production")
    return AfcClient(
        str(sfey.afc_base_url),
        context,
        config.operator.company_id,
        token=token,
        monotonic=clock.monotonic,
        timeout_seconds=sfey.timeout_seconds,
        profile=wire_profile(config),
        dated=lambda: clock.trusted,
    )


def update_client(
    config: Configuration, contexts: dict[str, ssl.SSLContext | None], clock: Timepiece
) -> UpdateClient | None:
    """The line for the deny list's feed, where it is on. Raises ConfigError."""
    if not config.feed.enabled:
        return None
    return UpdateClient(
        str(config.feed.base_url or config.sfey.base_url),
        contexts,
        monotonic=clock.monotonic,
        timeout_seconds=config.sfey.timeout_seconds,
        profile=wire_profile(config),
        dated=lambda: clock.trusted,
    )


def terminals_of(config: Configuration, known: Mapping[str, str | None], *, every: bool = False) -> list[Terminal]:
    """Who may ask for updates: the lane that is set, else all whose terminal is known (``TYPE:SERIAL`` by lane).

    ``every``: all of them, whichever lane is set.
    """
    terminals = []
    for lane in config.lanes:
        if not every and config.feed.lane not in (None, lane.name):
            continue
        type_name, _, serial = (known.get(lane.name) or "").partition(":")
        type_name, serial = lane.terminal_type or type_name, lane.terminal_sn or serial
        if type_name and serial:
            terminals.append(Terminal(serial, type_name, credential_of(lane)))
    return terminals


def certified_anew(old: Configuration, new: Configuration) -> list[str]:
    """Lanes with a certificate of their own that they had not before."""
    before = {lane.name: (lane.client_cert_file, lane.client_key_file) for lane in old.lanes}
    return [
        lane.name
        for lane in new.lanes
        if lane.client_cert_file is not None and before.get(lane.name) != (lane.client_cert_file, lane.client_key_file)
    ]
