"""Named SQL from ``.sql`` files: ``-- name: claim_due`` begins a query, the next name or the end of file ends it."""

import re
from importlib.resources import files

_NAME = re.compile(r"^-- name: ([a-z_]+)\s*$", re.MULTILINE)


def load(dialect: str) -> dict[str, str]:
    """The queries of one dialect by name, from all its files. Raises ValueError for a name given twice."""
    queries: dict[str, str] = {}
    for file in sorted((files("tpsd.store") / "sql" / dialect).iterdir(), key=lambda entry: entry.name):
        parts = _NAME.split(file.read_text(encoding="utf-8"))[1:]
        for name, sql in zip(parts[::2], parts[1::2], strict=True):
            if name in queries:
                raise ValueError(f"{dialect}/{file.name} names {name} a second time")
            queries[name] = sql.strip()
    return queries
