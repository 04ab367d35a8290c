"""The journal's upkeep while it is at work: checked, pruned and copied in slices, so that no tap waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from pathlib import Path

import apsw

from tpsd.domain.audit import AuditDraft
from tpsd.domain.time import DAY, Micros
from tpsd.domain.upkeep import DAMAGE, BackedUp, Finding, Pruned
from tpsd.errors import JournalError, RefusedError
from tpsd.store import audit, checking, pruning
from tpsd.store.commits import Q
from tpsd.store.copying import Copy
from tpsd.store.opening import QUICK_CHECK_BYTES_MAX, checkpoint_when_long
from tpsd.store.pruning import Bounds, Step, total
from tpsd.store.writer import Writer

SLICES_A_ROUND = 100  # of 50 taps a minute: above the 50 taps/s one device is built for
YOUNGEST_US = 1 * DAY  # what a person may prune: what failed today is still being looked at


class Upkeep:
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
        self._writer = writer
        self._path = path
        self._keys = keys
        self._examined_bytes = examined_bytes
        self._after = 0
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

    async def prune(self, older_than_us: int, now: Micros, by: AuditDraft | None, *, dry: bool = False) -> Pruned:
        """Remove what was final ``older_than_us`` before ``now``, whatever the configuration keeps; audited.

        Raises RefusedError for less than a day.
        """
        if older_than_us < YOUNGEST_US:
            raise RefusedError("what was final within the last day stays: give a day or more")
        before = Micros(now - older_than_us)
        limits = await self._writer.read(lambda connection: pruning.bounds(connection, before, 0, None))
        if by is not None and not dry:
            subject = f"{older_than_us // DAY} days"
            await self._writer.write(lambda connection: audit.write(connection, by, subject))
        done, after = Pruned(before), 0
        while True:
            step = await self._slice(limits, after, dry=dry)
            done, after = total(done, step.pruned), step.after
            if step.done:
                break
        return done if dry else total(done, await self._mails(limits))

    async def retire(self, now: Micros, ran: int, keep_us: int) -> Pruned:
        """A round of what the house does by itself: rows final ``keep_us`` ago in both clocks, then identities."""
        before = Micros(now - keep_us)
        limits = await self._writer.read(lambda connection: pruning.bounds(connection, before, ran, keep_us))
        done = Pruned(before)
        for _ in range(SLICES_A_ROUND):
            step = await self._slice(limits, self._after)
            done, self._after = total(done, step.pruned), step.after
            if step.done:
                self._after = 0
                break
        done = total(done, await self._writer.write(partial(pruning.prune_identities, limits=limits)))
        return total(done, await self._writer.write(partial(pruning.prune_mails, limits=limits)))

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

    async def _slice(self, limits: Bounds, after: int, *, dry: bool = False) -> Step:
        work = partial(pruning.prune_taps, limits=limits, after=after, dry=dry)
        return await (self._writer.read(work) if dry else self._writer.write(work))

    async def _mails(self, limits: Bounds) -> Pruned:
        done = Pruned(limits.before)
        while True:
            some = await self._writer.write(partial(pruning.prune_mails, limits=limits))
            done = total(done, some)
            if some.mails < pruning.MAIL_SLICE:
                return done

    def _stand_still(self, connection: apsw.Connection) -> Path | None:
        """Bring the file up to date and let nothing but the write-ahead log be written from now on."""
        frames, moved = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        connection.set_wal_hook(None)
        return self._path if frames == moved and self._path.exists() else None


def _unfinished(connection: apsw.Connection) -> dict[str, int]:
    return dict(connection.execute(Q["count_unfinished"]))


def _condemn(connection: apsw.Connection, damage: Finding) -> None:
    raise apsw.CorruptError(damage.examples[0])
