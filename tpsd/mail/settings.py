"""Where mails go: the ``[email]`` part of the configuration as one checked value."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parseaddr
from enum import Enum
from typing import Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from tpsd.domain.card import Secret
from tpsd.errors import ConfigError

TIMEOUT_SECONDS: Final = 30.0
"""For a whole mail. A server that greylists answers at once; a slower one is tried again later."""

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class StartTls(Enum):
    """Whether an ``smtp://`` connection is upgraded: always, when the server offers it, or not."""

    REQUIRED = "required"
    AUTO = "auto"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class SmtpConfig:
    """Where mails go, and as whom. ``implicit_tls``: TLS from the first byte (``smtps://``)."""

    host: str
    port: int
    implicit_tls: bool
    start_tls: StartTls
    username: str | None
    password: Secret | None
    sender: str
    recipients: tuple[str, ...]
    timeout_seconds: float = TIMEOUT_SECONDS
    ca_file: str | None = None

    @classmethod
    def from_url(
        cls,
        smtp_url: str,
        sender: str,
        recipients: tuple[str, ...],
        timeout_seconds: float = TIMEOUT_SECONDS,
        ca_file: str | None = None,
    ) -> SmtpConfig:
        """From ``smtp[s]://[user:password@]host[:port][?starttls=required|auto|never]``.

        Ports by default: 465 for smtps, 587 with a user, 25 otherwise. A password leaves this machine only
        over TLS. ``ca_file`` (PEM) replaces the system's authorities. Raises ConfigError that hides the
        password.
        """
        parts = _split(smtp_url)
        implicit = parts.scheme == "smtps"
        host = parts.hostname or ""
        username = unquote(parts.username) if parts.username else None
        start_tls = _start_tls(parts, implicit, secret=username is not None and host not in LOOPBACK)
        for address in (sender, *recipients):
            _check_address(address)
        if not recipients:
            raise ConfigError("email.recipients is empty: nobody would hear of a failed transaction")
        return cls(
            host=host,
            port=parts.port or (465 if implicit else 587 if username else 25),
            implicit_tls=implicit,
            start_tls=start_tls,
            username=username,
            password=Secret(unquote(parts.password or "")) if username else None,
            sender=sender,
            recipients=recipients,
            timeout_seconds=timeout_seconds,
            ca_file=ca_file,
        )


def _split(smtp_url: str) -> SplitResult:
    try:
        parts = urlsplit(smtp_url)
        valid = parts.scheme in ("smtp", "smtps") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or parts.path not in ("", "/") or parts.fragment:
        raise ConfigError("email.smtp_url must be smtp[s]://[user:password@]host[:port][?starttls=…]")
    return parts


def _start_tls(parts: SplitResult, implicit: bool, *, secret: bool) -> StartTls:
    query = parse_qs(parts.query, keep_blank_values=True)
    if query and (implicit or set(query) != {"starttls"} or len(query["starttls"]) != 1):
        raise ConfigError("email.smtp_url knows one option, starttls, and only with smtp://")
    if not query:
        return StartTls.REQUIRED if secret and not implicit else StartTls.AUTO
    try:
        chosen = StartTls(query["starttls"][0])
    except ValueError:
        raise ConfigError("email.smtp_url: starttls is required, auto or never") from None
    if secret and chosen is not StartTls.REQUIRED:
        raise ConfigError("email.smtp_url: a password may only travel over TLS: use smtps:// or starttls=required")
    return chosen


def _check_address(address: str) -> None:
    name, bare = parseaddr(address)
    local, _, domain = bare.rpartition("@")
    if name or bare != address or not (local and domain and address.isascii() and address.isprintable()):
        raise ConfigError(f"email: {address!r} is not a bare ASCII address such as ops@example.com")
