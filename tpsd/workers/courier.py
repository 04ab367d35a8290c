"""The courier: fetches each terminal's device keys from TPS, opens those that can be opened, has all of them sealed.

By real time: keys change a few times a year, and nothing else waits for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import structlog

from tpsd.core.device_keys import SALT, prepared
from tpsd.core.trouble import Trouble
from tpsd.devicekeys import DeviceKeys
from tpsd.domain.audit import AuditDraft
from tpsd.domain.device_key import DeviceKey, KeyRow, KeysKept
from tpsd.errors import JournalUnavailableError, RefusedError, SealError
from tpsd.ports import Clock

HONOURED_MAX: Final = 3
"""SALTs beside the one in force: the old, the coming, and one that nobody retired; each costs a tap a look-up."""

POLL_SECONDS: Final = 3600.0
"""A new key is announced days before it is used."""

AGAIN_SECONDS: Final = 300.0
"""After a terminal that got no answer."""

assert AGAIN_SECONDS < POLL_SECONDS

log = structlog.get_logger("tpsd.courier")

Fetch = Callable[[], Awaitable[Mapping[str, list[DeviceKey] | str]]]
"""Every known terminal (``TYPE:SERIAL``) with its keys, or with why it got none."""


class Courier:
    """One daemon's. ``exchange_key`` opens keys of format AES; ``fetch`` None: keys come by hand alone.

    ``in_force``: the check values of the keys that are used now, by type. ``honour`` is told the other SALTs by which a
    card may be known: those that stand.
    """

    def __init__(
        self,
        keys: DeviceKeys,
        exchange_key: bytes | None,
        clock: Clock,
        in_force: Mapping[str, str],
        fetch: Fetch | None = None,
        honour: Callable[[tuple[bytes, ...]], None] = lambda _salts: None,
    ) -> None:
        self._keys = keys
        self._exchange_key = exchange_key
        self._clock = clock
        self._fetch = fetch
        self._wake = asyncio.Event()
        self._troubles: dict[str, Trouble] = {}
        self._honour = honour
        self.in_force = in_force
        self.honoured: frozenset[str] = frozenset()  # check values of the other SALTs that count

    async def run(self) -> None:
        """Until cancelled; at once where keys come by hand alone."""
        while self._fetch is not None:
            self._wake.clear()
            whole = await self.fetch_all()
            try:
                async with asyncio.timeout(POLL_SECONDS if whole else AGAIN_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def terminal_is_known(self) -> None:
        """A validator has said who it is."""
        self._wake.set()

    async def fetch_all(self) -> bool:
        """Ask TPS for every terminal's keys, and keep them; whether all came."""
        if self._fetch is None:
            return True
        whole = True
        for terminal, came in (await self._fetch()).items():
            trouble = self._troubles.setdefault(terminal, Trouble())
            if isinstance(came, str):
                whole = False
                if (times := trouble.happened(self._clock.monotonic(), came)) is not None:
                    log.warning("device_keys_not_fetched", terminal=terminal, cause=came, times=times)
                continue
            trouble.over(self._clock.monotonic())
            try:
                await self.receive(came)
            except JournalUnavailableError as exc:
                whole = False
                log.error("device_keys_not_kept", terminal=terminal, error=str(exc))
        return whole

    async def receive(self, keys: Sequence[DeviceKey], audit: AuditDraft | None = None) -> KeysKept:
        """Keep them; ``audit`` where a person gave them."""
        ready = [prepared(key, self._exchange_key) for key in keys]
        kept = await self._keys.keep(ready, self._clock.wall(), audit)
        await self.load()
        if kept.new:
            opened = [row for row in await self._keys.rows() if row.check_value is not None and self.is_other(row)]
            log.info("device_keys_kept", new=kept.new, not_in_force=[f"{row.type} {row.check_value}" for row in opened])
        return kept

    async def retire(self, number: int, audit: AuditDraft) -> KeyRow:
        """Destroy a key, and honour it no more. Raises NotFoundError, RefusedError."""
        retired = await self._keys.retire(number, audit.at, audit)
        await self.load()
        return retired

    async def load(self) -> None:
        """Honour the SALTs that stand beside the one in force, the newest first."""
        others: dict[str, int] = {}
        for row in await self._keys.rows():
            if row.type == SALT and row.check_value is not None and self.is_other(row) and len(others) < HONOURED_MAX:
                others.setdefault(row.check_value, row.id)
        self.honoured = frozenset(others) if SALT in self.in_force else frozenset()
        salts = [await self._opened(number) for number in others.values()]
        self._honour(tuple(salt for salt in salts if salt is not None))
        await self._keys.put_in_force(self.in_force.get(SALT))

    async def _opened(self, number: int) -> bytes | None:
        try:
            return await self._keys.secret(number)
        except (RefusedError, SealError) as exc:  # retired at this moment, or its row is damaged
            log.error("device_key_not_honoured", key=number, error=str(exc))
            return None

    def is_other(self, row: KeyRow) -> bool:
        """Whether a key that stands is not the one in force of its type."""
        return row.retired_at is None and row.check_value != self.in_force.get(row.type)
