"""What leaves a journal while it is at work: pruned in slices, so that no tap waits for it."""

from __future__ import annotations

from functools import partial

from tpsd.domain.audit import AuditDraft
from tpsd.domain.time import DAY, Micros
from tpsd.domain.upkeep import Pruned
from tpsd.errors import RefusedError
from tpsd.store import audit, pruning
from tpsd.store.pruning import Bounds, Step, total
from tpsd.store.writer import Writer

SLICES_A_ROUND = 100  # of 50 taps a minute: above the 50 taps/s one device is built for
YOUNGEST_US = 1 * DAY  # what a person may prune: what failed today is still being looked at


class Retiring:
    """The part of ``upkeep.Upkeep`` that every engine does alike."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._after = 0

    async def prune(self, older_than_us: int, now: Micros, by: AuditDraft | None, *, dry: bool = False) -> Pruned:
        """Remove what was final ``older_than_us`` before ``now``, whatever the configuration keeps; audited.

        Raises RefusedError for less than a day.
        """
        if older_than_us < YOUNGEST_US:
            raise RefusedError("what was final within the last day stays: give a day or more")
        before = Micros(now - older_than_us)
        limits = await self._writer.read(lambda connection: pruning.bounds(connection, before, 0, None))
        if by is not None and not dry:
            subject = f"{older_than_us // DAY} days"
            await self._writer.write(lambda connection: audit.write(connection, by, subject))
        done, after = Pruned(before), 0
        while True:
            step = await self._slice(limits, after, dry=dry)
            done, after = total(done, step.pruned), step.after
            if step.done:
                break
        return done if dry else total(done, await self._mails(limits))

    async def retire(self, now: Micros, ran: int, keep_us: int) -> Pruned:
        """A round of what the house does by itself: rows final ``keep_us`` ago in both clocks, then identities."""
        before = Micros(now - keep_us)
        limits = await self._writer.read(lambda connection: pruning.bounds(connection, before, ran, keep_us))
        done = Pruned(before)
        for _ in range(SLICES_A_ROUND):
            step = await self._slice(limits, self._after)
            done, self._after = total(done, step.pruned), step.after
            if step.done:
                self._after = 0
                break
        done = total(done, await self._writer.write(partial(pruning.prune_identities, limits=limits)))
        return total(done, await self._writer.write(partial(pruning.prune_mails, limits=limits)))

    async def _slice(self, limits: Bounds, after: int, *, dry: bool = False) -> Step:
        work = partial(pruning.prune_taps, limits=limits, after=after, dry=dry)
        return await (self._writer.read(work) if dry else self._writer.write(work))

    async def _mails(self, limits: Bounds) -> Pruned:
        done = Pruned(limits.before)
        while True:
            some = await self._writer.write(partial(pruning.prune_mails, limits=limits))
            done = total(done, some)
            if some.mails < pruning.MAIL_SLICE:
                return done
