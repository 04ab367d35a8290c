"""Waiting in real time for whoever wakes one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

from tpsd.domain.time import SECOND

Pause: TypeAlias = Callable[[asyncio.Event, int], Awaitable[None]]
"""Waits for an event, at most so many microseconds."""


async def woken_within(wake: asyncio.Event, wait_us: int) -> None:
    """A ``Pause``."""
    with suppress(TimeoutError):
        async with asyncio.timeout(wait_us / SECOND):
            await wake.wait()
