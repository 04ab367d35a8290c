"""The configuration as it takes effect: defaults filled in, paths absolute, secrets masked."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from schemas.config import Configuration
from tpsd.domain.authorisation import Ladder, Tier
from tpsd.domain.time import MINUTE

_PASSWORD = re.compile(r"(?<=://)([^:@/]*):.*(?=@)")
DIGEST_CHARACTERS = 16  # 64 bits: enough to tell an operator's configurations apart, short enough for every row


def effective(config: Configuration) -> dict[str, Any]:
    """Every value in force, as JSON types. Passwords are starred; key files are paths, never contents."""
    shown: dict[str, Any] = _plain(config.model_dump())
    return shown


def config_digest(config: Configuration) -> str:
    """16 hex digits of SHA-256 over the canonical JSON of ``effective``: it names a configuration on rows."""
    canonical = json.dumps(effective(config), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()[:DIGEST_CHARACTERS]


def flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) in the order of the file; lists of tables are numbered from 0."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            yield from flat(value, f"{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for index, item in enumerate(value):
                yield from flat(item, f"{name}[{index}].")
        else:
            yield name, value


def ladder(config: Configuration) -> Ladder:
    """The retry tiers as the core takes them."""
    return tuple(Tier(tier.tries, round(tier.every_minutes * MINUTE)) for tier in config.retry.tiers)


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {key: _plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case SecretStr():
            return _PASSWORD.sub(r"\1:****", value.get_secret_value())
        case Path():
            return str(value)
        case float() if value.is_integer():
            return int(value)
        case _:
            return value
