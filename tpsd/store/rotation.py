"""The life of epoch keys across shelf and journal (design 5): begun, turned, wrapped anew, destroyed.

Every step is a commit of its own and may be interrupted by a crash; ``open`` finishes what one left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

from tpsd.domain.time import Micros
from tpsd.errors import JournalUnavailableError, SealError, ShelfError
from tpsd.store import housekeeping
from tpsd.store.epochs import EpochKeys
from tpsd.store.housekeeping import EpochRow
from tpsd.store.seal import Entropy, Sealed, rewrap, seal, unseal
from tpsd.store.writer import Writer

EPOCH_LOOK_SECONDS, EPOCH_LOOKS = 0.05, 200  # a daemon that starts beside begins its epoch within ten seconds

SLICES_MAX = 50  # of 100 rows a call: the rest waits for the next minute, so that closing never waits long

T = TypeVar("T")


class Rotation:
    """A journal's epochs. Running time in microseconds; raises SealError when the shelf fails."""

    def __init__(self, writer: Writer, keys: EpochKeys, entropy: Entropy) -> None:
        self._writer = writer
        self._keys = keys
        self._entropy = entropy

    async def open(self, live: list[EpochRow], ran: int, *, alone: bool = True) -> None:
        """Open every live epoch's key; ``alone``, sweep the shelf, and begin an epoch if none is open.

        Where another daemon keeps the house, that one does so: then an epoch that is open is waited for.
        """
        try:
            await self._open(live)
        except SealError:
            before, live = live, await self._writer.read(housekeeping.live_epochs)
            if {epoch.number for epoch in before} <= {epoch.number for epoch in live}:
                raise
            await self._open(live)  # who keeps the house had retired one and destroyed its key
        if alone:
            await self._sweep()
        if live and live[-1].ran_closed is None:
            self._keys.current = live[-1].number
        elif alone:
            await self._begin(ran)
        else:
            await self._wait_for_epoch()

    async def _open(self, live: list[EpochRow]) -> None:
        for epoch in live:
            await self._at_shelf(partial(self._keys.open, epoch.number))

    async def _at_shelf(self, work: Callable[[], T]) -> T:
        """A shelf in a database may keep one waiting, and nobody else is to wait; a folder's work is done at once."""
        return await asyncio.to_thread(work) if self._keys.shared else work()

    async def follow(self) -> None:
        """Take note of what the daemon that keeps the house has done: seal under the epoch that is open now."""
        live = await self._writer.read(housekeeping.live_epochs)
        await self._at_shelf(lambda: self.note(live))

    async def learn(self, numbers: Iterable[int]) -> None:
        """Have the keys of epochs that another daemon may have begun; what opens under a lost one, nobody knows.

        Raises JournalUnavailableError where they cannot be had now.
        """
        for number in sorted({*numbers}):
            if self._keys.lacks(number):
                try:
                    await self._at_shelf(partial(self._keys.open, number))
                except ShelfError as exc:
                    raise JournalUnavailableError(f"{exc}: nothing is read or sent that is under them") from exc
                except SealError:
                    continue

    def lacks(self, number: int) -> bool:
        """Whether it is one to ``learn`` of."""
        return self._keys.lacks(number)

    def note(self, live: list[EpochRow]) -> None:
        """See ``follow``; from any thread."""
        if live and live[-1].ran_closed is None and live[-1].number != self._keys.current:
            self._keys.key(live[-1].number)
            self._keys.current = live[-1].number
        self._keys.keep({epoch.number for epoch in live})

    async def _wait_for_epoch(self) -> None:
        """Raises SealError when none is open in time."""
        for _ in range(EPOCH_LOOKS):
            await self.follow()
            if self._keys.current:
                return
            await asyncio.sleep(EPOCH_LOOK_SECONDS)
        raise SealError("the daemon that keeps the house began no epoch: look at that one's log")

    def seal(self, owner: str, purpose: str, plain: bytes) -> Sealed:
        """Seal under the current epoch."""
        epoch = self._keys.current
        return seal(epoch, self._keys.key(epoch), owner, purpose, plain, self._entropy)

    def unseal(self, owner: str, purpose: str, sealed: Sealed) -> bytes:
        """Open under the epoch it was sealed in."""
        return unseal(self._keys.key(sealed.epoch), owner, purpose, sealed)

    async def turn(self, ran: int, now: Micros) -> dict[str, int]:
        """Begin a new epoch when the present one is old, empty and destroy those that closed long ago.

        ``now`` (schedule clock) stamps the alarm for a row that does not open. What was done, by name.
        """
        live = await self._writer.read(housekeeping.live_epochs)
        begun = moved = 0
        if ran - live[-1].ran_opened >= housekeeping.EPOCH_US:
            await self._begin(ran)
            begun = 1
        for epoch in live:
            if epoch.ran_closed is not None and ran - epoch.ran_closed >= housekeeping.REWRAP_AFTER_US:
                moved += await self._empty(epoch.number, now)
                await self._writer.write(partial(housekeeping.retire_epoch, number=epoch.number))
        return {"epochs_begun": begun, "rows_rewrapped": moved, "keys_destroyed": await self._sweep()}

    async def _begin(self, ran: int) -> None:
        there = await self._at_shelf(self._keys.on_shelf)
        number = 1 + max([*there, await self._writer.read(housekeeping.last_epoch)])
        # Durable on the shelf before its row, and so before any body under it.
        await self._at_shelf(lambda: self._keys.make(number))
        await self._writer.write(lambda connection: housekeeping.begin_epoch(connection, number, ran))
        self._keys.current = number

    async def _empty(self, old: int, now: Micros) -> int:
        moved = 0
        for _ in range(SLICES_MAX):
            rows = await self._writer.read(lambda connection: housekeeping.sealed_slice(connection, old))
            if not rows:
                break
            new = self._keys.current
            wrapped, damaged = self._wrapped_anew(old, new, rows)
            if damaged:
                await self._writer.write(partial(housekeeping.erase_damaged, old=old, rows=damaged, now=now))
            moved += await self._writer.write(partial(housekeeping.rewrap, old=old, new=new, rows=wrapped))
        return moved

    def _wrapped_anew(
        self, old: int, new: int, rows: list[tuple[str, str, bytes]]
    ) -> tuple[list[tuple[str, str, bytes]], list[tuple[str, str]]]:
        old_key, new_key = self._keys.key(old), self._keys.key(new)
        wrapped, damaged = [], []
        for owner, purpose, key in rows:
            try:
                wrapped.append((owner, purpose, rewrap(old_key, new_key, owner, purpose, key, self._entropy)))
            except SealError:
                damaged.append((owner, purpose))
        return wrapped, damaged

    async def _sweep(self) -> int:
        """Destroy every key whose epoch is not live: retired now or before a crash, or made and never begun."""
        live = {epoch.number for epoch in await self._writer.read(housekeeping.live_epochs)}
        gone = [number for number in await self._at_shelf(self._keys.on_shelf) if number not in live]
        for number in gone:
            await self._at_shelf(partial(self._keys.destroy, number))
        return len(gone)
