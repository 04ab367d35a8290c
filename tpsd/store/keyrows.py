"""Epoch keys as rows of a journal on PostgreSQL, each wrapped by the key-encryption key, which is never there.

They are written on a connection of their own: a key is durable before the transaction that begins its epoch, and so
before the first body under it. Each call waits for the database: not for the event loop to make.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

import asyncpg

from tpsd.errors import SealError, ShelfError
from tpsd.store.session import OWN, Session

T = TypeVar("T")


class KeyRows:
    """``epochs.KeyShelf`` on PostgreSQL. ``connect`` opens a connection; a lost one is opened anew."""

    shared = True

    def __init__(self, connect: Callable[[], Session]) -> None:
        self._connect = connect
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tpsd-keys")
        self._session: Session | None = None
        self._closed = False

    def put(self, number: int, wrapped: bytes) -> None:
        """See ``epochs.KeyShelf``."""

        def work(session: Session) -> None:
            try:
                session.execute("INSERT INTO epoch_key (number, wrapped) VALUES (?, ?)", (number, wrapped))
            except asyncpg.UniqueViolationError:
                raise SealError(f"epoch key {number} exists already: epoch numbers are never used twice") from None

        self._on_its_thread(work)

    def get(self, number: int) -> bytes:
        """See ``epochs.KeyShelf``."""
        found = self._on_its_thread(
            lambda session: session.execute("SELECT wrapped FROM epoch_key WHERE number = ?", (number,)).get
        )
        if found is None:
            raise SealError(f"epoch key {number} is not in the table epoch_key")
        return bytes(found)

    def destroy(self, number: int) -> None:
        """See ``epochs.KeyShelf``. The page is cleared of it too; logs and backups may hold it until they go."""

        def work(session: Session) -> None:
            session.execute("DELETE FROM epoch_key WHERE number = ?", (number,))
            if session.changes():
                session.execute("VACUUM epoch_key")

        self._on_its_thread(work)

    def numbers(self) -> list[int]:
        """See ``epochs.KeyShelf``."""
        return sorted(self._on_its_thread(numbers_of))

    def close(self) -> None:
        """Let go of the connection; again is no error."""
        if not self._closed:
            self._closed = True
            self._thread.submit(self._hang_up).result()
            self._thread.shutdown()

    def _on_its_thread(self, work: Callable[[Session], T]) -> T:
        def connected() -> T:
            try:
                return work(self._answering())
            except OWN as exc:
                self._hang_up()
                raise ShelfError(f"the epoch keys cannot be read or written ({type(exc).__name__})") from exc

        return self._thread.submit(connected).result()

    def _answering(self) -> Session:
        """The connection of the last call may have been lost since."""
        if self._session is not None:
            try:
                self._session.execute("SELECT 1")
            except OWN:
                self._hang_up()
        if self._session is None:
            self._session = self._connect()
        return self._session

    def _hang_up(self) -> None:
        if self._session is not None:
            with suppress(*OWN):
                self._session.close()
            self._session = None


def numbers_of(session: Session) -> list[int]:
    """The epochs whose key is there."""
    return [number for (number,) in session.execute("SELECT number FROM epoch_key")]
