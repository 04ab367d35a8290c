"""Two daemons at the same rows in one chosen order: one stops before a query until another has done something.

That one is let go on when the other is done, or when it waits for a lock that this one has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any

from tpsd.store.entering import connect
from tpsd.store.session import Database, Session

_LOOK_SECONDS = 0.01
_WAITS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


class Stops:
    """Where a daemon's connection stops, once, and what happens then."""

    def __init__(self) -> None:
        self._before: dict[str, Callable[[], Awaitable[Any]]] = {}
        self._loop = asyncio.get_running_loop()
        self._begun: list[asyncio.Future[Any]] = []

    def before(self, query: str, happens: Callable[[], Awaitable[Any]]) -> None:
        """The next time that the query is to be run."""
        self._before[query] = happens

    async def settled(self) -> list[Any]:
        """What came of all that happened then, errors among it."""
        assert self._before == {}, "no connection came by there"
        return list(await asyncio.gather(*self._begun, return_exceptions=True))

    def look(self, database: Database, query: str) -> None:
        """In the connection's thread."""
        happens = self._before.pop(query, None)
        if happens is None:
            return
        begun: Future[asyncio.Future[Any]] = asyncio.run_coroutine_threadsafe(self._begin(happens), self._loop)
        there = begun.result()
        watch = Session(database)
        try:
            while not there.done() and not watch.execute(_WAITS).get:
                asyncio.run_coroutine_threadsafe(asyncio.wait({there}, timeout=_LOOK_SECONDS), self._loop).result()
        finally:
            watch.close()

    async def _begin(self, happens: Callable[[], Awaitable[Any]]) -> asyncio.Future[Any]:
        there = asyncio.ensure_future(happens())
        self._begun.append(there)
        return there


class _Stopping(Session):
    """A daemon's connection that looks before each query whether it is to stop there."""

    _stops: Stops
    _database: Database

    def execute(self, statements: str, bindings: Any = None) -> Any:
        self._stops.look(self._database, getattr(statements, "name", statements))
        return super().execute(statements, bindings)


def stopping(stops: Stops) -> Callable[[Database], Session]:
    """In place of ``entering.connect``."""

    def connected(database: Database) -> Session:
        session = connect(database)
        session.__class__ = _Stopping
        session._stops, session._database = stops, database  # type: ignore[attr-defined]
        return session

    return connected
