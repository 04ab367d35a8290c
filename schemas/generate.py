"""What is made from the models: the JSON Schema of the configuration, and the table of its settings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

from schemas.config import Configuration, Section, fields_of, section_of
from schemas.taplog import LINE

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def config_schema() -> str:
    """The configuration's JSON Schema, as the file ``schemas/config.schema.json`` holds it."""
    schema = {"$schema": SCHEMA_DIALECT, **Configuration.model_json_schema()}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def taplog_schema() -> str:
    """A tap log line's JSON Schema, as the file ``schemas/taplog.schema.json`` holds it."""
    schema = {"$schema": SCHEMA_DIALECT, **LINE.json_schema()}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def settings_table() -> str:
    """Every setting with its default and meaning, as a Markdown table."""
    rows = [f"| `{key}` | {default} | {meaning} |" for key, default, meaning in _rows(Configuration, "")]
    return "\n".join(["| setting | default | meaning |", "| --- | --- | --- |", *rows]) + "\n"


def _rows(section: type[Section], prefix: str) -> Iterator[tuple[str, str, str]]:
    for name, field in fields_of(section).items():
        inner = section_of(section, name)
        is_list = inner is not None and field.annotation is not inner
        key = f"{prefix}{name}{'[]' if is_list else ''}"
        if inner is None or field.description:
            yield key, _default(field.get_default(call_default_factory=True)), _cell(field.description or "")
        if inner is not None:
            yield from _rows(inner, f"{key}.")


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "required"
    if value is None or value in ((), {}, ""):
        return "none"
    return f"`{_cell(json.dumps(_plain(value), ensure_ascii=False))}`"


def _plain(value: Any) -> Any:
    match value:
        case BaseModel():
            return {key: _plain(inner) for key, inner in value}
        case tuple():
            return [_plain(inner) for inner in value]
        case SecretStr():
            return "****"
        case float() if value.is_integer():
            return int(value)
        case bool() | int() | float() | str():
            return value
        case _:
            return str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
