"""The command in a process of its own: started, watched by what it prints, and ended."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
BOUND_SECONDS = 120.0  # a command takes half a second, on a crowded machine many; only one that hangs takes this


def environment() -> dict[str, str]:
    """Ours, with this checkout importable from any folder."""
    return {**os.environ, "PYTHONPATH": str(REPOSITORY)}


def completed(*arguments: str) -> subprocess.CompletedProcess[str]:
    """``tpsd`` with these arguments, run to its end."""
    return subprocess.run(
        [sys.executable, "-m", "tpsd", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=BOUND_SECONDS,
        env=environment(),
    )


class Running:
    """A ``tpsd`` that runs; its standard error goes to ``log``, which is appended to.

    ``within``: a command that becomes it, for what must be so before it begins.
    """

    def __init__(self, arguments: Sequence[str], log: Path, within: Sequence[str] = ()) -> None:
        self.log = log
        self._start = log.stat().st_size if log.exists() else 0
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [*within, sys.executable, "-m", "tpsd", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=file,
                env=environment(),
                cwd=log.parent,
            )

    def said(self) -> str:
        """What it has logged since it was started."""
        with self.log.open("rb") as file:
            file.seek(self._start)
            return file.read().decode()

    async def has_said(self, words: str) -> None:
        """Waits for words on its standard error."""
        async with asyncio.timeout(BOUND_SECONDS):
            while words not in self.said():
                assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.said()}"
                await asyncio.sleep(0.01)

    async def ended(self, seconds: float = BOUND_SECONDS) -> int:
        """Its exit code, once it has ended; negative for a signal."""
        async with asyncio.timeout(seconds):
            while self.process.poll() is None:
                await asyncio.sleep(0.005)
        return self.process.returncode

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it at once, whatever it does; harmless when it has ended."""
        self.process.kill()
        self.process.wait()
