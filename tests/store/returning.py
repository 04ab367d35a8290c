"""A passenger who comes back while the first transaction is in doubt: asked about first, it may pay for the tap."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from tests.store.builders import APPROVED, NOW, SILENCE, after
from tests.store.passengers import ENQUIRING, HELD, ONE, PAYING, asked_of, pay, wait_for
from tpsd.asking import Answered
from tpsd.core.enquiry import conclude, read
from tpsd.core.intake import LanePolicy
from tpsd.domain.authorisation import Claimed
from tpsd.domain.doubt import Enquired
from tpsd.domain.outcome import Exchange
from tpsd.domain.time import Micros
from tpsd.ports import Journal, Taken

TWO = UUID("0c7f3f6e-55f4-4f6b-9df2-3a1f5b1d7a02")
SOON = after(10)


async def doubtful(journal: Journal, lane: LanePolicy = PAYING, uuid: UUID = ONE, *, now: Micros = NOW) -> None:
    """Tap 1, which TPS never answered, to be asked about a minute later."""
    await pay(journal, SILENCE, 1, lane=lane, uuid=uuid, amount=HELD, policy=ENQUIRING, now=now)


async def again(journal: Journal, lane: LanePolicy = PAYING, uuid: UUID = TWO) -> Taken:
    """Tap 2: the same card for the same."""
    return await wait_for(journal, 2, lane=lane, uuid=uuid, amount=HELD, enquires=True, now=SOON)


async def ask_first(journal: Journal, now: Micros = SOON) -> Enquired:
    """The enquiry about tap 1 that tap 2 waits for."""
    enquired = await journal.doubts.claim_one(str(ONE), now)
    assert enquired is not None
    return enquired


async def cover(
    journal: Journal, enquired: Enquired, claimed: Claimed, exchange: Exchange = APPROVED
) -> Answered | None:
    """It is found approved."""
    heard = read(exchange)
    conclusion = replace(conclude(enquired, heard, believed=False, ended_at=SOON), notices=())
    return await journal.doubts.cover(enquired, heard, conclusion, claimed, SOON)


async def covered(journal: Journal, lane: LanePolicy = PAYING, exchange: Exchange = APPROVED) -> Answered:
    """Tap 2 is paid by tap 1's transaction."""
    await doubtful(journal, lane)
    claimed = asked_of(await again(journal, lane))
    answered = await cover(journal, await ask_first(journal), claimed, exchange)
    assert answered is not None
    return answered
