"""``python -m tests.faults``: the whole matrix at four daemons that share a journal in PostgreSQL, cell by cell."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

import structlog

from tests.cluster import Cluster
from tests.faults.cells import cells
from tests.faults.fleet import Common, play
from tests.faults.running import judge
from tests.store.databases import Databases
from tpsd.sfey.certificates import make

MAJOR = 18


def _unsaid(*_: object) -> NoReturn:
    raise structlog.DropEvent


def main() -> int:
    """The number of cells that went wrong is said; 1 where there are any."""
    structlog.configure(processors=[_unsaid])
    cluster = Cluster(MAJOR)
    try:
        with TemporaryDirectory(prefix="tpsd-faults-") as name:
            folder = Path(name)
            for made in ("certificates", "keys", "cells"):
                (folder / made).mkdir()
            common = Common.made(cluster.url(Databases(cluster).new()), folder / "keys")
            files = make(folder / "certificates", datetime.now(UTC))
            found = asyncio.run(play(cells(), folder / "cells", files, common))
    finally:
        cluster.stop()
    wrong = 0
    for cell, seen in found.items():
        try:
            if isinstance(seen, Exception):
                raise seen
            for one in seen:
                judge(cell, one)
        except Exception as exc:
            wrong += 1
            print(f"{cell}: {type(exc).__name__}: {exc}")
    print(f"{len(found)} cells, {wrong} wrong")
    return min(wrong, 1)


sys.exit(main())
