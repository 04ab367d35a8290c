"""The PostgreSQL database that a configuration names, with its password read."""

from __future__ import annotations

from schemas.config import Configuration
from tpsd import config as settings
from tpsd.store.session import Database


def database_of(config: Configuration) -> Database | None:
    """Where the journal is; None where it is a file. Raises ConfigError for the password's file."""
    url, file = settings.database_url(config), config.store.password_file
    if url is None:
        return None
    private = config.mode == "production"
    password = None if file is None else settings.read_password(file, private=private)
    return Database(url, password, settings.daemon_name(config))
