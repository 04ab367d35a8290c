"""The network between a daemon and TPS, drawn around the direct line: what is lost on it, and on which way."""

from __future__ import annotations

import asyncio
import contextvars
import json
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar
from uuid import UUID

from tests.sim.events import Event, Fed, Sent
from tests.sim.events import Heard as HeardOf
from tpsd.core.feed import PAGE_RECORDS
from tpsd.core.outcomes import classify
from tpsd.domain.feed import Heard, Page
from tpsd.domain.outcome import Answer, CredentialRefused, Exchange, NoAnswer, NoConnection
from tpsd.replay.loop import VirtualLoop
from tpsd.sfey.client import Raw
from tpsd.sfey.direct import DirectLine
from tpsd.sfey.messages import update
from tpsd.sfey.update_desk import UpdateDesk
from tpsd.sfey.updates import Terminal, heard_of
from tpsd.sfey.wire import DEVICE_V1

T = TypeVar("T")
Going = Callable[[], Coroutine[Any, Any, T | Exchange]]

CONNECT_SECONDS: Final = 3.0  # how long a connection that does not come is waited for here


@dataclass(slots=True)
class Weather:
    """Chances of an exchange. ``barrier``: what every connection meets at present, None for a free road."""

    refused: float = 0.0  # no connection
    lost_going: float = 0.0  # the request does not arrive, and nobody says so
    lost_coming: float = 0.0  # the answer does not
    slow: float = 0.0
    slow_seconds: float = 5.0
    barrier: Exchange | None = None
    door: Exchange | None = None  # what every enquiry gets, None for TPS's own answer

    def settle(self) -> None:
        """The storm is over; a barrier may stand."""
        self.refused = self.lost_going = self.lost_coming = self.slow = 0.0

    def clear(self) -> None:
        """From now on everything arrives."""
        self.settle()
        self.barrier = self.door = None


BARRIERS: Final[dict[str, Exchange]] = {
    "connect": NoConnection("connect"),
    "dns": NoConnection("dns"),
    "connect_timeout": NoConnection("connect_timeout"),
    "probe": NoConnection("probe"),
    "tls": NoConnection("tls"),
    "tls.server": NoConnection("tls.server"),
    "tls.client": CredentialRefused("tls.client"),
}

DOORS: Final[dict[str, Exchange]] = {
    "nowhere": Answer(404, readable=False),
    "closed": Answer(401, readable=False),
    "down": Answer(503, readable=False),
    "silent": NoAnswer("timeout"),
    "connect": NoConnection("connect"),
}
"""What becomes of enquiries alone: the AFC API is another host, or another path."""


class Road:
    """``ports.Tps`` and an ``Ask`` for one life."""

    def __init__(
        self,
        life: int,
        line: DirectLine,
        desk: UpdateDesk,
        weather: Weather,
        rng: random.Random,
        loop: VirtualLoop,
        far: contextvars.Context,
        emit: Callable[[Event], None],
        timeout_seconds: float,
    ) -> None:
        self._life = life
        self._line = line
        self._desk = desk
        self._weather = weather
        self._rng = rng
        self._loop = loop
        self._far = far
        self._emit = emit
        self._timeout = timeout_seconds

    async def post(self, credential: str, path: str, body: bytes, *, within: float | None = None) -> Exchange:
        request = json.loads(body)
        uuid, carded = str(request["transactionUuid"]), request["transactionData"].get("tag") is not None
        self._emit(Sent(self._life, uuid, credential, carded))
        exchange = await self._over(lambda: self._line.post(credential, path, body), within)
        self._emit(HeardOf(self._life, uuid, _words(exchange), classify(exchange).clean))
        return exchange

    async def knock(self, credential: str) -> Exchange:
        return await self._over(lambda: self._line.knock(credential))

    async def ask(self, uuid: UUID) -> Exchange:
        if self._weather.door is not None:
            await asyncio.sleep(self._rng.uniform(0.001, CONNECT_SECONDS))
            return self._weather.door or NoAnswer("closed")
        return await self._over(lambda: self._line.ask(uuid))

    async def updates(self, terminal: Terminal, token: str | None) -> Heard:
        """One page of the deny list; the host is TPS's own, so the weather is the same."""
        path = update(DEVICE_V1, terminal.serial, terminal.type_name, token, PAGE_RECORDS)
        page = heard_of(await self._over(partial(self._list, path), self._timeout))
        if isinstance(page, Page):
            self._emit(Fed(self._life, token, page.token, page))
        return page

    async def _list(self, path: str) -> Raw | Exchange:
        reply = self._desk.serve("GET", path)
        if reply is None or reply.http is None:
            return NoAnswer("closed")
        headers = {} if reply.retry_after is None else {"Retry-After": str(reply.retry_after)}
        return Raw(reply.http, headers, reply.body)

    async def _over(self, go: Going[T], within: float | None = None) -> T | Exchange:
        weather, rng = self._weather, self._rng
        try:
            async with asyncio.timeout(within):
                await asyncio.sleep(rng.uniform(0.001, 0.05))
                if weather.barrier is not None or rng.random() < weather.refused:
                    await asyncio.sleep(rng.uniform(0.0, CONNECT_SECONDS))
                    return weather.barrier or NoConnection("connect")
                return await self._arrives(go)
        except TimeoutError:
            return NoAnswer("timeout")

    async def _arrives(self, go: Going[T]) -> T | Exchange:
        weather, rng = self._weather, self._rng
        if rng.random() < weather.lost_going:
            await asyncio.sleep(self._timeout)
            return NoAnswer("timeout")
        if rng.random() < weather.slow:
            await asyncio.sleep(rng.uniform(0.0, weather.slow_seconds))
        # What has arrived at TPS is there whether or not the process that sent it lives on.
        arrived = self._loop.create_task(go(), context=self._far)
        exchange = await asyncio.shield(arrived)
        if rng.random() < weather.lost_coming:
            return NoAnswer(rng.choice(["closed", "timeout"]))
        return exchange


def _words(exchange: Exchange) -> str:
    given = ((name, getattr(exchange, name)) for name in exchange.__dataclass_fields__)
    return f"{type(exchange).__name__} {' '.join(f'{name}={value}' for name, value in given if value is not None)}"
