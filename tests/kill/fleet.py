"""Daemons that share a PostgreSQL database, each a process with a validator of its own; TPS is one for all."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import configurations
from tests.integration.processes import Running
from tests.integration.stage import until
from tests.kill.world import END_SECONDS, Door, World, world
from tpsd.admin.client import NoDaemonError, ask

WORKERS = 4


@dataclass(slots=True)
class Worker:
    """One daemon: its configuration, its validator, and its present life."""

    name: str
    folder: Path
    config: Path
    door: Door
    running: Running | None = None

    def start(self) -> None:
        self.running = Running(["run", "--config", str(self.config)], self.folder / "daemon.log")

    def life(self) -> Running:
        assert self.running is not None
        return self.running

    def said(self, event: str) -> str:
        """What all its lives have logged under this name."""
        lines = (self.folder / "daemon.log").read_text().splitlines()
        return "\n".join(line for line in lines if f'"event": "{event}"' in line)

    async def status(self) -> dict[str, Any] | None:
        """Its status screen; None before its socket is there."""
        try:
            return await ask(self.folder / "tpsd.sock", "/status")
        except NoDaemonError:
            return None


class Fleet:
    """The workers of one world."""

    def __init__(self, here: World, url: str, keys: dict[str, str]) -> None:
        self.here = here
        self.workers = [self._worker(number, door, url, keys) for number, door in enumerate(here.doors, start=1)]

    def _worker(self, number: int, door: Door, url: str, keys: dict[str, str]) -> Worker:
        name = f"worker-{number}"
        folder = self.here.folder / name
        folder.mkdir()
        given = configurations.changed(
            self.here.given,
            {
                "store": {"url": url, "daemon": name},
                "keys": keys,
                "admin": {"socket": str(folder / "tpsd.sock")},
            },
        )
        given["lanes"] = [{**given["lanes"][0], "name": name, "port": str(door.path)}]
        return Worker(name, folder, configurations.write(folder, given), door)

    @property
    def lives(self) -> list[Running]:
        return [worker.running for worker in self.workers if worker.running is not None]

    async def entries(self, more: int) -> None:
        """Waits until TPS has written so many more into its ledger."""
        goal = self.here.ledger_events() + more
        await until(lambda: self.here.ledger_events() >= goal, f"{goal} entries in TPS's ledger", END_SECONDS)

    async def all_done(self, workers: list[Worker]) -> None:
        """Waits until their taps have their verdicts and nothing in the database is pending any more."""

        def quiet() -> bool:
            for worker in workers:
                assert worker.life().process.poll() is None, worker.life().said()
            return all(worker.door.waiting == 0 for worker in workers)

        await until(quiet, "verdicts of all taps", END_SECONDS)
        await until(lambda: self._nothing_pending(workers[0]), "the end of all ladders", END_SECONDS)

    async def _nothing_pending(self, worker: Worker) -> bool:
        status = await worker.status()
        states = {"pending": 1} if status is None else status["journal"]["states"]
        return not states.get("pending") and not states.get("sending")


@contextlib.asynccontextmanager
async def fleet(folder: Path, seed: int, url: str) -> AsyncIterator[Fleet]:
    """Workers in ``folder`` on the database at ``url``, not yet started; killed at the end."""
    async with world(folder, seed, doors=WORKERS) as here:
        keys = {name: str(folder / f"{stem}.hex") for name, stem in (("kek_file", "kek"), ("token_key_file", "salt"))}
        together = Fleet(here, url, keys)
        here.config = together.workers[0].config
        try:
            yield together
        finally:
            for running in together.lives:
                running.kill()
