"""A process killed between any two commits of the drain: the next life finishes it, and every tap is there once.

Each commit of the drain is one tap's in the database, or one tap's in the spool; a kill leaves the database as after
its first ``k`` and the spool as after its first ``j <= k``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.store.builders import NOW, report, take
from tests.store.databases import Databases, PostgresEngine
from tests.store.remote_gate import Gate, rows
from tpsd.domain.tap import Shown

TAPS = 4


@pytest.fixture
def gate(databases: Callable[[int], Databases], tmp_path: Path) -> Iterator[Gate]:
    engine = PostgresEngine(databases(18), tmp_path / "engine")
    gate = Gate(engine, tmp_path)
    yield gate
    gate.server.unshut()
    engine.drop()


async def spooled(gate: Gate) -> None:
    """Four taps and a repeat wait; of the first the database has heard, and nobody knows."""
    journal = gate.journal
    with gate.server.asleep():
        await take(journal, 1)
    await gate.lose()
    await take(journal, 2)
    await journal.reject(report(3), "gate-1", "GATE-X1:VAL00042", "c0ffee", NOW)
    await take(journal, 4)
    await take(journal, 4, shown=Shown.TURNED_AWAY)


async def contents(gate: Gate) -> dict[str, Any]:
    """What is in the database, without what differs by how often it was tried."""
    found = [
        (row.tap_id, row.verdict, row.reason, row.disposition, row.state, row.cause, row.uuid is None)
        for row in await rows(gate.journal)
    ]
    sealed = "SELECT count(*), count(DISTINCT owner) FROM sealed"
    notices = "SELECT kind, cause, count(*) FROM notice GROUP BY kind, cause"
    return {
        "taps": sorted(found),
        "sealed": await gate.journal._writer.read(lambda one: one.execute(sealed).get),
        "notices": await gate.journal._writer.read(lambda one: list(one.execute(notices))),
        "claims": len(await gate.journal.claim(NOW, 100)),
        "wounds": await gate.journal.upkeep.check(),
    }


async def test_a_kill_between_any_two_commits(gate: Gate) -> None:
    async with gate.open(drained_at_once=1) as journal:
        await spooled(gate)
        gate.server.unshut()
        await gate.connected()
        spools = [gate.spool_after_sigkill("spool-0")]
        bases = [gate.engine.after_sigkill()]
        for number in range(1, TAPS + 1):
            assert await journal.drain(NOW) == 1
            spools.append(gate.spool_after_sigkill(f"spool-{number}"))
            bases.append(gate.engine.after_sigkill())
        whole = await contents(gate)
    assert len(whole["taps"]) == TAPS
    assert (whole["claims"], whole["wounds"]) == (2, [])
    for k, base in enumerate(bases):
        for j, folder in enumerate(spools[: k + 1]):
            killed = Gate(base.after_sigkill(), gate.copied(folder, f"life-{k}-{j}"))
            async with killed.open():
                await killed.drained()
                assert await contents(killed) == whole, f"the database after {k}, the spool after {j}"
                assert await killed.journal._spool.first(10) == []
