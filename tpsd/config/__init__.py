"""The configuration: read, checked as a whole, shown with its secrets masked, turned into the core's values.

``load`` reports every problem at once, each with its line, its key, what is wrong and what to do.
"""

from tpsd.config.changes import Changes, changes
from tpsd.config.effective import (
    card_request,
    check_out_limit,
    clock_floor,
    config_digest,
    doubt,
    effective,
    flat,
    is_realtime,
    keeping,
    kinds,
    labels,
    ladder,
    makes_tokens,
    max_age_us,
    pass_back,
    poll_us,
    stale_accepts_below,
    uses_fed_keys,
    zones,
)
from tpsd.config.keys import exchange_key, exposed, read_hex_key, read_password, read_token, read_ttk
from tpsd.config.load import load
from tpsd.config.locations import (
    daemon_name,
    database_url,
    key_files,
    listen_address,
    mail_settings,
    spool_path,
    store_path,
)
from tpsd.config.problems import Problem
from tpsd.config.warnings import warnings

__all__ = [
    "Changes",
    "Problem",
    "card_request",
    "changes",
    "check_out_limit",
    "clock_floor",
    "config_digest",
    "daemon_name",
    "database_url",
    "doubt",
    "effective",
    "exchange_key",
    "exposed",
    "flat",
    "is_realtime",
    "keeping",
    "key_files",
    "kinds",
    "labels",
    "ladder",
    "listen_address",
    "load",
    "mail_settings",
    "makes_tokens",
    "max_age_us",
    "pass_back",
    "poll_us",
    "read_hex_key",
    "read_password",
    "read_token",
    "read_ttk",
    "spool_path",
    "stale_accepts_below",
    "store_path",
    "uses_fed_keys",
    "warnings",
    "zones",
]
