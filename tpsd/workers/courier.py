"""The courier: fetches each terminal's device keys from TPS, opens those that can be opened, has all of them sealed,
and puts those in force that ``core.key_choice`` takes.

By real time: keys change a few times a year, and nothing else waits for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog

from tpsd.core.candidate import CardKeys
from tpsd.core.device_keys import SALT, check_value, prepared
from tpsd.core.key_choice import REFUSALS, Choice, UseFed, choose, oldest_first, refused
from tpsd.core.trouble import Trouble
from tpsd.devicekeys import DeviceKeys
from tpsd.domain.audit import AuditDraft
from tpsd.domain.device_key import DeviceKey, KeyRow, KeysKept
from tpsd.emv.tapdata import Ttk
from tpsd.errors import JournalUnavailableError, RefusedError, SealError
from tpsd.ports import Clock

POLL_SECONDS: Final = 3600.0
"""A new key is announced days before it is used."""

AGAIN_SECONDS: Final = 300.0
"""After a terminal that got no answer."""

assert AGAIN_SECONDS < POLL_SECONDS

log = structlog.get_logger("tpsd.courier")

Fetch = Callable[[], Awaitable[Mapping[str, list[DeviceKey] | str]]]
"""Every known terminal (``TYPE:SERIAL``) with its keys, or with why it got none."""


@dataclass(frozen=True, slots=True)
class Filed:
    """The keys that files hold: ``cards`` as taps are taken under, ``exchange`` opens keys of format AES.

    ``checks``: check values of ``cards`` by type. ``use``: when keys from TPS are used by themselves.
    """

    cards: CardKeys
    exchange: bytes | None
    checks: Mapping[str, str]
    use: UseFed


class Courier:
    """One daemon's. ``fetch`` None: keys come by hand, or with a registration.

    ``in_force``: the check values of the keys that are used now, by type; TTKs of single terminals apart. ``apply`` is
    told the keys that taps are taken under from now on, ``on_notice`` of a mail to write.
    """

    def __init__(
        self,
        keys: DeviceKeys,
        filed: Filed,
        clock: Clock,
        fetch: Fetch | None = None,
        apply: Callable[[CardKeys], None] = lambda _keys: None,
        on_notice: Callable[[], None] = lambda: None,
    ) -> None:
        self._keys = keys
        self._filed = filed
        self._clock = clock
        self._fetch = fetch
        self._wake = asyncio.Event()
        self._troubles: dict[str, Trouble] = {}
        self._apply = apply
        self._on_notice = on_notice
        self._refused: set[tuple[str, UUID, str]] = set()  # type of key, transaction, terminal
        self._turn = asyncio.Lock()
        self._choice = Choice(None, (), file_honoured=False, ttks={})
        self.in_force: Mapping[str, str] = filed.checks

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._wake.clear()
            whole = await self._heed_refusals() and await self.fetch_all()
            idle = POLL_SECONDS if whole else AGAIN_SECONDS
            try:
                async with asyncio.timeout(None if whole and self._fetch is None else idle):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def terminal_is_known(self) -> None:
        """A validator has said who it is."""
        self._wake.set()

    def answered(self, cause: str, uuid: UUID, terminal: str) -> None:
        """TPS said something of a transaction: of a key, perhaps, that it refuses."""
        if (kind := REFUSALS.get(cause)) is not None:
            self._refused.add((kind, uuid, terminal))
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
        ready = [prepared(key, self._filed.exchange) for key in oldest_first(keys)]
        kept = await self._keys.keep(ready, self._clock.wall(), audit)
        await self.load()
        if kept.new:
            opened = [row for row in await self._keys.rows() if row.check_value is not None]
            others = [row for row in opened if row.retired_at is None and not self.is_in_force(row)]
            log.info("device_keys_kept", new=kept.new, not_in_force=[f"{row.type} {row.check_value}" for row in others])
        return kept

    async def retire(self, number: int, audit: AuditDraft) -> KeyRow:
        """Destroy a key, and use and honour it no more. Raises NotFoundError, RefusedError."""
        retired = await self._keys.retire(number, audit.at, audit)
        await self.load()
        return retired

    async def begin(self) -> None:
        """At a start: keep the file's token key too, so that cards stay known by it when the file has another one."""
        salt = self._filed.cards.salt
        if salt is not None:
            own = DeviceKey(SALT, "PLAIN", "", salt.hex())
            await self._keys.keep([prepared(own, None)], self._clock.wall())
        await self.load()

    async def load(self) -> None:
        """Put in force what is to be used of what is kept, and honour the token keys that stand beside it."""
        async with self._turn:  # of two at once the later one has the newer rows
            await self._load()

    async def _load(self) -> None:
        filed, rows = self._filed, await self._keys.rows()
        choice = choose(rows, filed.use, filed.checks)
        while choice.salt is not None and (salt := await self._opened(choice.salt)) is None:
            rows.remove(choice.salt)
            choice = choose(rows, filed.use, filed.checks)
        if choice.salt is None:
            salt = filed.cards.salt
        honoured = [filed.cards.salt] if choice.file_honoured else []
        honoured += [await self._opened(row) for row in choice.honoured]
        ttks = {}
        for terminal, row in choice.ttks.items():
            if row.key_id is not None and (key := await self._opened(row)) is not None:
                ttks[terminal] = Ttk(row.key_id, key)
        cards = CardKeys(
            salt,
            filed.cards.ttk,
            tuple(one for one in honoured if one is not None),
            ttks,
        )
        now = {**filed.checks, **_checks(salt)}
        await self._keys.put_in_force(now.get(SALT))
        self._choice = choice
        before, self.in_force = self.in_force, now
        if before != self.in_force:
            log.warning("token_key_changed", before=before.get(SALT), in_force=self.in_force.get(SALT))
        self._apply(cards)

    def is_in_force(self, row: KeyRow) -> bool:
        """Whether a key is used: for all, or the TTK of its terminal."""
        if row.retired_at is not None or row.check_value is None:
            return False
        own = self._choice.ttks.get(row.terminal)
        if row.type != SALT and own is not None:
            return row.check_value == own.check_value
        return row.check_value == self.in_force.get(row.type)

    def is_honoured(self, row: KeyRow) -> bool:
        """Whether a card may still be known by this token key, which is not the one in force."""
        versions = {one.check_value for one in self._choice.honoured}
        if self._choice.file_honoured:
            versions.add(self._filed.checks[SALT])
        return row.type == SALT and row.retired_at is None and row.check_value in versions

    async def _heed_refusals(self) -> bool:
        """Whether every refusal was looked at: one of what was made with a key of TPS's ends that key's use."""
        while self._refused:
            refusal = next(iter(self._refused))
            try:
                await self._heed(*refusal)
            except JournalUnavailableError as exc:
                log.error("refusal_not_noted", key=refusal[0], uuid=str(refusal[1]), error=str(exc))
                return False
            self._refused.discard(refusal)
        return True

    async def _heed(self, kind: str, uuid: UUID, terminal: str) -> None:
        used = self._choice.salt if kind == SALT else self._choice.ttks.get(terminal)
        if used is None:
            return
        if await self._keys.refuse(uuid, used, refused(used), self._clock.wall(), self._clock.schedule()):
            log.error("device_key_refused", type=kind, check_value=used.check_value, uuid=str(uuid))
            self._on_notice()
        await self.load()  # also where it was noted before, and the journal could not be read then

    async def _opened(self, row: KeyRow) -> bytes | None:
        try:
            return await self._keys.secret(row.id)
        except (RefusedError, SealError) as exc:  # retired at this moment, or its row is damaged
            log.error("device_key_not_used", key=row.id, error=str(exc))
            return None


def _checks(salt: bytes | None) -> dict[str, str]:
    return {} if salt is None else {SALT: check_value(SALT, salt)}
