"""``asking.Asked`` of a gate with a spool: what TPS answers goes where the row is, and never waits for the database."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Final, Protocol

from tpsd.asking import Answered, Follow, Judge
from tpsd.domain.authorisation import Claimed
from tpsd.domain.card import CardToken
from tpsd.domain.journey import Journey
from tpsd.domain.outcome import Outcome
from tpsd.domain.time import Micros
from tpsd.errors import JournalUnavailableError
from tpsd.ports import SettledLate
from tpsd.store import realtime
from tpsd.store.asked import SqlAsked
from tpsd.store.connection import Connection
from tpsd.store.queries import Q
from tpsd.store.reconnecting import SlowError

JOURNEY_SECONDS: Final = 2.0  # for a tap that needs the database, whose passenger waits for TPS's answer anyway
TOLD_MAX: Final = 4096  # verdicts that a link may yet acknowledge: a validator has at most two under way


class Elsewhere(Protocol):
    """The spool as answers need it."""

    @property
    def holds_any(self) -> bool:
        """Whether it may hold a row."""

    async def spooled(
        self, claimed: Claimed, outcome: Outcome, judge: Judge, follow: Follow, ended_at: Micros
    ) -> Answered | None:
        """Commit 3 in the spool, None where the row is not there. Raises SettledLate."""

    def can_adopt(self, uuid: str) -> bool:
        """Whether what comes of a row of the database may be kept in the spool."""

    async def adopt(self, uuid: str) -> None:
        """Bring it there."""

    async def delivered_there(self, uuid: str) -> bool:
        """See ``Spool.delivered``."""

    def heard(self, uuid: str, answered: Answered | None) -> None:
        """TPS's answer is committed; None: another commit was first."""


class AskedElsewhere(SqlAsked):
    """Made by its journal. ``within`` runs work on the database for as long as it may take, or raises."""

    _elsewhere: Elsewhere
    _within: Callable[[Callable[[Connection], Answered]], Awaitable[Answered]]

    def begin(
        self, elsewhere: Elsewhere, within: Callable[[Callable[[Connection], Answered]], Awaitable[Answered]]
    ) -> None:
        """From now on rows may be in the spool."""
        self._elsewhere, self._within = elsewhere, within
        self._told: OrderedDict[int, str] = OrderedDict()
        self._handles = 0

    def handle(self, uuid: str) -> int:
        """By what a verdict of the spool's is known, whose number the database will not have: below zero."""
        self._handles -= 1
        self._told[self._handles] = uuid
        while len(self._told) > TOLD_MAX:
            self._told.popitem(last=False)
        return self._handles

    async def journey(self, operator: int, token: CardToken) -> Journey | None:
        """See ``asking.Asked``. Raises SlowError: a lane looks before it knows whether its tap needs the database."""
        try:
            async with asyncio.timeout(JOURNEY_SECONDS):
                return await super().journey(operator, token)
        except TimeoutError:
            raise SlowError(tried=False) from None

    async def answer(
        self, claimed: Claimed, outcome: Outcome, judge: Judge, follow: Follow, ended_at: Micros
    ) -> Answered:
        """See ``asking.Asked``. Decided inside the spool's writer: a row that is there is answered there."""
        uuid = str(claimed.uuid)
        try:
            answered = await self._answer(uuid, claimed, outcome, judge, follow, ended_at)
        except SettledLate:
            self._elsewhere.heard(uuid, None)
            raise
        self._elsewhere.heard(uuid, answered)
        return answered

    async def _answer(
        self, uuid: str, claimed: Claimed, outcome: Outcome, judge: Judge, follow: Follow, ended_at: Micros
    ) -> Answered:
        here = self._elsewhere
        spooled = partial(here.spooled, claimed, outcome, judge, follow, ended_at)
        if here.holds_any and (answered := await spooled()) is not None:
            return self._named(uuid, answered)
        if not here.can_adopt(uuid):
            return await super().answer(claimed, outcome, judge, follow, ended_at)
        stamp = self._stamp(ended_at)
        try:
            return await self._within(
                lambda connection: realtime.answer(
                    connection, claimed, outcome, judge, follow, self.seal_body, self._operator, stamp
                )
            )
        except JournalUnavailableError:
            await here.adopt(uuid)
            if (answered := await spooled()) is None:
                raise
            return self._named(uuid, answered)

    def _named(self, uuid: str, answered: Answered) -> Answered:
        return answered if answered.tap is None else replace(answered, tap=self.handle(uuid))

    async def delivered(self, tap: int) -> None:
        """See ``asking.Asked``."""
        if tap >= 0:
            await super().delivered(tap)
            return
        uuid = self._told.get(tap)
        if uuid is None or await self._elsewhere.delivered_there(uuid):
            return
        await self._writer.write(lambda connection: connection.execute(Q["spooled_delivered"], (uuid,)) and None)
