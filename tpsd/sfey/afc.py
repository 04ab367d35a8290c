"""The AFC API: TPS's other door, where a transaction can be asked for by its UUID (sfey.md 1 and 2)."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from uuid import UUID

from tpsd.domain.outcome import Exchange
from tpsd.sfey.client import TpsClient
from tpsd.sfey.messages import enquiry
from tpsd.sfey.wire import DEVICE_V1, Profile

CREDENTIAL = "afc"
CONCURRENCY = 4  # exchanges: enquiries are few, and TPS's capacity belongs to the taps


class AfcClient:
    """Enquiries under a bearer token, a client certificate, or both: which of them is not public (sfey.md 1).

    The arguments are those of ``TpsClient``. To be closed by ``close()``.
    """

    def __init__(
        self,
        base_url: str,
        context: ssl.SSLContext | None,
        company_id: int,
        *,
        token: str | None,
        monotonic: Callable[[], float],
        timeout_seconds: float = 10.0,
        profile: Profile = DEVICE_V1,
        dated: Callable[[], bool] = lambda: True,
    ) -> None:
        self._company_id = company_id
        self._profile = profile
        self._line = TpsClient(
            base_url,
            {CREDENTIAL: context},
            monotonic=monotonic,
            timeout_seconds=timeout_seconds,
            concurrency=CONCURRENCY,
            profile=profile,
            token=token,
            dated=dated,
        )

    async def ask(self, uuid: UUID) -> Exchange:
        """What became of a transaction; network trouble is a value."""
        return await self._line.get(CREDENTIAL, enquiry(self._profile, self._company_id, uuid))

    async def renew(self, context: ssl.SSLContext | None) -> None:
        """As ``TpsClient.renew``."""
        await self._line.renew(CREDENTIAL, context)

    async def close(self) -> None:
        """Close every connection."""
        await self._line.close()
