"""Where the configuration says things are: the journal, its spool, the mail server, the page, the keys."""

from __future__ import annotations

import ipaddress
import re
import socket
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from schemas.config import Configuration
from schemas.values import POSTGRES
from tpsd.errors import ConfigError
from tpsd.mail.settings import SmtpConfig

NAME_LENGTH = 32  # characters of a daemon's name, as the configuration has it
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9_-]")
KEY_NAMES = ("kek_file", "token_key_file", "ttk_file", "exchange_key_file")


def database_url(config: Configuration) -> str | None:
    """The PostgreSQL database of the journal; None where that is a file."""
    return config.store.url if config.store.url.startswith(POSTGRES) else None


def daemon_name(config: Configuration) -> str:
    """This daemon among those that share a database."""
    return config.store.daemon or machine_name(socket.gethostname())


def machine_name(host: str) -> str:
    """A machine's name as a daemon's: without its domain, and without what such a name may not have."""
    return _NOT_IN_NAMES.sub("-", host.partition(".")[0].lower())[:NAME_LENGTH] or "tpsd"


def store_path(config: Configuration) -> Path:
    """The journal's file. Raises ConfigError where it is in a database."""
    if database_url(config) is not None:
        raise ConfigError("the journal is in a PostgreSQL database: copy, restore and look after it with its own tools")
    return Path("/" + config.store.url.removeprefix("sqlite:///").lstrip("/"))


def spool_path(config: Configuration) -> Path | None:
    """The file that takes taps while the database does not; None where lanes close then."""
    return config.store.spool


def mail_settings(config: Configuration) -> SmtpConfig:
    """The mail section as the mailer takes it. Raises ConfigError."""
    return SmtpConfig.from_url(config.email.smtp_url.get_secret_value(), config.email.sender, config.email.recipients)


def listen_address(config: Configuration) -> tuple[str, int] | None:
    """Host and port of the page for watchers, None where there is none."""
    if config.admin.listen is None:
        return None
    parts = urlsplit(f"tcp://{config.admin.listen}")
    return parts.hostname or "", parts.port or 0


def key_files(config: Configuration) -> dict[str, Path]:
    """The configured key files by their key's name in ``[keys]``."""
    named = {name: getattr(config.keys, name) for name in KEY_NAMES}
    return {name: path for name, path in named.items() if path is not None}


def is_loopback(host: str) -> bool:
    """Whether a host name or address stays on this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
