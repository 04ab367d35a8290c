"""A small database for the writer's tests: work to submit, and a gate that makes it queue."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import apsw

from tpsd.store.writer import ThreadedWriter, Urgency

Work = Callable[[apsw.Connection], object]


class Disk:
    """A database with one table, and what can be seen of it from outside."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.commits = 0
        self.connection: apsw.Connection | None = None

    def connect(self) -> apsw.Connection:
        connection = apsw.Connection(str(self.path))
        connection.pragma("journal_mode", "WAL")
        connection.execute("CREATE TABLE IF NOT EXISTS line (word TEXT UNIQUE NOT NULL) STRICT")
        connection.set_commit_hook(self._count)
        self.connection = connection
        return connection

    def _count(self) -> bool:
        self.commits += 1
        return False

    def words(self) -> list[str]:
        """What another process would read."""
        other = apsw.Connection(str(self.path))
        try:
            return [word for (word,) in other.execute("SELECT word FROM line ORDER BY rowid")]
        finally:
            other.close()


def write(word: str) -> Work:
    return lambda connection: connection.execute("INSERT INTO line VALUES (?)", (word,)) and word


def fail(error: BaseException, after: str = "half") -> Work:
    def work(connection: apsw.Connection) -> object:
        connection.execute("INSERT INTO line VALUES (?)", (after,))
        raise error

    return work


class Gate:
    """Holds the writer's thread inside a read until it is opened, so that what is submitted meanwhile queues."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def __call__(self, _connection: apsw.Connection) -> None:
        self.reached.set()
        assert self.opened.wait(10)


async def behind_gate(writer: ThreadedWriter, *jobs: tuple[Work, Urgency]) -> list[object]:
    """Submit while the thread is busy; the results, errors included, in the order given."""
    gate = Gate()
    busy = asyncio.create_task(writer.read(gate))
    await asyncio.to_thread(gate.reached.wait, 10)
    tasks = [
        asyncio.create_task(writer.read(work) if urgency is Urgency.READ else writer.write(work, urgency))
        for work, urgency in jobs
    ]
    await asyncio.sleep(0)
    gate.opened.set()
    await busy
    return list(await asyncio.gather(*tasks, return_exceptions=True))


class Surprise(BaseException):
    """Not even an Exception."""
