"""Every way in which the network to TPS can fail, at every moment of an exchange, judged by TPS's own books.

An attempt that is called clean was never charged; what may have been charged is sent again byte for byte, or, of a
realtime tap, in doubt and never sent again; nothing is charged twice.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from tests.faults.cells import Cell, cells
from tests.faults.running import Seen, judge, play
from tpsd.sfey.certificates import make

Results = dict[Cell, Seen | BaseException]


@pytest.fixture(scope="module")
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """All cells that are asked for, played together behind certificates made for this run."""
    wanted = {
        item.callspec.params["cell"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module and hasattr(item, "callspec")
    }
    files = make(tmp_path_factory.mktemp("certificates"), datetime.now(UTC))
    return asyncio.run(play((cell for cell in cells() if cell in wanted), tmp_path_factory.mktemp("cells"), files))


@pytest.mark.parametrize("cell", cells(), ids=str)
def test_cell(results: Results, cell: Cell) -> None:
    judge(cell, results[cell])
