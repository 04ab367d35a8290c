"""The list follower looks by itself, soon after a change, and at once when it is woken."""

from __future__ import annotations

import asyncio
from functools import partial

from tests.integration.gate import until
from tpsd.demo.clock import WarpClock
from tpsd.domain.time import SECOND
from tpsd.errors import JournalUnavailableError
from tpsd.workers.list_follower import LOOK_US, ListFollower


class Lists:
    """What each look finds: cards that changed, None, or trouble; nothing any more behind the last."""

    def __init__(self, *found: int | Exception | None) -> None:
        self._found = list(found)
        self.looks = 0

    def looked(self, times: int) -> bool:
        return self.looks == times

    async def follow_list(self) -> int | None:
        self.looks += 1
        found = self._found.pop(0) if self._found else None
        if isinstance(found, Exception):
            raise found
        return found


async def test_a_look_follows_soon_where_something_had_changed() -> None:
    waits = list[int]()

    async def pause(wake: asyncio.Event, wait_us: int) -> None:
        waits.append(wait_us)
        if len(waits) == 7:
            wake.clear()
            await wake.wait()

    follower = ListFollower(Lists(None, 3, 1, None, JournalUnavailableError("no"), None, None), WarpClock())
    follower.pause = pause
    running = asyncio.create_task(follower.run())
    await until(lambda: len(waits) == 7, "seven looks")
    assert [wait / SECOND for wait in waits] == [5, 0.5, 0.5, 1, 2, 4, 5]
    running.cancel()
    await asyncio.wait((running,))


async def test_who_wakes_it_need_not_wait() -> None:
    async def pause(wake: asyncio.Event, wait_us: int) -> None:
        assert wait_us == LOOK_US
        await wake.wait()

    lists = Lists()
    follower = ListFollower(lists, WarpClock())
    follower.pause = pause
    running = asyncio.create_task(follower.run())
    for looks in (1, 2, 3):
        await until(partial(lists.looked, looks), f"{looks} looks")
        follower.wake.set()
    running.cancel()
    await asyncio.wait((running,))
