"""A connection to PostgreSQL as the store's work wants it: asyncpg on a loop of its own, a statement at a time.

It belongs to the thread that uses it. No event loop may be running there: the writer's thread has none.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs, urlsplit

import asyncpg

from tpsd.errors import JournalError
from tpsd.store.connection import Bindings
from tpsd.store.dialect import Worded, postgres, words_of

COMMAND_SECONDS = 10.0  # for a statement: ten times what the slowest page of a busy cluster takes
CONNECT_SECONDS = 10.0  # a cluster that fails over has an address again within that, or the service manager tries

OWN: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
"""All that can go wrong between here and PostgreSQL."""

_GONE: Final = "TP001"
"""What ``here_still`` of the schema raises."""

T = TypeVar("T")
Row = tuple[Any, ...]

_DIALECT: Final = postgres()
_SETTINGS: Final = {
    "application_name": "tpsd",
    "client_min_messages": "warning",
    "default_transaction_isolation": "read committed",
    # Between two statements of ours a tap is being decided. A machine that sleeps there holds no row any longer than
    # its lease lasts, or nobody could take over its work.
    "idle_in_transaction_session_timeout": "20s",
    # A client that is gone without a word is noticed within half a minute, and with it what it held.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "4",
    "jit": "off",  # our queries are short: compiling one takes longer than running it
}


@dataclass(frozen=True, slots=True)
class Database:
    """Which one, how to come in, and as which daemon. The URL holds no password."""

    url: str
    password: str | None = field(default=None, repr=False)
    daemon: str = "tpsd"

    def __str__(self) -> str:
        """For people: where it is, and nothing about the role."""
        try:
            parts = urlsplit(self.url)
            host = parts.netloc.rpartition("@")[2] or parse_qs(parts.query).get("host", ["localhost"])[0]
        except ValueError:
            return "the database of [store] url"
        return f"database {parts.path.strip('/') or 'of its role'} at {host}"


class Given:
    """A statement's rows, all of them here."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._rows = deque(rows)

    @property
    def get(self) -> Any:
        """See ``connection.Rows``."""
        rows = [row[0] if len(row) == 1 else row for row in self._rows]
        self._rows.clear()
        return rows if len(rows) > 1 else rows[0] if rows else None

    def fetchone(self) -> Row | None:
        """See ``connection.Rows``."""
        return self._rows.popleft() if self._rows else None

    def __iter__(self) -> Iterator[Row]:
        """See ``connection.Rows``."""
        while self._rows:
            yield self._rows.popleft()


class Session:
    """``connection.Connection`` on PostgreSQL. ``settings`` are the server's, for this session.

    ``seconds``: how long a statement may take; then the connection counts as lost.
    """

    def __init__(self, database: Database, settings: dict[str, str] | None = None) -> None:
        """Connect. Raises one of ``OWN``, or ValueError for a URL that is none."""
        self.seconds = COMMAND_SECONDS
        self._loop = asyncio.new_event_loop()
        self._prepared: dict[str, asyncpg.prepared_stmt.PreparedStatement] = {}
        self._changes = self._total = 0
        try:
            self._connection = self._run(connected(database, settings))
        except BaseException:
            self._loop.close()
            raise

    @property
    def in_transaction(self) -> bool:
        """See ``connection.Connection``."""
        return not self._connection.is_closed() and bool(self._connection.is_in_transaction())

    def execute(self, statements: str, bindings: Bindings | None = None) -> Given:
        """See ``connection.Connection``. What gives no rows may be several statements at once."""
        query = words_of(statements, _DIALECT)
        if not query.gives_rows:
            done = self._drive(self._done(query.sql))
            if query.sql == "COMMIT" and done != query.sql:  # so it answers where something had failed before
                raise asyncpg.InFailedSQLTransactionError("the transaction was undone")
            return Given()
        return Given(self._drive(self._fetched(query, query.arguments(bindings))))

    def executemany(self, statements: str, sequenceofbindings: Iterable[Sequence[Any]]) -> Given:
        """See ``connection.Connection``."""
        query = words_of(statements, _DIALECT)

        async def all_of_them() -> int:
            changed = 0
            for bindings in sequenceofbindings:
                await self._fetched(query, query.arguments(bindings))
                changed += self._changes
            return changed

        self._changes = self._run(all_of_them())
        return Given()

    def changes(self) -> int:
        """See ``connection.Connection``."""
        return self._changes

    def total_changes(self) -> int:
        """See ``connection.Connection``."""
        return self._total

    def last_insert_rowid(self) -> int:
        """See ``connection.Connection``."""
        return int(self.execute("SELECT lastval()").get)

    def close(self) -> None:
        """Say goodbye, or hang up where the server does not answer; never raises."""
        if self._loop.is_closed():
            return
        with suppress(*OWN):
            self._run(self._connection.close(timeout=COMMAND_SECONDS))
        self._connection.terminate()
        self._run(self._loop.shutdown_asyncgens())
        self._loop.close()

    def __enter__(self) -> Session:
        """Begin a transaction."""
        self.execute("BEGIN")
        return self

    def __exit__(
        self, etype: type[BaseException] | None, evalue: BaseException | None, etraceback: TracebackType | None
    ) -> None:
        """Commit it, or undo it where something was raised."""
        if etype is None:
            self.execute("COMMIT")
            return
        with suppress(*OWN):
            self.execute("ROLLBACK")

    async def _done(self, sql: str) -> str:
        try:
            return str(await self._connection.execute(sql, timeout=self.seconds))
        except asyncpg.PostgresError as exc:
            if exc.sqlstate != _GONE:
                raise
            raise JournalError(
                "other daemons took over this one's work while it gave no sign of life: nothing was written; it starts "
                "anew"
            ) from exc

    async def _fetched(self, query: Worded, arguments: list[Any]) -> list[Row]:
        prepared = self._prepared.get(query.sql)
        if prepared is None:
            prepared = self._prepared[query.sql] = await self._connection.prepare(query.sql, timeout=self.seconds)
        rows = [tuple(row) for row in await prepared.fetch(*arguments, timeout=self.seconds)]
        self._count(prepared.get_statusmsg())
        return rows

    def _count(self, status: str) -> None:
        """``INSERT 0 1``, ``UPDATE 3``, ``DELETE 0``; a query that only selects changes neither count."""
        what, *_, number = status.split()
        if what == "SELECT":
            return
        self._changes = int(number)
        self._total += self._changes

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return self._loop.run_until_complete(work)
        except TimeoutError:
            self._hang_up()
            raise

    def _hang_up(self) -> None:
        """Nobody answers: to undo what was begun would take as long again, and tell as little."""
        connection = getattr(self, "_connection", None)
        if connection is not None:
            connection.terminate()

    def _drive(self, work: Coroutine[Any, Any, T]) -> T:
        """As ``_run``, for a statement, which waits for the server alone: a task would take twice the loop's turns."""
        try:
            while True:
                answer = work.send(None)
                answer._asyncio_future_blocking = False
                answer.add_done_callback(self._stop)
                self._loop.run_forever()
        except StopIteration as end:
            result: T = end.value
            return result
        except TimeoutError:
            self._hang_up()
            raise

    def _stop(self, _awaited: object) -> None:
        self._loop.stop()


async def connected(database: Database, settings: dict[str, str] | None = None) -> Any:
    """A connection of asyncpg's, on the running loop. Raises as ``Session``."""
    connection = await asyncpg.connect(
        database.url,
        password=database.password,
        timeout=CONNECT_SECONDS,
        server_settings={**_SETTINGS, "tpsd.daemon": database.daemon, **(settings or {})},
    )
    try:
        # The sum of whole numbers is "numeric" there, and a whole number here.
        await connection.set_type_codec("numeric", schema="pg_catalog", encoder=str, decoder=int, format="text")
        await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=_to_json, decoder=_from_json)
    except BaseException:
        connection.terminate()
        raise
    return connection


def _to_json(value: Any) -> str:
    """A value of ``meta``, whose kind must come back with it."""
    if isinstance(value, bytes):
        return json.dumps({"bytes": base64.b64encode(value).decode()})
    return json.dumps(value)


def _from_json(text: str) -> Any:
    value = json.loads(text)
    return base64.b64decode(value["bytes"]) if isinstance(value, dict) else value
