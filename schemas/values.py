"""The kinds of values the configuration is made of, each with its own check and what to do when it fails."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, parse_qs, urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    SecretStr,
    StrictInt,
    StringConstraints,
    ValidationInfo,
)

MINUTES_MAX = 1440  # minutes: a rung of more than a day outlives the schemes' windows for resubmission
AMOUNT_MAX = 999_999_999_999  # minor units: tag 9F02 is n12 (EMV Book 3 Annex A)
BAUD_MIN = 57_600  # baud: a 300-byte tap takes 52 ms here and 312 ms at 9,600 (links.md part 1)
BAUD_USUAL = 115_200  # baud: below it the wire takes more than half of tpsd's share of the 500 ms
PASS_BACK_SECONDS_MAX = 86_400.0  # seconds: a card refused for longer than a day belongs on the deny list
VERDICT_SECONDS_MIN = 2.0  # seconds: a send is a second shorter, and a bank needs the other one
TIMEOUT_SECONDS_MAX = 60.0  # seconds: the longest a person waits for a terminal

POSTGRES = ("postgres://", "postgresql://")
"""How the URL of a journal in a PostgreSQL database begins."""

_DATABASE_OPTIONS = frozenset(
    {"host", "port", "user", "sslmode", "sslrootcert", "sslcert", "sslkey", "target_session_attrs"}
)
_HEX_KEY = re.compile(r"[0-9A-Fa-f]{32,}")
_MAIL_ADDRESS = re.compile(r"[^@\s<>,;:\"()\[\]]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("holds a NUL character; no file can be named so")
    return text


def _absolute(path: Path, info: ValidationInfo) -> Path:
    if not path.parts:
        raise ValueError("the path is empty; name a file or folder, or leave the key out")
    _without_nul(str(path))
    folder = (info.context or {}).get("folder")
    return path if folder is None else Path(os.path.normpath(folder / path))


def _not_a_key(value: Any) -> Any:
    if isinstance(value, str) and _HEX_KEY.fullmatch(value.strip()):
        raise ValueError("this looks like the key itself; write it to a file of mode 0600 and name the file here")
    return value


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("is not a URL; write scheme://host:port") from None
    return parts


def _http_url(url: str) -> str:
    parts = _split(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is not an https URL; write https://host")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("holds a user, a query or a fragment; write only https://host/path")
    return url.rstrip("/")


def _smtp_url(url: SecretStr) -> SecretStr:
    parts = _split(url.get_secret_value())
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ValueError("is not an SMTP URL; write smtp://host:25 or smtps://user:password@host")
    return url


def _mail_address(text: str) -> str:
    if not _MAIL_ADDRESS.fullmatch(text):
        raise ValueError("is not a mail address; write name@example.org")
    return text


def _store_url(url: str) -> str:
    if url.startswith(POSTGRES):
        return _database_url(url)
    if not url.startswith("sqlite:///") or not url.removeprefix("sqlite:///").strip("/") or url.endswith("/"):
        raise ValueError(
            "is not a journal; write sqlite:///var/lib/tpsd/journal.db (an absolute path) or "
            "postgresql://role@host:5432/database"
        )
    if set("?#%") & set(url):
        raise ValueError("holds ?, # or %; options and escapes are not read here, so name a plain path")
    return _without_nul(url)


def _database_url(url: str) -> str:
    """Several hosts and ports, separated by commas, are the database's business."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("is not a URL; write postgresql://role@host:5432/database") from None
    options = parse_qs(parts.query, keep_blank_values=True)
    if ":" in parts.netloc.rpartition("@")[0] or "password" in options:
        raise ValueError("holds a password; put it into a file of its own and name that as password_file")
    if "/" in parts.path.strip("/") or not parts.path.strip("/") or parts.fragment or "%" in url:
        raise ValueError("names no database; write postgresql://role@host:5432/database")
    unknown = sorted(set(options) - _DATABASE_OPTIONS)
    if unknown:
        raise ValueError(f"has an option {unknown[0]}; those there are: {', '.join(sorted(_DATABASE_OPTIONS))}")
    return _without_nul(url)


def _port(port: str) -> str:
    if port.startswith("socket://"):
        parts = _split(port)
        if not parts.hostname or parts.port is None or parts.path or parts.query:
            raise ValueError("is not a socket port; write socket://host:port")
    elif not port.startswith("/"):
        raise ValueError("is not a port; write /dev/serial/by-id/… or socket://host:port")
    return _without_nul(port)


def _listen(text: str) -> str:
    parts = _split(f"tcp://{text}")
    if not parts.hostname or parts.port is None or parts.netloc != text or parts.username is not None:
        raise ValueError("is not an address; write host:port, as in 127.0.0.1:9190 or [::1]:9190")
    return text


def _baud(baud: int) -> int:
    if baud < BAUD_MIN:
        raise ValueError(f"{baud} baud is too slow for a gate; set {BAUD_MIN} or better {BAUD_USUAL}")
    return baud


def _pass_back(seconds: tuple[float, float]) -> tuple[float, float]:
    again, refused = seconds
    if not 0 <= again <= refused <= PASS_BACK_SECONDS_MAX:
        raise ValueError(f"is not [x, y] with 0 <= x <= y <= {PASS_BACK_SECONDS_MAX:g}; write [x, y], [0, 0] is off")
    return seconds


def _stale_list(value: Any) -> Any:
    below = value.get("accept_below") if isinstance(value, dict) and len(value) == 1 else None
    if value in ("accept", "deny") or (type(below) is int and 0 < below <= AMOUNT_MAX):
        return value
    raise ValueError(
        'is neither "accept" nor "deny" nor { accept_below = AMOUNT }; give a whole amount above 0 in minor units '
        "(500 is 5.00)"
    )


def _dotted(value: Any) -> Any:
    """TOML reads ``field.tag = "x"`` as a table in a table; both spellings mean the name ``field.tag``."""
    if not isinstance(value, dict):
        return value
    flat: dict[Any, Any] = {}
    for key, inner in value.items():
        below = _dotted(inner)
        flat.update(
            {f"{key}.{name}": leaf for name, leaf in below.items()} if isinstance(below, dict) else {key: inner}
        )
    return flat


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
KeyFile = Annotated[Path, BeforeValidator(_not_a_key), AfterValidator(_absolute)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
MailAddress = Annotated[str, AfterValidator(_mail_address)]
PassBackSeconds = Annotated[tuple[float, float], AfterValidator(_pass_back)]
PathSegment = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._~-]{1,32}$")]
Listen = Annotated[str, AfterValidator(_listen)]
Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=64)]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}$")]
Baud = Annotated[StrictInt, AfterValidator(_baud)]
LaneKind = Literal["MTT", "KFT", "RETAIL_PAYMENT", "RETAIL_CHECK_IN", "RETAIL_CHECK_OUT", "RETAIL_CHECK_IN_OUT"]
Zone = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,32}$")]
Port = Annotated[str, AfterValidator(_port)]
Protocol = Literal["vl1", "vivopay"]
SmtpUrl = Annotated[SecretStr, AfterValidator(_smtp_url)]
StaleList = Annotated[Literal["accept", "deny"] | dict[Literal["accept_below"], int], BeforeValidator(_stale_list)]
StoreUrl = Annotated[str, AfterValidator(_store_url)]
WireOverrides = Annotated[dict[str, str], BeforeValidator(_dotted)]
