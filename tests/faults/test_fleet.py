"""The network to TPS fails under four daemons that share a journal in PostgreSQL: the same cells, the same judge.

Beside what each daemon does alone, nobody touches another's rows: TPS's ledger is one for all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tests.faults.cells import Cell, chosen
from tests.faults.fleet import FLEET, Common, play
from tests.faults.running import Seen, judge
from tests.store.databases import Databases
from tpsd.sfey.certificates import make

Results = dict[Cell, list[Seen] | Exception]


@pytest.fixture(scope="module")
def results(databases: Callable[[int], Databases], tmp_path_factory: pytest.TempPathFactory) -> Results:
    """One fleet after another on one journal."""
    here = databases(18)
    name = here.new()
    files = make(tmp_path_factory.mktemp("certificates"), datetime.now(UTC))
    common = Common.made(here.cluster.url(name), tmp_path_factory.mktemp("keys"))
    found = asyncio.run(play(chosen(), tmp_path_factory.mktemp("cells"), files, common))
    here.drop(name)
    return found


@pytest.mark.parametrize("cell", chosen(), ids=str)
def test_cell(results: Results, cell: Cell) -> None:
    seen = results[cell]
    if isinstance(seen, Exception):
        raise seen
    assert len(seen) == FLEET
    for one in seen:
        judge(cell, one)
