"""Named SQL from ``.sql`` files: ``-- name: claim_due`` begins a query, the next name or the end of file ends it.

SQLite's files hold every query. Another dialect's hold those that must be worded differently there, under the same
names and with the same bindings; the others it shares. Queries of a fleet of daemons are PostgreSQL's alone.
"""

from __future__ import annotations

import re
from importlib.resources import files

_NAME = re.compile(r"^-- name: ([a-z_]+)\s*$", re.MULTILINE)


class Query(str):
    """A query as SQLite is given it; a connection of another dialect goes by its ``name``."""

    name: str

    def __new__(cls, name: str, sql: str) -> Query:
        """``sql`` is the text."""
        query = super().__new__(cls, sql)
        query.name = name
        return query


def load(dialect: str) -> dict[str, Query]:
    """The queries in one dialect's own files by name. Raises ValueError for a name given twice."""
    queries: dict[str, Query] = {}
    for file in sorted((files("tpsd.store") / "sql" / dialect).iterdir(), key=lambda entry: entry.name):
        parts = _NAME.split(file.read_text(encoding="utf-8"))[1:]
        for name, sql in zip(parts[::2], parts[1::2], strict=True):
            if name in queries:
                raise ValueError(f"{dialect}/{file.name} names {name} a second time")
            queries[name] = Query(name, sql.strip())
    return queries


Q = load("sqlite")

F = load("fleet")
"""What daemons that share a journal in PostgreSQL ask about one another."""
