"""PostgreSQL as an engine of the conformance suite: a database for each case, its copies, and what is left in it."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg

from tests.cluster import Cluster
from tests.store.engines import IDENTITY, KEK
from tpsd.store.entering import connect
from tpsd.store.housekeeping import Keep
from tpsd.store.journal import Identity, SqlJournal
from tpsd.store.postgres import PostgresJournal, PostgresUpkeep, PostgresView
from tpsd.store.session import Database
from tpsd.store.viewing import Reading

_TEMPLATE = "a_journal"
_TABLES = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY relname"
_SEQUENCES = "SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace"
_LIFT_GUARDS = "SET session_replication_role = replica"  # foreign keys are not looked at


class Databases:
    """The databases of one server, each made from a journal in which nothing has happened."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._numbers = count(1)
        cluster.run(f"CREATE DATABASE {_TEMPLATE}")
        with ThreadPoolExecutor(1) as thread:
            thread.submit(lambda: connect(Database(cluster.url(_TEMPLATE))).close()).result()
        cluster.run("DELETE FROM daemon", database=_TEMPLATE)

    def new(self) -> str:
        """The name of a new one."""
        name = f"case_{next(self._numbers)}"
        self.cluster.run(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY FILE_COPY")
        return name

    def drop(self, name: str) -> None:
        """Away with it, whoever still looks at it."""
        self.cluster.run(f"DROP DATABASE {name} WITH (FORCE)")


class PostgresEngine:
    """A journal in a database of its own; ``folder`` is for what is read out of it."""

    def __init__(self, databases: Databases, folder: Path) -> None:
        self._databases = databases
        self._folder = folder
        self._copies: list[PostgresEngine] = []
        self.name = databases.new()
        self.url = databases.cluster.url(self.name)

    async def open(self, identity: Identity = IDENTITY, kek: bytes = KEK, keep: Keep | None = None) -> PostgresJournal:
        """Open the journal."""
        return await PostgresJournal.open(Database(self.url), identity, kek, keep)

    def after_sigkill(self) -> PostgresEngine:
        """What is committed, in another database: that is what a killed process leaves."""
        copy = self.another()
        self._ask(lambda source: _copied(source, copy.url))
        return copy

    def another(self) -> PostgresEngine:
        """An empty database beside it, which goes with it."""
        other = PostgresEngine(self._databases, self._folder)
        self._copies.append(other)
        return other

    def epoch_keys(self) -> list[int]:
        """The epochs whose key has a row."""
        rows = self._ask(lambda connection: connection.fetch("SELECT number FROM epoch_key ORDER BY number"))
        return [row["number"] for row in rows]

    def lose_key(self, number: int) -> None:
        """Remove a key's row."""
        self._ask(lambda connection: connection.execute("DELETE FROM epoch_key WHERE number = $1", number))

    def damage_key(self, number: int) -> None:
        """Write over a key."""
        damaged = "UPDATE epoch_key SET wrapped = $2 WHERE number = $1"
        self._ask(lambda connection: connection.execute(damaged, number, bytes(60)))

    def tamper(self, statements: Sequence[str]) -> None:
        """Change rows without any guard; each statement must find some."""

        async def work(connection: Any) -> None:
            await connection.execute(_LIFT_GUARDS)
            for statement in statements:
                assert not (await connection.execute(statement)).endswith(" 0"), statement

        self._ask(work)

    def traces(self) -> list[Path]:
        """Every table as text, the keys among them."""
        self._folder.mkdir(exist_ok=True)
        self._ask(self._written)
        return [self._folder]

    @asynccontextmanager
    async def looked_at(self) -> AsyncIterator[Reading]:
        """The journal without a daemon."""
        view = PostgresView(Database(self.url))
        try:
            yield view
        finally:
            await view.close()

    def unexamined(self, journal: SqlJournal) -> PostgresUpkeep:
        """The upkeep of a journal that is too large to be looked through at a start."""
        return PostgresUpkeep(journal._writer, Database(self.url), examined=False)

    def drop(self) -> None:
        """Away with the database and its copies."""
        for copy in self._copies:
            copy.drop()
        self._databases.drop(self.name)

    async def _written(self, connection: Any) -> None:
        for (table,) in await connection.fetch(_TABLES):
            await connection.copy_from_table(table, output=self._folder / f"{self.name}-{table}.txt")

    def _ask(self, work: Any) -> Any:
        return self._databases.cluster.ask(work, self.name)


async def _copied(source: Any, url: str) -> None:
    """All rows as of one moment; numbers that were given go on from where they are."""
    target = await asyncpg.connect(url)
    try:
        await _copied_to(source, target)
    finally:
        await target.close()


async def _copied_to(source: Any, target: Any) -> None:
    async with source.transaction(isolation="repeatable_read", readonly=True):
        await target.execute(_LIFT_GUARDS)
        for (table,) in await source.fetch(_TABLES):
            if table != "migration":
                rows = io.BytesIO()
                await source.copy_from_table(table, output=rows, format="binary")
                rows.seek(0)
                await target.copy_to_table(table, source=rows, format="binary")
        for (sequence,) in await source.fetch(_SEQUENCES):
            last, called = await source.fetchrow(f"SELECT last_value, is_called FROM {sequence}")
            await target.execute("SELECT setval($1::text::regclass, $2, $3)", sequence, last, called)
