"""A process killed between any two commits of the drain: the next life finishes it, and every tap is there once.

Each commit of the drain is one tap's in the database, or one tap's in the spool; a kill leaves the database as after
its first ``k`` and the spool as after its first ``j <= k``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from tests.store.builders import APPROVED, NOW, SILENCE, report, take
from tests.store.passengers import PARTLY, answer, asked_of, offer, pay, restart, rider, wait_for
from tests.store.remote_gate import Gate, rows
from tpsd.core.intake import decide
from tpsd.domain.tap import Shown
from tpsd.store.postgres import PostgresJournal

TAPS = 4


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
    """What is in the database once what nobody answers is ended, without what differs by how often it was tried."""
    await restart(gate.journal, NOW)
    gate.journal.recovered(gate.journal.losses)
    found = [
        (row.tap_id, row.verdict, row.reason, row.disposition, row.state, row.cause, row.uuid is None)
        for row in await rows(gate.journal)
    ]
    sealed = "SELECT count(*), count(DISTINCT owner) FROM sealed"
    notices = "SELECT kind, cause, count(*) FROM notice GROUP BY kind, cause"
    transactions = "SELECT type, state, cause, attempt, may_have_charged, approved_amount FROM authorisation"
    attempts = "SELECT number, reason, outcome, cause, may_have_charged FROM attempt"
    return {
        "taps": sorted(found),
        "transactions": sorted(await gate.journal._writer.read(lambda one: list(one.execute(transactions))), key=repr),
        "attempts": sorted(await gate.journal._writer.read(lambda one: list(one.execute(attempts))), key=repr),
        "sealed": await gate.journal._writer.read(lambda one: one.execute(sealed).get),
        "notices": await gate.journal._writer.read(lambda one: list(one.execute(notices))),
        "claims": len(await gate.journal.claim(NOW, 100)),
        "wounds": await gate.journal.upkeep.check(),
    }


async def paid(gate: Gate) -> None:
    """Payments in every state, of the first of which the database has heard; the last is still being asked."""
    journal = gate.journal
    tap = await offer(journal, 1, uuid=UUID(int=1), **rider(1))
    await PostgresJournal.take(journal, tap, decide, NOW)
    await gate.lose()
    await answer(journal, asked_of(await journal.take(tap, decide, NOW)), APPROVED)
    await pay(journal, PARTLY, 2, uuid=UUID(int=2), **rider(2))
    await pay(journal, SILENCE, 3, uuid=UUID(int=3), **rider(3))
    await wait_for(journal, TAPS, uuid=UUID(int=TAPS), **rider(TAPS))


@pytest.mark.parametrize(("fill", "claims"), [(spooled, 2), (paid, 1)])
async def test_a_kill_between_any_two_commits(gate: Gate, fill: Callable[[Gate], Awaitable[None]], claims: int) -> None:
    async with gate.open(drained_at_once=1) as journal:
        await fill(gate)
        gate.server.unshut()
        await gate.connected()
        spools = [gate.spool_after_sigkill("spool-0")]
        bases = [gate.engine.after_sigkill()]
        for number in range(1, TAPS + 1):
            assert await journal.drain(NOW) == 1
            spools.append(gate.spool_after_sigkill(f"spool-{number}"))
            bases.append(gate.engine.after_sigkill())
        journal._lately.end(str(UUID(int=TAPS)))  # its answer never comes
        whole = await contents(gate)
    assert len(whole["taps"]) == TAPS
    assert (whole["claims"], whole["wounds"]) == (claims, [])
    for k, base in enumerate(bases):
        for j, folder in enumerate(spools[: k + 1]):
            killed = Gate(base.after_sigkill(), gate.copied(folder, f"life-{k}-{j}"))
            async with killed.open() as journal:
                await restart(journal, NOW)
                await killed.drained()
                assert await contents(killed) == whole, f"the database after {k}, the spool after {j}"
                assert await killed.journal._spool.first(10) == []
