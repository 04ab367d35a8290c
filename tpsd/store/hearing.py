"""``hints.Hints`` on PostgreSQL: LISTEN on a connection of its own, in a thread of its own.

A handshake with a password takes longer than a passenger may wait for the event loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Any, Final

from tpsd.errors import JournalUnavailableError
from tpsd.hints import Hint
from tpsd.store.session import COMMAND_SECONDS, Database, connected

CHANNEL: Final = "tpsd"
"""Of the database alone, so that journals of one server do not hear one another."""

SIGN_SECONDS: Final = 30.0
"""How often the server must give one: a connection that is cut without a word is noticed by nothing else."""

_ALL: Final = frozenset(Hint)


class PostgresHints:
    """One daemon's. ``sign_seconds``, ``answer_seconds``: how often the server is asked for a sign, and its time."""

    def __init__(
        self, database: Database, sign_seconds: float = SIGN_SECONDS, answer_seconds: float = COMMAND_SECONDS
    ) -> None:
        self._database = database
        self._sign_seconds = sign_seconds
        self._answer_seconds = answer_seconds

    async def heard(self) -> AsyncGenerator[frozenset[Hint], None]:
        """See ``hints.Hints``."""
        ear = _Ear(self._database, self._sign_seconds, self._answer_seconds)
        try:
            while True:
                yield await ear.next()
        finally:
            ear.stop()


class _Ear:
    """The thread, and what it has heard that nobody has looked at yet."""

    def __init__(self, database: Database, sign_seconds: float, answer_seconds: float) -> None:
        self._database = database
        self._sign_seconds = sign_seconds
        self._answer_seconds = answer_seconds
        self._here = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._said: set[Hint] = set()
        self._deaf: str | None = None
        self._there = asyncio.new_event_loop()
        self._listening = self._there.create_task(self._listen())
        threading.Thread(target=self._run, name="tpsd-hints", daemon=True).start()

    async def next(self) -> frozenset[Hint]:
        await self._news.wait()
        self._news.clear()
        if self._deaf is not None:
            raise JournalUnavailableError(f"{self._database} tells no hints ({self._deaf})")
        said = frozenset(self._said)
        self._said.clear()
        return said

    def stop(self) -> None:
        with suppress(RuntimeError):  # it has ended
            self._there.call_soon_threadsafe(self._listening.cancel)

    def _run(self) -> None:
        why = "stopped"
        try:
            self._there.run_until_complete(self._listening)
        except asyncio.CancelledError:
            pass
        except Exception as exc:  # whatever it is: there are no hints until the next try, and that is all
            why = type(exc).__name__  # its text may name the role
        finally:
            self._there.run_until_complete(_hung_up())
            self._there.close()
            self._tell(lambda: self._end(why))

    async def _listen(self) -> None:
        connection = await connected(self._database, {"application_name": "tpsd hints"})
        lost = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _connection: lost.set())
            async with asyncio.timeout(self._answer_seconds):
                await connection.add_listener(CHANNEL, self._notified)
            self._tell(lambda: self._hear(_ALL))
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._sign_seconds):
                        await lost.wait()
                if lost.is_set():
                    raise ConnectionResetError
                await connection.execute("SELECT 1", timeout=self._answer_seconds)
        finally:
            connection.terminate()

    def _notified(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        hints = frozenset(hint for hint in Hint if hint.value == payload) or _ALL  # a later version's word
        self._tell(lambda: self._hear(hints))

    def _tell(self, call: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is gone: nobody listens any more
            self._here.call_soon_threadsafe(call)

    def _hear(self, hints: frozenset[Hint]) -> None:
        self._said |= hints
        self._news.set()

    def _end(self, why: str) -> None:
        self._deaf = why
        self._news.set()


async def _hung_up() -> None:
    """What asyncpg still does for a statement that was cut off ends, and its sockets are closed."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    await asyncio.sleep(0)
