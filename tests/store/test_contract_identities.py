"""Terminals' identities in the journal: the key sealed before anything leaves, one a lane, from state to state."""

from __future__ import annotations

import pytest

from tests.store.builders import NOW
from tests.store.engines import Engine
from tpsd.domain.audit import AuditDraft
from tpsd.domain.identity import Described, Identity, IdentityState, Issued
from tpsd.domain.time import DAY, later
from tpsd.errors import NotFoundError
from tpsd.store.journal import SqlJournal

TERMINAL = "GATE-X1:VAL00001"
DESCRIBED = Described(TERMINAL, "049-443", b"the request", b"the private key in DER")
ISSUED = Issued(b"key chain", b"signer chain", later(NOW, DAY), 1001, "T-7", "Europe/Tallinn", "978")
AUDIT = AuditDraft(NOW, "anna (1000)", "terminal register", "a new bus")


async def test_from_described_to_active(journal: SqlJournal) -> None:
    identities = journal.identities
    assert await identities.rows() == []
    described = await identities.describe("front", DESCRIBED, AUDIT)
    assert described == Identity("front", TERMINAL, IdentityState.DESCRIBED, "049-443", NOW)
    assert await identities.request("front") == b"the request"
    assert (await identities.awaits("front")).state is IdentityState.AWAITING
    active = await identities.activate("front", ISSUED, later(NOW, 5))
    assert active == Identity(
        "front", TERMINAL, IdentityState.ACTIVE, "049-443", NOW, later(NOW, 5), ISSUED.ends, 1001, "T-7",
        "Europe/Tallinn", "978",
    )  # fmt: skip
    assert (await identities.awaits("front")).state is IdentityState.ACTIVE, "what came late takes nothing back"
    assert await identities.rows() == [active]
    [audited] = await journal.operations.audited(5)
    assert (audited.what, audited.subject) == ("terminal register", f"front: {TERMINAL}")


async def test_a_new_one_replaces_the_old(journal: SqlJournal) -> None:
    await journal.identities.describe("front", DESCRIBED, AUDIT)
    await journal.identities.activate("front", ISSUED, NOW)
    again = Described("GATE-X1:VAL00002", "742-074", b"another request", b"another key")
    replaced = await journal.identities.describe("front", again, AUDIT)
    assert (replaced.state, replaced.code, replaced.company_id) == (IdentityState.DESCRIBED, "742-074", None)
    assert await journal.identities.rows() == [replaced]


async def test_a_lane_without_one(journal: SqlJournal) -> None:
    for ask in (journal.identities.request("rear"), journal.identities.awaits("rear")):
        with pytest.raises(NotFoundError, match="lane rear has no identity"):
            await ask


async def test_the_key_lies_open_nowhere(engine: Engine) -> None:
    journal = await engine.open()
    await journal.identities.describe("front", DESCRIBED, AUDIT)
    await journal.close()
    files = [file for folder in engine.traces() for file in folder.rglob("*") if file.is_file()]
    assert files
    assert all(DESCRIBED.key not in file.read_bytes() for file in files)
