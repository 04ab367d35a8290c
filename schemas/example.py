"""A configuration with every setting, its unit and its reason, as the file ``systemd/tpsd.example.toml`` holds it.

What has no default, or none that shows its form, gets a sample: in force where the setting is required or the unit
in ``systemd/`` wants it so, otherwise commented out.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from schemas.config import Configuration, Section, fields_of, section_of

LINE_COLUMNS = 110
_CREDENTIALS = "/run/credentials/tpsd.service"  # where LoadCredential= of systemd/tpsd.service puts key files

IN_FORCE: Mapping[str, Any] = {
    "mode": "production",
    "operator.company_id": 1001,
    "operator.stock_location_id": 42,
    "sfey.base_url": "https://device.api.sfey.com",
    "sfey.ca_file": "/etc/tpsd/sfey-root.pem",
    "sfey.client_cert_file": "/etc/tpsd/terminal.crt",
    "sfey.client_key_file": f"{_CREDENTIALS}/terminal.key",
    "store.url": "sqlite:///var/lib/tpsd/journal/journal.db",
    "keys.kek_file": f"{_CREDENTIALS}/kek.hex",
    "keys.epoch_dir": "/var/lib/tpsd/epochs",
    "email.smtp_url": "smtp://mail.example:587",
    "email.sender": "tpsd@transit.example",
    "email.recipients": ["operations@transit.example"],
    "lanes.name": "front",
    "lanes.port": "/dev/tpsd/VAL00042-if00",
    "lanes.fare": 250,
}

SAMPLES: Mapping[str, Any] = {
    "operator.merchant": "Transit Example",
    "sfey.afc_base_url": "https://afc.api.sfey.com/v1",
    "sfey.afc_token_file": f"{_CREDENTIALS}/afc.token",
    "sfey.registration_root_file": "/etc/tpsd/sfey-root.pem",
    "sfey.wire": {"field.tag": "tag"},
    "store.daemon": "gate-3",
    "store.password_file": f"{_CREDENTIALS}/database.password",
    "store.spool": "/var/lib/tpsd/spool/spool.db",
    "keys.token_key_file": f"{_CREDENTIALS}/salt.hex",
    "keys.ttk_file": f"{_CREDENTIALS}/ttk",
    "keys.exchange_key_file": f"{_CREDENTIALS}/exchange.hex",
    "admin.listen": "127.0.0.1:9190",
    "feed.base_url": "https://api.sfey.com",
    "feed.lane": "front",
    "taplog.folder": "/var/log/tpsd",
    "zones.from": "centre",
    "zones.to": "harbour",
    "zones.amount": 320,
    "lanes.alias": "Front door",
    "lanes.timing": "deferred",
    "lanes.zone": "centre",
    "lanes.terminal_sn": "VAL00042",
    "lanes.terminal_type": "GATE-X1",
    "lanes.client_cert_file": "/etc/tpsd/front.crt",
    "lanes.client_key_file": "/etc/tpsd/keys/front.key",
    "lanes.language": "fr",
    "lanes.pass_back_group": "bus-17",
    "lanes.tokens": "validator",
    "lanes.country": "276",
}


def example_config() -> str:
    """The file. Raises KeyError for a setting that has neither a default nor a sample."""
    head = (
        "Every setting of tpsd with its unit and its reason; made from the code by python -m tpsd.cli.generate. What "
        "is commented out is optional. Copy it to /etc/tpsd/tpsd.toml, and ask 'tpsd doctor' what is missing."
    )
    return "\n".join([*_comment(head), "", *_section(Configuration, "", "")]).rstrip() + "\n"


def _section(model: type[Section], prefix: str, mark: str) -> Iterator[str]:
    """Its own settings first, as TOML wants it, then its tables; ``mark`` comments a whole table out."""
    tables = []
    for name, field in fields_of(model).items():
        inner = section_of(model, name)
        if inner is not None and (not prefix or field.annotation is inner):
            tables.append((name, field, inner))
        else:
            yield from _setting(f"{prefix}{name}", name, field, mark)
            if inner is not None:
                yield from _inner_settings(inner)
    for name, field, inner in tables:
        is_list = field.annotation is not inner
        below = "# " if is_list and not any(key.startswith(f"{name}.") for key in IN_FORCE) else ""
        yield ""
        yield from _comment(field.description or (inner.__doc__ or "").splitlines()[0])
        yield f"{below}[[{name}]]" if is_list else f"[{name}]"
        yield from _section(inner, f"{name}.", below)


def _setting(key: str, name: str, field: FieldInfo, mark: str) -> Iterator[str]:
    default = field.get_default(call_default_factory=True)
    yield from _comment(field.description or "")
    if key in IN_FORCE:
        yield f"{mark}{name} = {_toml(IN_FORCE[key])}"
    elif default is PydanticUndefined or default in (None, "", {}):
        yield f"# {name} = {_toml(SAMPLES[key])}"
    else:
        yield f"{mark}{name} = {_toml(default)}"


def _inner_settings(model: type[Section]) -> Iterator[str]:
    """What the keys of an inline table mean."""
    for name, field in fields_of(model).items():
        yield from _comment(f"  {name}: {field.description}")


def _comment(text: str) -> Iterator[str]:
    for line in textwrap.wrap(text, LINE_COLUMNS, drop_whitespace=True, replace_whitespace=True):
        yield f"## {line}"


def _toml(value: Any) -> str:
    match value:
        case BaseModel():
            return "{ " + ", ".join(f"{name} = {_toml(inner)}" for name, inner in value) + " }"
        case dict():
            return "{ " + ", ".join(f"{json.dumps(name)} = {_toml(inner)}" for name, inner in value.items()) + " }"
        case tuple() | list():
            return "[" + ", ".join(_toml(inner) for inner in value) + "]"
        case date():
            return value.isoformat()
        case bool() | int() | str():
            return json.dumps(value, ensure_ascii=False)
        case float():
            return json.dumps(int(value) if value.is_integer() else value)
        case _:
            return json.dumps(str(value))
