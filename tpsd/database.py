"""The PostgreSQL database that a configuration names, with its password read."""

from __future__ import annotations

import re
import socket
from typing import Final

from schemas.config import Configuration
from tpsd import config as settings
from tpsd.store.session import Database

NAME_LENGTH = 32  # characters of a daemon's name, as the configuration has it
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9_-]")


def database_of(config: Configuration) -> Database | None:
    """Where the journal is; None where it is a file. Raises ConfigError for the password's file."""
    url = settings.database_url(config)
    return None if url is None else database_at(url, config)


def database_at(url: str, config: Configuration) -> Database:
    """The one of a URL, as this configuration's daemon. Raises ConfigError for the password's file."""
    file, private = config.store.password_file, config.mode == "production"
    password = None if file is None else settings.read_password(file, private=private)
    return Database(url, password, config.store.daemon or machine_name(socket.gethostname()))


def machine_name(host: str) -> str:
    """A machine's name as a daemon's: without its domain, and without what such a name may not have."""
    return _NOT_IN_NAMES.sub("-", host.partition(".")[0].lower())[:NAME_LENGTH] or "tpsd"
