"""The other end of an enquiry: an AFC API on loopback that answers by a script and writes down who asked.

It stands beside the simulated TPS so that both can tell different stories: what a send was answered, and what TPS
says of it later.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from aiohttp import web

PATH = "/afc-api/v3"

Reply = tuple[int, dict[str, object]]

APPROVED: Reply = (200, {"transactionResultData": {"approved": True, "actionCode": "000"}})
DECLINED: Reply = (200, {"transactionResultData": {"approved": False, "actionCode": "116"}})
NOT_FOUND: Reply = (404, {"message": "not found"})
IN_PROGRESS: Reply = (409, {"systemCode": 303})
UNAVAILABLE: Reply = (503, {})


@dataclass(slots=True)
class Enquiry:
    """One request as it came."""

    path: str
    uuid: str
    authorization: str | None


@dataclass(slots=True)
class Afc:
    """``script`` gives the answer to the nth enquiry (from 1) about a UUID; ``url`` is the client's base URL."""

    script: Callable[[str, int], Reply]
    url: str = ""
    asked: list[Enquiry] = field(default_factory=list)

    def times(self, uuid: str | None) -> int:
        """How often it was asked about one UUID."""
        return sum(enquiry.uuid == uuid for enquiry in self.asked)

    async def answer(self, request: web.Request) -> web.Response:
        """One enquiry."""
        uuid = request.match_info["uuid"]
        self.asked.append(Enquiry(request.path, uuid, request.headers.get("Authorization")))
        status, body = self.script(uuid, self.times(uuid))
        return web.json_response(body, status=status)


@contextlib.asynccontextmanager
async def listening(script: Callable[[str, int], Reply]) -> AsyncIterator[Afc]:
    """An AFC API until the block ends; any other path than an enquiry's is 404 and asked of nobody."""
    afc = Afc(script)
    application = web.Application()
    application.router.add_get(f"{PATH}/company/1001/transaction/{{uuid}}", afc.answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        afc.url = f"http://127.0.0.1:{runner.addresses[0][1]}{PATH}"
        yield afc
    finally:
        await runner.cleanup()
