"""The other end: a TPS on loopback that keeps books, obeys a fate for each request, and forgives nothing.

Its rules for a transaction UUID: a repeat that differs is refused (27) and written down as a violation; a repeat
while one is being processed is told so (303); a byte-identical repeat of a settled one gets the same answer and
moves no money. Fates: ``tpsd.sfey.fates``; books: ``tpsd.sfey.ledger``.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from aiohttp import web

from tpsd.domain.time import Micros
from tpsd.errors import ConfigError
from tpsd.sfey import replies
from tpsd.sfey.fates import Asked, Choose, Delivery, Fate, by_amount, in_progress, system
from tpsd.sfey.inspection import INVALID_REPEAT_REQUEST, Finding, inspect
from tpsd.sfey.ledger import Charge, Ledger, Reply, Request, Violation, Visit
from tpsd.sfey.wire import DEVICE_V1, Profile

KEEP_ALIVE_SECONDS = 30.0  # s: longer than the client's, as a real server's is
SHUTDOWN_SECONDS = 1.0  # s: whoever still holds a connection then is cut off
AFC_BASE_PATH = "/afc-api/v3"  # where afc_base_url must point for enquiries

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class Serving:
    """A simulator that listens: ``url`` is the client's base_url."""

    url: str
    host: str
    port: int


@dataclass(slots=True)
class _Transaction:
    """What TPS knows of one UUID."""

    digest: str
    requests: int = 0
    busy: bool = False
    settled: Fate | None = None


def system_wall() -> Micros:
    """This machine's wall clock."""
    return Micros(time.time_ns() // 1000)


class Simulator:
    """The simulated TPS. ``choose`` gives a request's fates, ``wall`` stamps the ledger and the ``Date`` header."""

    def __init__(
        self,
        choose: Choose = by_amount,
        *,
        ledger: Ledger | None = None,
        wall: Callable[[], Micros] = system_wall,
        profile: Profile = DEVICE_V1,
    ) -> None:
        self.ledger = ledger if ledger is not None else Ledger()
        self._choose = choose
        self._wall = wall
        self._profile = profile
        self._transactions: dict[str, _Transaction] = {}
        self._processing: set[asyncio.Task[Fate]] = set()
        self._transaction_path = _pattern(profile.transaction_path)
        self._enquiry_path = _pattern(AFC_BASE_PATH + profile.enquiry_path)

    @asynccontextmanager
    async def serving(
        self, host: str = "127.0.0.1", port: int = 0, ssl_context: ssl.SSLContext | None = None
    ) -> AsyncIterator[Serving]:
        """Listen until the block ends. Port 0 takes a free one. Raises ConfigError for a host beyond loopback."""
        if host not in _LOOPBACK:
            raise ConfigError(f"{host}: the simulated TPS listens on loopback only")
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(
            application,
            access_log=None,
            handler_cancellation=True,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            shutdown_timeout=SHUTDOWN_SECONDS,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port, ssl_context=ssl_context).start()
            bound = int(runner.addresses[0][1])
            scheme = "http" if ssl_context is None else "https"
            name = f"[{host}]" if ":" in host else host
            yield Serving(f"{scheme}://{name}:{bound}", host, bound)
        finally:
            await self._stop_processing()
            await runner.cleanup()

    async def _stop_processing(self) -> None:
        for task in self._processing:
            task.cancel()
        await asyncio.gather(*self._processing, return_exceptions=True)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        path = request.raw_path
        if request.method == "POST" and self._transaction_path.fullmatch(path):
            return await self._transaction(request, path, await request.read())
        self.ledger.add(Visit(self._wall(), request.method, path))
        enquiry = self._enquiry_path.fullmatch(path)
        if request.method == "GET" and enquiry is not None:
            return self._enquiry(enquiry["transactionUuid"])
        return self._not_found()

    async def _transaction(self, request: web.Request, path: str, body: bytes) -> web.StreamResponse:
        finding = inspect(self._profile, body)
        digest = hashlib.sha256(path.encode() + b"\0" + body).hexdigest()
        known = self._transactions.setdefault(finding.uuid, _Transaction(digest)) if finding.uuid else None
        number = self._record(finding, known, digest)
        fate = await self._fate(finding, known, digest, number)
        self.ledger.add(Reply(self._wall(), finding.uuid, number, fate.name))
        return await self._deliver(request, fate, finding.uuid)

    def _record(self, finding: Finding, known: _Transaction | None, digest: str) -> int:
        if known is not None:
            known.requests += 1
        number = 1 if known is None else known.requests
        asked = finding.asked
        if asked is None:
            self.ledger.add(Request(self._wall(), finding.uuid, number, digest))
        else:
            self.ledger.add(
                Request(
                    self._wall(),
                    finding.uuid,
                    number,
                    digest,
                    asked.serial,
                    asked.tapped_at,
                    asked.amount,
                    asked.type,
                )
            )
        return number

    async def _fate(self, finding: Finding, known: _Transaction | None, digest: str, number: int) -> Fate:
        if known is not None and known.digest != digest:
            return self._refusal(finding, INVALID_REPEAT_REQUEST, "differs from the first request of its UUID")
        if known is not None and known.busy:
            return in_progress()
        if finding.system_code is not None or known is None or finding.asked is None:
            code = finding.system_code or 0
            return self._refusal(finding, code, f"does not keep the contract: system code {code}")
        fates = self._choose(finding.asked)
        fate = fates[min(number, len(fates)) - 1]
        # Processing goes on when the client leaves, as TPS's does: the task belongs to the simulator.
        known.busy = True
        task = asyncio.create_task(self._process(known, finding.asked, fate))
        self._processing.add(task)
        task.add_done_callback(self._processing.discard)
        return await asyncio.shield(task)

    def _refusal(self, finding: Finding, code: int, what: str) -> Fate:
        self.ledger.add(Violation(self._wall(), finding.uuid, what))
        return system(code)

    async def _process(self, known: _Transaction, asked: Asked, fate: Fate) -> Fate:
        """Move the money, and give the fate that is delivered."""
        try:
            if known.settled is not None:
                return known.settled if fate.delivery is Delivery.ANSWER else fate
            if fate.delay_seconds:
                await asyncio.sleep(fate.delay_seconds)
            if fate.charges:
                amount = asked.amount if fate.amount is None else fate.amount
                charge = Charge(self._wall(), asked.uuid, asked.serial, asked.tapped_at, amount, asked.type)
                self.ledger.add(charge)
            if fate.settles:
                known.settled = replace(fate, name="repeated", delivery=Delivery.ANSWER)
            return fate
        finally:
            known.busy = False

    async def _deliver(self, request: web.Request, fate: Fate, uuid: str | None) -> web.StreamResponse:
        if fate.delivery is Delivery.HOLD:
            await asyncio.Event().wait()  # until the client leaves, which cancels this handler
        if fate.delivery is Delivery.CLOSE and request.transport is not None:
            request.transport.close()
        body, kind = replies.content(self._profile, fate, uuid)
        headers = replies.headers(fate, self._wall())
        return web.Response(status=fate.http, body=body, content_type=kind, headers=headers)

    def _enquiry(self, uuid: str) -> web.Response:
        known = self._transactions.get(uuid)
        if known is None or (known.settled is None and not known.busy):
            return self._not_found()
        fate = known.settled or in_progress()
        body = replies.encoded(replies.answer(self._profile, fate, uuid))
        return web.Response(
            status=fate.http, body=body, content_type=replies.JSON, headers=replies.headers(fate, self._wall())
        )

    def _not_found(self) -> web.Response:
        headers = {"Date": replies.http_date(self._wall())}
        return web.json_response({"message": "not found"}, status=404, headers=headers)


async def serve(
    host: str,
    port: int,
    *,
    choose: Choose = by_amount,
    ssl_context: ssl.SSLContext | None = None,
    ledger_file: Path | None = None,
    listening: Callable[[Serving], None] | None = None,
) -> None:
    """Serve until cancelled. ``ledger_file`` gets one flushed JSON line an entry; ``listening`` is told the port."""
    ledger = Ledger(ledger_file)
    try:
        async with Simulator(choose, ledger=ledger).serving(host, port, ssl_context) as serving:
            if listening is not None:
                listening(serving)
            await asyncio.Event().wait()
    finally:
        ledger.close()


def _pattern(template: str) -> re.Pattern[str]:
    """A path template as a pattern with one group a placeholder; a segment holds no slash."""
    parts = re.split(r"\{(\w+)\}", template)
    return re.compile("".join(f"(?P<{part}>[^/]+)" if odd % 2 else re.escape(part) for odd, part in enumerate(parts)))
