"""Proxies on a loop of their own, for whoever waits for what is behind them with everything else standing still."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Self, TypeVar

from tests.faults.proxy import Proxy, Way
from tests.faults.toxics import Toxic

T = TypeVar("T")


class Apart:
    """Proxies on a loop of their own: a daemon's start waits for its database with everything else standing still."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._proxies: list[Proxy] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for proxy in self._proxies:
            self._done(proxy.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def proxy(self, target: Path, seed: int) -> Proxy:
        """Another one, which listens."""

        async def made() -> Proxy:
            proxy = await Proxy(seed).__aenter__()
            proxy.target = target
            return proxy

        self._proxies.append(self._done(made()))
        return self._proxies[-1]

    async def poison(self, proxy: Proxy, way: Way, *toxics: Toxic) -> None:
        """As ``Proxy.poison``."""

        async def poisoned() -> None:
            proxy.poison(way, *toxics)

        await asyncio.to_thread(self._done, poisoned())

    async def heal(self, proxy: Proxy) -> None:
        """As ``Proxy.heal``."""
        await asyncio.to_thread(self._done, proxy.heal())

    def _done(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
