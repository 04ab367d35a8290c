"""Certificates renewed while the daemon runs: files that changed are put in force, or refused and the old ones kept.

By real time, not by the schedule clock: what is looked at is a folder, not the daemon's own work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import structlog

from tpsd.errors import ConfigError, JournalUnavailableError

LOOK_SECONDS: Final = 60.0
"""How often the files are looked at; a new pair is in force within two of these."""

Files = Mapping[str, tuple[Path, ...]]
"""By a credential's name, what it is made of."""

Stamp = tuple[tuple[int, int, int, int] | None, ...]
"""Of each file what changes with it: modification time (ns), size, inode, and the time (ns) of the last change of its
mode or owner; None for one that is not there."""

log = structlog.get_logger("tpsd.renewal")


class Renewal:
    """``put`` makes a credential of its files and puts it in force, or raises ConfigError, having changed nothing.

    ``alarm`` is told of files that were refused twice: once may be a look between two files being written.
    """

    def __init__(
        self,
        files: Callable[[], Files],
        put: Callable[[str], Awaitable[None]],
        alarm: Callable[[str, str], Awaitable[None]],
    ) -> None:
        self._files = files
        self._put = put
        self._alarm = alarm
        self._known = stamps(files())
        self._refused: dict[str, Stamp] = {}
        self._told: dict[str, Stamp] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Put in force what changed since the last look, or since a reload did."""
        found = await asyncio.to_thread(stamps, self._files())
        for name, stamp in found.items():
            if stamp not in (self._known.get(name), self._told.get(name)):
                await self._renew(name, stamp)

    def changed(self, files: Files) -> set[str]:
        """The credentials whose files are not those in force."""
        return {name for name, stamp in stamps(files).items() if stamp != self._known.get(name)}

    def settled(self, files: Files) -> None:
        """A reload put all of these in force."""
        self._known = stamps(files)
        self._refused, self._told = {}, {}

    async def _renew(self, name: str, stamp: Stamp) -> None:
        try:
            await self._put(name)
        except ConfigError as exc:
            log.error("certificate_refused", credential=name, why=str(exc))
            if self._refused.get(name) == stamp:
                await self._tell(name, str(exc), stamp)
            self._refused[name] = stamp
            return
        self._known[name] = stamp
        log.info("certificate_renewed", credential=name)

    async def _tell(self, name: str, why: str, stamp: Stamp) -> None:
        try:
            await self._alarm(name, why)
        except JournalUnavailableError as exc:
            log.error("alarm_not_written", credential=name, error=str(exc))  # the next look tells of it
        else:
            self._told[name] = stamp


def stamps(files: Files) -> dict[str, Stamp]:
    """Of every credential's files."""
    return {name: tuple(_stamp(path) for path in paths) for name, paths in files.items()}


def _stamp(path: Path) -> tuple[int, int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_ctime_ns
