"""Reading the configuration file. Every problem is found before any is reported."""

from __future__ import annotations

import copy
import difflib
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from schemas.config import Configuration, Section, fields_of, section_of
from tpsd.config.lines import line_of, lines_of
from tpsd.config.problems import KeyPath, Problem, dotted
from tpsd.config.relations import problems
from tpsd.errors import ConfigError

_UNKNOWN = "extra_forbidden"
_LINE_IN_MESSAGE = re.compile(r"\(at line (\d+), column \d+\)")


def load(path: Path) -> Configuration:
    """The configuration with absolute paths. Raises ConfigError that lists every problem of the file.

    Relative paths in the file are taken from the file's own folder.
    """
    text = _read(path)
    folder = path.resolve().parent
    try:
        found, config = _validate(_parse(path, text), folder)
    except RecursionError as exc:
        raise ConfigError(f"{path}: something in it is nested hundreds deep; remove that") from exc
    if config is not None:
        found.extend(problems(config))
    if found or config is None:
        raise ConfigError(_report(path, text, found))
    return config


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path} is not UTF-8 text (byte {exc.start}); save it as UTF-8") from exc
    except OSError as exc:
        raise ConfigError(
            f"{path} cannot be read ({exc.strerror}); name the configuration file with --config FILE"
        ) from exc


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        at = _LINE_IN_MESSAGE.search(str(exc))
        where = f"line {at[1]}" if at else "its end"
        what = _LINE_IN_MESSAGE.sub("", str(exc)).removesuffix("(at end of document)").strip()
        raise ConfigError(f"{path}: not TOML at {where}: {what}; correct that line (texts stand in quotes)") from exc
    except ValueError as exc:  # int() takes 4,300 digits
        raise ConfigError(f"{path}: a number in it has thousands of digits; correct it") from exc


def _validate(raw: dict[str, Any], folder: Path) -> tuple[list[Problem], Configuration | None]:
    """The problems of single keys, and the configuration if there are none but unknown keys."""
    try:
        return [], Configuration.model_validate(raw, context={"folder": folder})
    except ValidationError as exc:
        errors = exc.errors(include_url=False, include_context=True)
    found = [_problem(error) for error in errors]
    if any(error["type"] != _UNKNOWN for error in errors):
        return found, None
    known = _without(raw, [error["loc"] for error in errors])
    return found, Configuration.model_validate(known, context={"folder": folder})


def _without(raw: dict[str, Any], keys: Sequence[KeyPath]) -> dict[str, Any]:
    trimmed = copy.deepcopy(raw)
    for *parents, last in keys:
        node: Any = trimmed
        for part in parents:
            node = node[part]
        del node[last]
    return trimmed


def _problem(error: ErrorDetails) -> Problem:
    key = error["loc"]
    kind = error["type"]
    if kind == _UNKNOWN:
        return Problem(key, "is not a known key", _nearest(key))
    about = _description(key)
    if kind == "missing":
        return Problem(key, "is missing", f"add it: {about}" if about else "add the section")
    if kind == "value_error":
        what, _, remedy = str(error["ctx"]["error"]).partition("; ")
        return Problem(key, what, remedy or about)
    message = error["msg"]
    return Problem(
        key, f"is wrong: {message[:1].lower()}{message[1:]}", f"it means: {about}" if about else "see README"
    )


def _nearest(key: KeyPath) -> str:
    section = _section_at(key[:-1])
    name = str(key[-1])
    known = list(fields_of(section)) if section else []
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {dotted((*key[:-1], close[0]))}?"
    elsewhere = [section_name for section_name in Configuration.model_fields if _has(section_name, name)]
    if elsewhere:
        return f"it belongs into [{elsewhere[0]}]"
    return f"known here: {', '.join(known)}"


def _has(section_name: str, key: str) -> bool:
    section = section_of(Configuration, section_name)
    return section is not None and key in fields_of(section)


def _section_at(key: KeyPath) -> type[Section] | None:
    section: type[Section] | None = Configuration
    for part in key:
        if isinstance(part, str) and section is not None:
            section = section_of(section, part)
    return section


def _description(key: KeyPath) -> str:
    names = [part for part in key if isinstance(part, str)]
    for length in range(len(names), 0, -1):
        section = _section_at(tuple(names[: length - 1]))
        field = fields_of(section).get(names[length - 1]) if section else None
        if field is not None:
            return field.description or ""
    return ""


def _report(path: Path, text: str, found: Sequence[Problem]) -> str:
    count = "1 problem" if len(found) == 1 else f"{len(found)} problems"
    written = lines_of(text)
    placed = sorted((line_of(written, problem.key) or 0, str(problem)) for problem in found)
    lines = [f"  line {line}: {problem}" if line else f"  {problem}" for line, problem in placed]
    return "\n".join([f"{path}: {count}, nothing was started", *lines])
