"""An SQLite journal's upkeep while it is at work: checked and copied in slices, so that no tap waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from pathlib import Path

import apsw

from tpsd.domain.audit import AuditDraft
from tpsd.domain.upkeep import DAMAGE, BackedUp, Finding
from tpsd.errors import JournalError
from tpsd.store import audit, checking
from tpsd.store.copying import Copy
from tpsd.store.opening import QUICK_CHECK_BYTES_MAX, checkpoint_when_long
from tpsd.store.queries import Q
from tpsd.store.retiring import Retiring
from tpsd.store.writer import Writer


class Upkeep(Retiring):
    """``upkeep.Upkeep`` on SQLite. ``keys`` gives the epochs whose key file stands.

    ``examined_bytes``: how large a file was looked through when it was opened.
    """

    def __init__(
        self,
        writer: Writer,
        path: Path,
        keys: Callable[[], Collection[int]],
        examined_bytes: int = QUICK_CHECK_BYTES_MAX,
    ) -> None:
        super().__init__(writer)
        self._path = path
        self._keys = keys
        self._examined_bytes = examined_bytes
        self._one = asyncio.Lock()  # a check stands on the file as it is, a copy on the connection: one at a time

    def is_unexamined(self) -> bool:
        """Whether the file was too large to be looked through when it was opened."""
        return self._path.exists() and self._path.stat().st_size > self._examined_bytes

    async def check(self) -> list[Finding]:
        """Everything that is wrong with the journal as of now; it goes on working meanwhile.

        Where the file is damaged nothing more is written to it, as if a write had met the damage.
        """
        async with self._one:
            try:
                path = await self._writer.read(self._stand_still)
                if path is None:  # on a simulated disk: no second connection sees it
                    findings = await self._writer.read(lambda connection: checking.examine(connection, self._keys()))
                else:
                    findings = await self._examine(path)
            except apsw.Error as exc:
                raise JournalError(f"{self._path} cannot be checked ({type(exc).__name__}: {exc})") from exc
            finally:
                with suppress(JournalError):  # it closed meanwhile
                    await self._writer.read(lambda connection: connection.set_wal_hook(checkpoint_when_long))
        damage = next((finding for finding in findings if finding.rule == DAMAGE), None)
        if damage is not None:
            with suppress(JournalError):
                await self._writer.write(partial(_condemn, damage=damage))
        return findings

    async def backup(self, target: Path, by: AuditDraft) -> BackedUp:
        """A marked copy of the journal at ``target``, mode 0600. Raises RefusedError; JournalError when it fails."""
        async with self._one:
            copy = await asyncio.to_thread(Copy, target)
            whole = False
            try:
                await self._writer.write(lambda connection: audit.write(connection, by, str(target)))
                await self._writer.read(copy.begin)
                while not await self._writer.read(lambda connection: copy.step()):
                    pass
                unfinished = await self._writer.read(_unfinished)
                size = await asyncio.to_thread(copy.finish)
                whole = True
            except (apsw.Error, OSError) as exc:
                raise JournalError(f"{target} cannot be written ({exc}): nothing is left of it") from exc
            finally:
                await self._release(copy, whole)
        return BackedUp(str(target), size, unfinished)

    async def _examine(self, path: Path) -> list[Finding]:
        connection = await asyncio.to_thread(checking.snapshot, path)

        def examined() -> list[Finding]:
            try:
                return checking.examine(connection, self._keys())
            finally:
                connection.close()

        try:
            return await asyncio.to_thread(examined)
        except asyncio.CancelledError:
            connection.interrupt()  # nobody waits for it, and leaving the process would
            raise

    async def _release(self, copy: Copy, whole: bool) -> None:
        with suppress(JournalError):  # the journal closed meanwhile, and the copy with it
            await self._writer.read(lambda connection: copy.abandon(whole=whole))
            return
        copy.abandon(whole=whole)

    def _stand_still(self, connection: apsw.Connection) -> Path | None:
        """Bring the file up to date and let nothing but the write-ahead log be written from now on."""
        frames, moved = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        connection.set_wal_hook(None)
        return self._path if frames == moved and self._path.exists() else None


def _unfinished(connection: apsw.Connection) -> dict[str, int]:
    return dict(connection.execute(Q["count_unfinished"]))


def _condemn(connection: apsw.Connection, damage: Finding) -> None:
    raise apsw.CorruptError(damage.examples[0])
