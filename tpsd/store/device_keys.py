"""Device keys in the journal: each sealed under the key-encryption key, shown by its check value alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final
from uuid import UUID

from tpsd.core.device_keys import SALT
from tpsd.domain.audit import AuditDraft
from tpsd.domain.device_key import DeviceKey, KeyRow, KeysKept, KeyToKeep, OpenedKey, TokenKeyUse
from tpsd.domain.notice import NoticeDraft
from tpsd.domain.time import Micros
from tpsd.errors import NotFoundError, RefusedError
from tpsd.store import audit as audits
from tpsd.store import cards
from tpsd.store.commits import insert_notices
from tpsd.store.connection import Connection
from tpsd.store.queries import Q
from tpsd.store.seal import Entropy, unwrap, wrap
from tpsd.store.writer import Writer

TOKEN_KEY: Final = "token_key"
"""Of the journal's meta: the version of the token key in force, which lists that come take along (cards.sql)."""


@dataclass(frozen=True, slots=True)
class _Ready:
    """A key as its row will have it."""

    key: DeviceKey
    digest: bytes
    check_value: str | None
    why: str
    sealed: bytes
    key_id: str | None = None


class SqlDeviceKeys:
    """``devicekeys.DeviceKeys`` on a journal's writer. ``digest`` is the journal's keyed one."""

    def __init__(
        self, writer: Writer, kek: bytes, journal_id: str, digest: Callable[[bytes], bytes], entropy: Entropy
    ) -> None:
        self._writer = writer
        self._kek = kek
        self._journal_id = journal_id
        self._digest = digest
        self._entropy = entropy

    async def keep(self, keys: Sequence[KeyToKeep], at: Micros, audit: AuditDraft | None = None) -> KeysKept:
        """See ``devicekeys.DeviceKeys``; sealing happens before the writer's turn."""
        ready = [self._ready(one) for one in keys]
        return await self._writer.write(lambda connection: _keep(connection, ready, at, audit))

    async def rows(self) -> list[KeyRow]:
        """See ``devicekeys.DeviceKeys``."""
        return await self._writer.read(
            lambda connection: [KeyRow(*row) for row in connection.execute(Q["device_key_rows"])]
        )

    async def uses(self) -> list[TokenKeyUse]:
        """See ``devicekeys.DeviceKeys``."""
        return await self._writer.read(
            lambda connection: [TokenKeyUse(*row) for row in connection.execute(Q["token_key_uses"])]
        )

    async def secret(self, number: int) -> bytes:
        """See ``devicekeys.DeviceKeys``."""
        row = await self._writer.read(
            lambda connection: connection.execute(Q["device_key_sealed"], (number,)).fetchone()
        )
        if row is None:
            raise _unknown(number)
        sealed, kind, terminal, digest = row
        if sealed is None:
            raise RefusedError(f"key {number} was retired, and nothing is left of it")
        return unwrap(self._kek, bytes(sealed), self._label(kind, terminal, bytes(digest)))

    async def retire(self, number: int, at: Micros, audit: AuditDraft) -> KeyRow:
        """See ``devicekeys.DeviceKeys``."""

        def work(connection: Connection) -> KeyRow:
            found = _row(connection, number)
            if found.retired_at is not None:
                raise RefusedError(f"key {number} was retired already")
            for (same,) in list(connection.execute(Q["device_key_same"], (number, found.type, found.check_value))):
                connection.execute(Q["device_key_retire"], (at, same))
                audits.write(connection, audit, _named(_row(connection, same)))
            return _row(connection, number)

        return await self._writer.write(work)

    async def put_in_force(self, token_key: str | None) -> None:
        """See ``devicekeys.DeviceKeys``."""
        if token_key == await self._writer.read(cards.token_key):
            return
        await self._writer.write(partial(_put_in_force, token_key=token_key))

    async def refuse(self, uuid: UUID, key: KeyRow, notice: NoticeDraft, at: Micros, now: Micros) -> bool:
        """See ``devicekeys.DeviceKeys``."""

        def work(connection: Connection) -> bool:
            if not (_made_with(connection, uuid, key) and _refused(connection, key, at)):
                return False
            insert_notices(connection, (notice,), None, None, now)
            return True

        return await self._writer.write(work)

    def _ready(self, one: KeyToKeep) -> _Ready:
        key, made = one.key, one.made
        parts = (key.type, key.format, key.algorithm, key.index, key.data, *((key.id,) if key.id else ()))
        digest = self._digest("\0".join(parts).encode())
        label = self._label(key.type, key.terminal, digest)
        if isinstance(made, OpenedKey):
            sealed = wrap(self._kek, made.secret, label, self._entropy)
            return _Ready(key, digest, made.check_value, "", sealed, made.key_id)
        return _Ready(key, digest, None, made.why, wrap(self._kek, key.data.encode(), label, self._entropy))

    def _label(self, kind: str, terminal: str, digest: bytes) -> str:
        return f"device key {kind} {terminal} {digest.hex()} of journal {self._journal_id}"


def _keep(connection: Connection, keys: Sequence[_Ready], at: Micros, audit: AuditDraft | None) -> KeysKept:
    new = known = retired = 0
    for one in keys:
        key = one.key
        name = (key.type, key.terminal, one.digest)
        found = connection.execute(Q["device_key_known"], name).fetchone()
        if found is None and connection.execute(Q["device_key_retired"], (key.type, one.check_value)).get is not None:
            known, retired = known + 1, retired + 1
            continue
        if found is None and _insert(connection, one, at):
            new += 1
            if audit is not None:
                audits.write(connection, audit, _named(_row(connection, connection.last_insert_rowid())))
            continue
        known += 1
        # Another daemon may have kept it meanwhile.
        number, check_value, retired_at = found or connection.execute(Q["device_key_known"], name).get
        retired += retired_at is not None
        if retired_at is None and check_value is None and one.check_value is not None:
            connection.execute(Q["device_key_opened"], (one.check_value, one.sealed, one.key_id, number))
    return KeysKept(new, known, retired)


def _insert(connection: Connection, one: _Ready, at: Micros) -> bool:
    key = one.key
    row = (key.type, key.index, key.format, key.algorithm, key.terminal, one.digest)
    connection.execute(Q["device_key_insert"], (*row, one.check_value, one.why, one.sealed, at, one.key_id))
    return connection.changes() == 1


def _made_with(connection: Connection, uuid: UUID, key: KeyRow) -> bool:
    if key.type == SALT:
        return bool(connection.execute(Q["device_key_of_request"], (str(uuid),)).get == key.check_value)
    return connection.execute(Q["tapped_since_device_key"], (str(uuid), key.id)).get is not None


def _refused(connection: Connection, key: KeyRow, at: Micros) -> bool:
    """A SALT is one for all, a TTK its terminal's; whether it had not been refused before."""
    if key.type == SALT:
        connection.execute(Q["device_key_refuse"], (at, SALT, key.check_value))
    else:
        connection.execute(Q["device_key_refuse_one"], (at, key.id))
    return connection.changes() > 0


def _put_in_force(connection: Connection, token_key: str | None) -> None:
    if token_key is None:
        connection.execute(Q["end_meta"], (TOKEN_KEY,))
    else:
        connection.execute(Q["set_meta"], (TOKEN_KEY, token_key))


def _row(connection: Connection, number: int) -> KeyRow:
    row = connection.execute(Q["device_key_row"], (number,)).fetchone()
    if row is None:
        raise _unknown(number)
    return KeyRow(*row)


def _named(row: KeyRow) -> str:
    """For the audit: no byte of the key."""
    return f"{row.type} {row.check_value or row.format} (key {row.id})"


def _unknown(number: int) -> NotFoundError:
    return NotFoundError(f"no key {number}; 'tpsd keys list' shows what there is")
