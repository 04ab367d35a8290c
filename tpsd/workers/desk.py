"""The operator's desk: what a person orders, carried out in slices that never keep a passenger waiting.

The rules are in ``core.operations``; the daemon's socket is the only door here.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from uuid import UUID

import structlog

from tpsd.core.doubt import DoubtPolicy
from tpsd.core.intake import LanePolicy, Setting
from tpsd.core.operations import ALL_AT_ONCE_MAX, Change, InForce, Order, Refusal, Standing, judge, spread_dues
from tpsd.core.rebuilding import Rebuilt, rebuild
from tpsd.domain.audit import AuditDraft
from tpsd.domain.authorisation import State
from tpsd.domain.time import Micros
from tpsd.errors import JournalUnavailableError, NotFoundError, RefusedError
from tpsd.operating import SLICE_ROWS, START, Cursor, Judged, Operations, Ordered, Selection, Tally
from tpsd.ports import Clock

SLICES_A_CALL = 40  # 2,000 rows, well under a second: the caller is told how far it came, and goes on
CAUSES_NAMED_MAX = 10  # in a refusal: more are a list to look at, not an error

log = structlog.get_logger("tpsd.desk")


class Desk:
    """One daemon's orders. ``setting``, ``lanes`` and ``credentials`` are in force until a reload puts in others."""

    def __init__(
        self,
        operations: Operations,
        clock: Clock,
        rng: random.Random,
        doubt: DoubtPolicy,
        credentials: frozenset[str],
        spread_us: int,
        on_release: Callable[[], None],
        on_notice: Callable[[], None],
    ) -> None:
        self._operations = operations
        self._clock = clock
        self._rng = rng
        self._doubt = doubt
        self.credentials = credentials
        self._spread_us = spread_us
        self._on_release = on_release
        self._on_notice = on_notice
        self.setting: Setting
        self.lanes: Mapping[str, LanePolicy] = {}

    async def one(self, ordered: Ordered, reference: str) -> Standing:
        """Carry it out on one tap; the row as it was. Raises NotFoundError, RefusedError saying why not."""
        row = await self._operations.find(reference)
        (done,) = await self._carry_out(ordered, [row], [self._clock.schedule()])
        if isinstance(done.verdict, Refusal):
            raise RefusedError(done.verdict.words)
        self._wake(ordered)
        return row

    async def many(self, ordered: Ordered, selection: Selection, after: Cursor | None, *, dry: bool) -> Tally:
        """Carry it out on some rows of a selection, or only count them; ``after`` of the answer is where to go on.

        What is sent again is spread over the configured seconds where it is many. Raises NotFoundError where
        there is no such row.
        """
        if after is None:
            await self._begin(ordered, selection, dry=dry)
        tally, cursor, spread = Tally(), after or Cursor(), after is not None
        for _ in range(SLICES_A_CALL):
            rows = await self._operations.page(selection, cursor, SLICE_ROWS)
            if rows:
                cursor = Cursor(rows[-1].created_at, rows[-1].uuid)
                spread = spread or len(rows) > ALL_AT_ONCE_MAX
                for one in await self._slice(ordered, rows, dry=dry, spread=spread):
                    tally.add(one)
            if len(rows) < SLICE_ROWS:
                break
        else:
            tally.after = cursor
        if not dry and tally.count:
            self._wake(ordered)
        return tally

    async def free(self, cause: str) -> None:
        """A canary was judged: what is held for this cause is sent, spread out; new taps are held no more."""
        # The hold goes when nothing is left under it: a crash before that leaves its canaries to go on. Then what
        # joined in between.
        try:
            freed = await self._release_all(cause)
            await self._operations.end_hold(cause, None)
            freed += await self._release_all(cause)
        except JournalUnavailableError as exc:
            log.error("not_all_freed", cause=cause, error=str(exc))  # the next canary, or an operator, frees the rest
            return
        log.info("freed", cause=cause, taps=freed)
        self._on_release()

    async def _release_all(self, cause: str) -> int:
        selection, cursor, freed = Selection(cause, states=_HELD), Cursor(), 0
        while rows := await self._operations.page(selection, cursor, SLICE_ROWS):
            cursor = Cursor(rows[-1].created_at, rows[-1].uuid)
            uuids, dues = [row.uuid for row in rows], self._dues(len(rows), spread=True)
            judge_one, now = self._judge_as(Order.RELEASE), self._clock.schedule()
            done = await self._operations.carry_out(uuids, judge_one, dues, now, None)
            freed += sum(isinstance(one.verdict, Change) for one in done)
        return freed

    async def _begin(self, ordered: Ordered, selection: Selection, *, dry: bool) -> None:
        """Before the first page: a release ends the hold, so that new taps are sent; what is not there is refused."""
        there = bool(await self._operations.page(selection, Cursor(), 1))
        releases = selection.states == _HELD
        if releases and not there and selection.since == START:
            # Its only row may be a canary under way: the hold can be ended all the same.
            there = any(row.cause == selection.cause for row in await self._operations.held())
        if releases and there and not dry:
            await self._operations.end_hold(selection.cause, self._audit(ordered))
        if not there:
            raise NotFoundError(f"nothing rests for the cause {selection.cause!r} in that time{await self._others()}")

    async def _slice(self, ordered: Ordered, rows: Sequence[Standing], *, dry: bool, spread: bool) -> Sequence[Judged]:
        if not dry:
            return await self._carry_out(ordered, rows, self._dues(len(rows), spread=spread))
        judge_one = self._judge_as(ordered.order)
        judged = [Judged(row, judge_one(row)) for row in rows]
        if ordered.order is not Order.REBUILD:
            return judged
        _, refused = await self._rebuilt(rows)
        return [Judged(one.row, refused.get(one.row.uuid, one.verdict)) for one in judged]

    async def _carry_out(self, ordered: Ordered, rows: Sequence[Standing], dues: Sequence[Micros]) -> Sequence[Judged]:
        now, judge_one, audit = self._clock.schedule(), self._judge_as(ordered.order), self._audit(ordered)
        if ordered.order is not Order.REBUILD:
            return await self._operations.carry_out([row.uuid for row in rows], judge_one, dues, now, audit)
        made, refused = await self._rebuilt(rows)
        done = await self._operations.replace(made, judge_one, dues[: len(made)], now, audit) if made else []
        return [*done, *(Judged(row, refused[row.uuid]) for row in rows if row.uuid in refused)]

    async def _rebuilt(self, rows: Sequence[Standing]) -> tuple[list[Rebuilt], dict[str, Refusal]]:
        """New requests for the rows that may have one, and why the others may not, by UUID."""
        judge_one = self._judge_as(Order.REBUILD)
        verdicts = {row.uuid: judge_one(row) for row in rows}
        refused = {uuid: verdict for uuid, verdict in verdicts.items() if isinstance(verdict, Refusal)}
        made = []
        kept = await self._operations.kept([row.uuid for row in rows if row.uuid not in refused])
        for row in rows:
            if row.uuid in refused:
                continue
            tap = kept.get(row.uuid)
            new = UUID(int=self._rng.getrandbits(128), version=4)
            found = _UNOPENED if tap is None else rebuild(tap, self.lanes.get(row.lane), self.setting, new)
            if isinstance(found, Rebuilt):
                made.append(found)
            else:
                refused[row.uuid] = found
        return made, refused

    def _judge_as(self, order: Order) -> Callable[[Standing], Change | Refusal]:
        in_force = InForce(self._doubt, self.credentials, self._clock.schedule())
        return lambda row: judge(order, row, in_force)

    def _dues(self, count: int, *, spread: bool) -> list[Micros]:
        now = self._clock.schedule()
        return spread_dues(now, [self._rng.random() if spread else 0.0 for _ in range(count)], self._spread_us)

    def _audit(self, ordered: Ordered) -> AuditDraft:
        return AuditDraft(self._clock.wall(), ordered.who, ordered.order.value, ordered.why)

    def _wake(self, ordered: Ordered) -> None:
        if ordered.order.sends:
            self._on_release()
        else:
            self._on_notice()  # an end may be a journey's too, and that is told of

    async def _others(self) -> str:
        causes = [row.cause for row in (*await self._operations.held(), *await self._operations.doubts())]
        if not causes:
            return ""
        more = f" and {len(causes) - CAUSES_NAMED_MAX} more" if len(causes) > CAUSES_NAMED_MAX else ""
        return f"; taps are held or in doubt for {', '.join(causes[:CAUSES_NAMED_MAX])}{more}"


_HELD: Final = frozenset({State.HELD})
_UNOPENED: Final = Refusal("its kept card data does not open, so no new request can be made of it")
