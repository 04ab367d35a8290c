"""The registrar: registers lanes' terminals at TPS by a code that a person types, and keeps what TPS gives for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import assert_never

import structlog

from tpsd.domain.audit import AuditDraft
from tpsd.domain.device_key import DeviceKey
from tpsd.domain.identity import Answered, Awaiting, Identity, IdentityState, Issued, NotIssued
from tpsd.errors import RefusedError
from tpsd.identities import Identities, Registration
from tpsd.ports import Clock
from tpsd.workers.doorkeeper import lane_named
from tpsd.workers.reader import Lane, terminal_of

log = structlog.get_logger("tpsd.registrar")


class Registrar:
    """One daemon's. ``lanes`` are those that the configuration names now; ``company_id`` is the operator's.

    ``receive`` keeps the device keys that come with an identity.
    """

    def __init__(
        self,
        identities: Identities,
        wire: Registration,
        lanes: Callable[[], Sequence[Lane]],
        clock: Clock,
        company_id: int,
        receive: Callable[[Sequence[DeviceKey]], Awaitable[object]],
    ) -> None:
        self._identities = identities
        self._wire = wire
        self._lanes = lanes
        self._clock = clock
        self._company_id = company_id
        self._receive = receive
        self._turn = asyncio.Lock()  # two orders at once would make two key pairs for one lane
        self.known: dict[str, Identity] = {}

    async def load(self) -> None:
        """What the journal keeps; at a start."""
        self.known = {one.lane: one for one in await self._identities.rows()}
        for lane in self._lanes():
            self.greet(lane)

    def greet(self, lane: Lane) -> None:
        """Have a lane whose terminal waits for its code show that: whoever types it may stand before it."""
        identity = self.known.get(lane.state.name)
        waits = identity is not None and identity.state is not IdentityState.ACTIVE
        lane.stand_by_with(f"Code\n{identity.code}" if identity is not None and waits else None)

    async def register(self, name: str, who: str, why: str, *, anew: bool = False) -> Identity:
        """Go one step: make key pair and request where there are none, send the request, take what comes.

        Asked again it sends the same request under the same code. ``anew``: another key pair and code, whatever there
        was. Raises NotFoundError for the lane, RefusedError saying what is wrong and what to do.
        """
        lane = lane_named(self._lanes(), name)
        known, terminal = lane.state.name, terminal_of(lane.state)
        if terminal is None:
            raise RefusedError(f"the terminal of lane {known} is not known; switch its validator on, then ask again")
        async with self._turn:
            identity = self.known.get(known)
            if identity is not None and identity.terminal != terminal and not anew:
                raise RefusedError(
                    f"lane {known} was registered as {identity.terminal}, and its terminal is {terminal}; "
                    "put that one back, or register the new one with --anew"
                )
            if identity is None or anew:
                described = await asyncio.to_thread(self._wire.describe, terminal)
                audit = AuditDraft(self._clock.wall(), who, "terminal register", why)
                identity = self.known[known] = await self._identities.describe(known, described, audit)
                log.info("terminal_described", lane=known, terminal=terminal, code=identity.code)
                self.greet(lane)
            if identity.state is IdentityState.ACTIVE:
                return identity
            request = await self._identities.request(known)
            answered = await self._wire.ask(lane.policy.credential, terminal, request)
            self.known[known] = await self._took(identity, answered)
            self.greet(lane)
            return self.known[known]

    async def _took(self, identity: Identity, answered: Answered) -> Identity:
        lane = identity.lane
        match answered:
            case NotIssued(why):
                log.error("terminal_not_registered", lane=lane, terminal=identity.terminal, why=why)
                raise RefusedError(f"{why}; the code is still {identity.code}")
            case Awaiting():
                return await self._identities.awaits(lane)
            case Issued(company_id=company) if company not in (None, self._company_id):
                raise RefusedError(
                    f"TPS registered {identity.terminal} for company {company}, and operator.company_id is"
                    f" {self._company_id}; correct it, or have Sfey move the terminal"
                )
            case Issued(keys=keys):
                if keys:
                    await self._receive(keys)  # before it is active: then nothing is asked for again
                active = await self._identities.activate(lane, answered, self._clock.wall())
                log.info("terminal_active", lane=lane, terminal=identity.terminal)
                return active
            case _:
                assert_never(answered)
