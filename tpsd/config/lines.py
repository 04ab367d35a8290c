"""On which line of a TOML text a key stands; the standard parser does not say."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping

from tpsd.config.problems import KeyPath

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_DOTTED = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]")
_ASSIGNMENT = re.compile(rf"\s*({_DOTTED})\s*=")


def line_of(lines: Mapping[KeyPath, int], key: KeyPath) -> int | None:
    """The line (from 1) of the key, or of the nearest table around it; None where nothing of it is written.

    A line inside a multi-line value may be taken for a key; the number is a hint for a person.
    """
    nearest = (key[:length] for length in range(len(key), 0, -1))
    return next((lines[written] for written in nearest if written in lines), None)


def lines_of(text: str) -> dict[KeyPath, int]:
    """The first line of each key and table that is written."""
    lines: dict[KeyPath, int] = {}
    for line, written in _keys(text):
        lines.setdefault(written, line)
    return lines


def _keys(text: str) -> Iterator[tuple[int, KeyPath]]:
    table: KeyPath = ()
    counts: dict[KeyPath, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        header = _HEADER.match(line)
        if header is not None:
            table = _indexed(_parts(header[2]), counts, is_list=header[1] == "[[")
            yield number, table
            continue
        assignment = _ASSIGNMENT.match(line)
        if assignment is not None:
            yield number, table + _parts(assignment[1])


def _indexed(names: KeyPath, counts: dict[KeyPath, int], *, is_list: bool) -> KeyPath:
    """The header's names with the positions of the lists they pass through."""
    path: KeyPath = ()
    for name in names[:-1]:
        path = (*path, name)
        if path in counts:
            path = (*path, counts[path])
    path = (*path, names[-1])
    if is_list:
        counts[path] = counts.get(path, -1) + 1
    return (*path, counts[path]) if path in counts else path


def _parts(dotted_key: str) -> KeyPath:
    try:
        node: object = tomllib.loads(f"{dotted_key} = 0")
    except tomllib.TOMLDecodeError:
        return ()
    names: list[str] = []
    while isinstance(node, dict):
        name, node = next(iter(node.items()))
        names.append(name)
    return tuple(names)
