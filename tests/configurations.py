"""Configuration files for tests: one that is good, and changes to it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

KEK_HEX = "a1" * 32


def values(folder: Path) -> dict[str, Any]:
    """A good test configuration whose files lie in ``folder``."""
    return {
        "mode": "test",
        "operator": {"company_id": 1001, "stock_location_id": 42},
        "sfey": {"base_url": "http://127.0.0.1:8443"},
        "store": {"url": f"sqlite://{folder}/data/journal.db"},
        "keys": {"kek_file": "keys/kek", "epoch_dir": "epochs"},
        "retry": {},
        "email": {
            "smtp_url": "smtp://127.0.0.1:2525",
            "sender": "tpsd@example.org",
            "recipients": ["ops@example.org"],
        },
        "admin": {"socket": "tpsd.sock"},
        "lanes": [{"name": "gate-1", "port": "/dev/ttyNOT0", "fare": 250}],
    }


def production(folder: Path) -> dict[str, Any]:
    """A good production configuration."""
    return changed(
        values(folder),
        {
            "mode": "production",
            "sfey": {
                "base_url": "https://device.example.org",
                "client_cert_file": "terminal.crt",
                "client_key_file": "terminal.key",
            },
        },
    )


def changed(given: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy with values replaced, table by table; None removes a key."""
    result = copy.deepcopy(given)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = changed(result[key], value)
        else:
            result[key] = value
    return result


def write(folder: Path, given: dict[str, Any], name: str = "tpsd.toml") -> Path:
    """The file, one key a line, in the order given."""
    lines = [f"{key} = {_value(value)}" for key, value in given.items() if not _is_table(value)]
    for key, value in given.items():
        if isinstance(value, dict):
            lines += [f"[{key}]", *(f"{name} = {_value(inner)}" for name, inner in value.items())]
        elif _is_table(value):
            for item in value:
                lines += [f"[[{key}]]", *(f"{name} = {_value(inner)}" for name, inner in item.items())]
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_value(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_value(inner) for inner in value) + "]"
    return json.dumps(value)
