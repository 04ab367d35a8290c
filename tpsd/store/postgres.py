"""The journal on PostgreSQL: a database that holds one journal, for any number of daemons (design 6)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from tpsd.domain.audit import AuditDraft
from tpsd.domain.authorisation import AttemptReason
from tpsd.domain.time import Micros
from tpsd.domain.upkeep import BackedUp, Finding
from tpsd.errors import JournalError, JournalUnavailableError, RefusedError
from tpsd.store import checking, commits
from tpsd.store.commits import ClaimedRow
from tpsd.store.connection import Connection
from tpsd.store.entering import POSTGRES, WHOLE_SECONDS, connect, is_small, look
from tpsd.store.faults import Faults
from tpsd.store.group import Together, Work
from tpsd.store.hearing import PostgresHints
from tpsd.store.housekeeping import Keep
from tpsd.store.journal import Identity, Secrets, SqlJournal
from tpsd.store.keyrows import KeyRows, numbers_of
from tpsd.store.leases import SqlLeases
from tpsd.store.queries import F
from tpsd.store.retiring import Retiring
from tpsd.store.seal import Entropy, Pool
from tpsd.store.session import OWN, Database, Session
from tpsd.store.settling import Settling, settle_together
from tpsd.store.viewing import Reading
from tpsd.store.writer import ThreadedWriter, Writer

T = TypeVar("T")


class PostgresJournal(SqlJournal):
    """``ports.Journal`` in one PostgreSQL database."""

    KEYS: ClassVar[str] = "give the kek_file it was made with"

    TELLS_ELSEWHERE: ClassVar[bool] = False
    """Whether a tap may have been told what is not here yet."""

    _shelf: KeyRows
    _leases: SqlLeases

    @classmethod
    async def open(
        cls,
        database: Database,
        identity: Identity,
        kek: bytes,
        keep: Keep | None = None,
        entropy: Entropy | None = None,
        make_writer: Callable[[Callable[[], Session], Faults], ThreadedWriter] = ThreadedWriter,
    ) -> Self:
        """Open the journal of a database, or make it there. Raises JournalError."""
        entropy = entropy or Pool()
        writer = make_writer(partial(connect, database), POSTGRES)
        writer.start()
        shelf = KeyRows(partial(Session, database))
        try:
            examined = await writer.read(is_small)
            upkeep = PostgresUpkeep(writer, database, examined=examined)
            journal = cls(writer, keep or Keep(), entropy, upkeep, database.daemon)
            journal._shelf = shelf
            journal.hints = PostgresHints(database)
            await journal._unlock(identity, Secrets(kek, shelf, entropy))
        except BaseException:
            await writer.close()
            shelf.close()
            raise
        return journal

    def _with_others(self, alone: Work[bool], settling: Settling) -> Work[bool]:
        """See ``SqlJournal``."""
        return Together(alone, settle_together, settling) if settling.is_plain else alone

    async def _unlock(self, identity: Identity, keys: Secrets) -> None:
        """As in any journal, and then see who else is there."""
        self.leases = self._leases = SqlLeases(self._writer, self._daemon, self._stamp)
        await super()._unlock(identity, keys)
        self._leases.asked = self.asked
        if not self.TELLS_ELSEWHERE:
            await self._leases.confirm_whatever_comes()

    async def _is_to_preside(self) -> bool:
        """See ``SqlJournal``."""
        return await self._leases.preside()

    def _claim_together(self, connection: Connection, now: Micros, limit: int) -> list[ClaimedRow]:
        """See ``SqlJournal``."""
        rows = connection.execute(F["claim_together"], (now, limit))
        return [commits.begun(row, AttemptReason.LADDER, now) for row in rows]

    def _alone_with(self, connection: Connection, digest: bytes, token: str | None) -> None:
        """See ``SqlJournal``. The tap's lock before the card's: they are never wanted the other way round."""
        names = [digest.hex()] if token is None else [digest.hex(), token]
        connection.execute(F["lock_names"], (json.dumps(names),))

    def _others_here(self, connection: Connection) -> bool:
        """See ``SqlJournal``."""
        return connection.execute(F["others_here"]).get is not None

    async def close(self) -> None:
        """Finish what was submitted and let go of the database."""
        try:
            await super().close()
        finally:
            self._shelf.close()


class PostgresUpkeep(Retiring):
    """``upkeep.Upkeep`` on PostgreSQL. ``examined``: everything was looked at when it was opened."""

    def __init__(self, writer: Writer, database: Database, *, examined: bool) -> None:
        super().__init__(writer)
        self._database = database
        self._examined = examined

    def is_unexamined(self) -> bool:
        """Whether the journal was too large to be looked through when it was opened."""
        return not self._examined

    async def check(self) -> list[Finding]:
        """Everything that is wrong with the journal as of now, on a connection of its own, in one snapshot.

        What PostgreSQL does not let happen (a row that refers to none, one that a constraint forbids) is not looked
        for. Whether its files are whole is its own to say: checksums, ``pg_amcheck``.
        """

        def examined() -> list[Finding]:
            session = Session(self._database, {"default_transaction_read_only": "on"})
            session.seconds = WHOLE_SECONDS
            try:
                session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                return checking.contradictions(session, numbers_of(session))
            finally:
                session.close()

        try:
            return await asyncio.to_thread(examined)
        except OWN as exc:
            raise JournalUnavailableError(f"{self._database} cannot be checked ({POSTGRES.words(exc)})") from exc

    async def backup(self, target: Path, by: AuditDraft) -> BackedUp:
        """Refused: the server's own tools copy a database while it is at work, and bring it back."""
        del by
        raise RefusedError(f"{target}: a journal on PostgreSQL is copied with pg_dump or pg_basebackup")


class PostgresView(Reading):
    """A journal on PostgreSQL looked at: nothing is written. A daemon may be at work. Raises JournalError."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._one = asyncio.Lock()
        self._session: Session | None = None
        super().__init__()

    async def read(self, work: Callable[[Any], T]) -> T:
        """Run ``work`` on the connection, away from the event loop."""

        def connected() -> T:
            if self._session is None:
                self._session = look(self._database)
            try:
                return work(self._session)
            except OWN as exc:
                raise JournalError(f"{self._database} cannot be read ({POSTGRES.words(exc)})") from exc

        async with self._one:
            return await asyncio.to_thread(connected)

    async def check(self) -> list[Finding]:
        """Everything that is wrong with it."""

        def examined(session: Session) -> list[Finding]:
            session.seconds = WHOLE_SECONDS
            return checking.contradictions(session, numbers_of(session))

        return await self.read(examined)

    async def close(self) -> None:
        """Let go of the connection."""
        if self._session is not None:
            await asyncio.to_thread(self._session.close)
