"""A query as PostgreSQL is given it: SQLite's placeholders numbered, and the arguments in their order.

``?`` and ``?2`` take from a sequence, ``:name`` from a mapping. Words in quotes, comments and casts (``::``) stay;
which index SQLite is to take is nothing that PostgreSQL lets itself be told.

A journal there has many daemons, so a query may have marks that SQLite takes for comments: ``/* own a */`` behind a
condition keeps to the rows of this daemon, ``/* lock a */`` locks the rows found, ``/* claim a */`` those that nobody
else has locked, ``/* keep a */`` keeps others from locking or deleting them; ``a`` names the table where there are
several. ``a.credential /* held */`` is the name under which this daemon holds what ``a``'s daemon calls so, or one
under which nobody holds anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tpsd.store.connection import Bindings
from tpsd.store.queries import F, Q, Query, load

_TOKENS = re.compile(
    r"'(?:[^']|'')*'|--[^\n]*|::| INDEXED BY \w+|\?(?P<at>\d+)?|:(?P<name>[a-z_]+)"
    r"|/\* (?P<mark>own|lock|claim|keep)(?: (?P<table>\w+))? \*/"
    r"|(?P<of>\w+)\.credential /\* held \*/"
)
_GIVES_ROWS = re.compile(r"\s*(?:--[^\n]*\s+)*(?:SELECT|WITH|INSERT|UPDATE|DELETE)\b", re.IGNORECASE)

RAW_MAX = 256  # statements without a name, of which there are a few about transactions, and those of tests


@dataclass(frozen=True, slots=True)
class Worded:
    """A statement for PostgreSQL. ``takes``: for each of its arguments a place in a sequence, or a name."""

    sql: str
    takes: tuple[int | str, ...]
    gives_rows: bool

    def arguments(self, bindings: Bindings | None) -> list[Any]:
        """The arguments in order. Raises LookupError for one that is missing."""
        if bindings is None:
            bindings = ()
        if isinstance(bindings, Mapping):
            return [bindings[str(name)] for name in self.takes]
        return [bindings[int(place)] for place in self.takes]


def worded(sql: str) -> Worded:
    """SQL of ours, its placeholders numbered."""
    takes: list[int | str] = []
    last = 0

    def numbered(found: re.Match[str]) -> str:
        nonlocal last
        if found["name"] is not None:
            taken: int | str = found["name"]
        elif found[0].startswith("?"):
            last = int(found["at"]) if found["at"] else last + 1
            taken = last - 1
        elif found["of"] is not None:
            return f"own_credential({found['of']}.daemon, {found['of']}.credential)"
        elif found["mark"] is not None:
            return _marked(found["mark"], found["table"])
        else:
            return "" if found[0].startswith(" INDEXED") else found[0]
        if taken not in takes:
            takes.append(taken)
        return f"${takes.index(taken) + 1}"

    text = _TOKENS.sub(numbered, sql)
    return Worded(text, tuple(takes), _GIVES_ROWS.match(sql) is not None)


def _marked(mark: str, table: str | None) -> str:
    if mark == "own":
        return f"AND {'' if table is None else table + '.'}daemon = current_setting('tpsd.daemon', true)"
    locking = "FOR KEY SHARE" if mark == "keep" else "FOR UPDATE"
    locking += "" if table is None else f" OF {table}"
    return f"{locking} SKIP LOCKED" if mark == "claim" else locking


def array(values: Iterable[str | int | None]) -> str:
    """Values as PostgreSQL writes an array of them: the driver takes ten times as long to look at each of a list's."""
    return "{" + ",".join([_element(value) for value in values]) + "}"


def _element(value: str | int | None) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def postgres() -> dict[str, Worded]:
    """Every query in PostgreSQL's words: its own where it has some, else SQLite's."""
    return {name: worded(sql) for name, sql in {**Q, **load("postgres"), **F}.items()}


def words_of(statement: str, dialect: Mapping[str, Worded]) -> Worded:
    """A query goes by its name; any other statement is taken as it is."""
    return dialect[statement.name] if isinstance(statement, Query) else _raw(statement)


_raw = lru_cache(maxsize=RAW_MAX)(worded)
