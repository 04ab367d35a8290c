"""Named SQL from ``.sql`` files: ``-- name: claim_due`` begins a query, the next name or the end of file ends it."""

import re
from importlib.resources import files

_NAME = re.compile(r"^-- name: ([a-z_]+)\s*$", re.MULTILINE)


def load(dialect: str) -> dict[str, str]:
    """The queries of one dialect by name. Raises ValueError for a name given twice."""
    text = (files("tpsd.store") / f"{dialect}.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)[1:]
    queries: dict[str, str] = {}
    for name, sql in zip(parts[::2], parts[1::2], strict=True):
        if name in queries:
            raise ValueError(f"{dialect}.sql names {name} twice")
        queries[name] = sql.strip()
    return queries
