"""What runs but is probably not meant, one function a rule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qs, urlsplit

from schemas.config import Configuration
from schemas.values import BAUD_USUAL
from tpsd.config.effective import uses_fed_keys
from tpsd.config.keys import exposed
from tpsd.config.locations import database_url, is_loopback, key_files
from tpsd.config.problems import Problem, Rule

_ENCRYPTED: Final = frozenset({"require", "verify-ca", "verify-full"})


def warnings(config: Configuration) -> list[Problem]:
    """What runs but is probably not meant; looks at the key files' modes."""
    return [problem for rule in _WARNINGS for problem in rule(config)]


def _slow_lanes(config: Configuration) -> Iterator[Problem]:
    for index, lane in enumerate(config.lanes):
        if lane.baud < BAUD_USUAL and not lane.port.startswith("socket://"):
            yield Problem(
                ("lanes", index, "baud"),
                f"{lane.baud} takes 52 ms for a tap of 300 bytes",
                f"use {BAUD_USUAL} where the validator can",
            )


def _clear_card_data(config: Configuration) -> Iterator[Problem]:
    if config.mode == "production" and config.keys.ttk_file is None and not uses_fed_keys(config):
        yield Problem(
            ("keys", "ttk_file"),
            "is missing, so taps with clear card data are denied in production",
            "set it unless all readers encrypt",
        )


def _exposed_keys(config: Configuration) -> Iterator[Problem]:
    for name, path in key_files(config).items():
        if exposed(path):
            yield Problem(("keys", name), f"{path} is open to other users", f"chmod 600 {path}; production refuses it")


def _password(config: Configuration) -> Iterator[Problem]:
    if config.store.password_file is not None and database_url(config) is None:
        what = "is for a journal in a database, and does nothing here"
        yield Problem(("store", "password_file"), what, "leave it out")


def _unencrypted(config: Configuration) -> Iterator[Problem]:
    parts = urlsplit(database_url(config) or "")
    hosts = [one.rpartition(":")[0] or one for one in parts.netloc.rpartition("@")[2].split(",") if one]
    encrypted = parse_qs(parts.query).get("sslmode", [""])[0] in _ENCRYPTED
    if not encrypted and any(not is_loopback(host.strip("[]")) for host in hosts):
        yield Problem(
            ("store", "url"),
            "lets taps and their sealed card data travel to the database in the clear",
            "add ?sslmode=verify-full",
        )


def _afc(config: Configuration) -> Iterator[Problem]:
    url, token = config.sfey.afc_base_url, config.sfey.afc_token_file
    if token is not None and url is None:
        yield Problem(("sfey", "afc_token_file"), "is set and afc_base_url is not", "set both, or no enquiry is made")
    if url is not None and token is None and config.sfey.client_cert_file is None:
        yield Problem(
            ("sfey", "afc_base_url"), "has neither a token nor a certificate", "set afc_token_file or client_cert_file"
        )
    if token is not None and exposed(token):
        yield Problem(("sfey", "afc_token_file"), f"{token} is open to other users", f"chmod 600 {token}")


def _unfed(config: Configuration) -> Iterator[Problem]:
    if config.mode == "production" and config.lanes and not config.feed.enabled:
        yield Problem(
            ("feed", "enabled"),
            "is false, so the deny list is only what people import and enter",
            "set it to true once Sfey has said that your terminals may ask for it",
        )


def _countries(config: Configuration) -> Iterator[Problem]:
    for index, lane in enumerate(config.lanes):
        if lane.country is not None and lane.protocol != "vivopay":
            yield Problem(("lanes", index, "country"), "is for vivopay readers, and does nothing here", "leave it out")


def _no_log_folder(config: Configuration) -> Iterator[Problem]:
    folder = config.taplog.folder
    if folder is not None and not folder.is_dir():
        yield Problem(("taplog", "folder"), f"{folder} is not there, so every line would be lost", "make it, mode 750")


def _no_lanes(config: Configuration) -> Iterator[Problem]:
    if not config.lanes:
        yield Problem(("lanes",), "are none", "add [[lanes]]; until then only what the journal holds is sent")


_WARNINGS: tuple[Rule, ...] = (
    _slow_lanes,
    _clear_card_data,
    _exposed_keys,
    _password,
    _unencrypted,
    _afc,
    _unfed,
    _countries,
    _no_log_folder,
    _no_lanes,
)
