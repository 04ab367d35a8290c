"""TPS within this process: a teller where ``client`` and ``afc`` have sockets. For simulated worlds.

An answer is made of the same bytes and read by the same code as over HTTP; below that there is no connection that
could break. Who wants one that does puts it around this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import UUID

from tpsd.domain.outcome import Answer, Exchange, NoAnswer
from tpsd.domain.time import Micros
from tpsd.sfey import replies
from tpsd.sfey.fates import Delivery
from tpsd.sfey.messages import enquiry, read_answer, read_date
from tpsd.sfey.teller import AFC_BASE_PATH, Served, Teller


class DirectLine:
    """``ports.Tps``, and by ``ask`` an AFC API. ``timeout_seconds`` bounds one exchange; ``on_date`` hears the time."""

    def __init__(
        self,
        teller: Teller,
        company_id: int,
        *,
        timeout_seconds: float = 10.0,
        on_date: Callable[[Micros], None] = lambda _date: None,
    ) -> None:
        self._teller = teller
        self._company_id = company_id
        self._timeout = timeout_seconds
        self._on_date = on_date

    async def post(self, credential: str, path: str, body: bytes) -> Exchange:
        """Send ``body`` to ``path``; silence until the time-out is a value. Every credential is good here."""
        del credential
        return await self._exchange("POST", path, body)

    async def knock(self, credential: str) -> Exchange:
        """One harmless GET."""
        del credential
        return await self._exchange("GET", self._teller.profile.probe_path)

    async def ask(self, uuid: UUID) -> Exchange:
        """What became of a transaction."""
        return await self._exchange("GET", AFC_BASE_PATH + enquiry(self._teller.profile, self._company_id, uuid))

    async def _exchange(self, method: str, path: str, body: bytes = b"") -> Exchange:
        try:
            async with asyncio.timeout(self._timeout):
                served = await self._teller.serve(method, path, body)
                if served is not None and served.fate.delivery is Delivery.HOLD:
                    await asyncio.Event().wait()
        except TimeoutError:
            return NoAnswer("timeout")
        if served is not None and served.fate.delivery is Delivery.CLOSE:
            return NoAnswer("closed")
        return self._heard(served)

    def _heard(self, served: Served | None) -> Answer:
        at = self._teller.wall()
        if served is None:
            http, headers, content = 404, {"Date": replies.http_date(at)}, replies.NOT_FOUND
        else:
            headers = replies.headers(served.fate, at)
            http, content = served.fate.http, replies.content(self._teller.profile, served.fate, served.uuid)[0] or b""
        date = read_date(headers)
        if date is not None:
            self._on_date(date)
        return read_answer(http, headers, content, self._teller.profile)
