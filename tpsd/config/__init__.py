"""The configuration: read, checked as a whole, shown with its secrets masked, turned into the core's values.

``load`` reports every problem at once, each with its line, its key, what is wrong and what to do.
"""

from tpsd.config.effective import config_digest, effective, flat, ladder
from tpsd.config.keys import exposed, read_hex_key, read_ttk
from tpsd.config.load import load
from tpsd.config.problems import Problem
from tpsd.config.relations import key_files, mail_settings, store_path, warnings

__all__ = [
    "Problem",
    "config_digest",
    "effective",
    "exposed",
    "flat",
    "key_files",
    "ladder",
    "load",
    "mail_settings",
    "read_hex_key",
    "read_ttk",
    "store_path",
    "warnings",
]
