"""The operator's desk: what a person orders, carried out in slices that never keep a passenger waiting.

The rules are in ``core.operations``; the daemon's socket is the only door here.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog

from tpsd import uuids
from tpsd.core.doubt import DoubtPolicy
from tpsd.core.intake import LanePolicy, Setting
from tpsd.core.operations import ALL_AT_ONCE_MAX, Change, InForce, Order, Refusal, Standing, judge, spread_dues
from tpsd.core.rebuilding import Rebuilt, rebuild
from tpsd.domain.audit import AuditDraft
from tpsd.domain.authorisation import State
from tpsd.domain.time import Micros, iso_micros
from tpsd.draws import Drawn, Draws
from tpsd.errors import JournalUnavailableError, NotFoundError, RefusedError
from tpsd.operating import SLICE_ROWS, START, Cursor, Judged, Operations, Ordered, Selection, Tally
from tpsd.ports import Clock
from tpsd.uuids import Uuids
from tpsd.witness import UNWITNESSED, Witness

SLICES_A_CALL = 40  # 2,000 rows, well under a second: the caller is told how far it came, and goes on
_NONE: Final[Mapping[str, str]] = {}

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
        self._doubt = doubt
        self.credentials = credentials
        self._spread_us = spread_us
        self._on_release = on_release
        self._on_notice = on_notice
        self.uuids: Uuids = uuids.Drawn(rng)
        self.draws: Draws = Drawn(rng)
        self.witness: Witness = UNWITNESSED
        self.setting: Setting
        self.lanes: Mapping[str, LanePolicy] = {}

    async def one(self, ordered: Ordered, reference: str) -> Standing:
        """Carry it out on one tap; the row as it was. Raises NotFoundError, RefusedError saying why not."""
        row = await self._operations.find(reference)
        self.witness.ordered(ordered.order.name.lower(), row.uuid, ordered.who, {})
        (done,) = await self._carry_out(ordered, [row], spread=False)
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
            if not dry:
                given = {"since": iso_micros(selection.since), "states": sorted(one.value for one in selection.states)}
                self.witness.ordered(ordered.order.name.lower(), selection.cause, ordered.who, given)
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
            draws = self._drawn(rows, spread=True)
            judge_one, now = self._judge_as(Order.RELEASE), self._clock.schedule()
            done = await self._operations.carry_out(list(draws), judge_one, self._dues(draws), now, None)
            self._tell_freed(done, draws)
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
            return await self._carry_out(ordered, rows, spread=spread)
        judge_one = self._judge_as(ordered.order)
        judged = [Judged(row, judge_one(row)) for row in rows]
        if ordered.order is not Order.REBUILD:
            return judged
        _, refused = await self._rebuilt(rows)
        return [Judged(one.row, refused.get(one.row.uuid, one.verdict)) for one in judged]

    async def _carry_out(self, ordered: Ordered, rows: Sequence[Standing], *, spread: bool) -> Sequence[Judged]:
        now, judge_one, audit = self._clock.schedule(), self._judge_as(ordered.order), self._audit(ordered)
        draws = self._drawn(rows, spread=spread)
        if ordered.order is not Order.REBUILD:
            done = await self._operations.carry_out(list(draws), judge_one, self._dues(draws), now, audit)
            if ordered.order.sends:
                self._tell_freed(done, draws)
            return done
        made, refused = await self._rebuilt(rows)
        dues = self._dues({one.old: draws[one.old] for one in made})
        done = await self._operations.replace(made, judge_one, dues, now, audit) if made else []
        self._tell_freed(done, draws, {one.old: str(one.draft.uuid) for one in made})
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
            new = self.uuids.of_rebuilt(row.uuid)
            found = _UNOPENED if tap is None else rebuild(tap, self.lanes.get(row.lane), self.setting, new)
            if isinstance(found, Rebuilt):
                made.append(found)
            else:
                refused[row.uuid] = found
        return made, refused

    def _judge_as(self, order: Order) -> Callable[[Standing], Change | Refusal]:
        in_force = InForce(self._doubt, self.credentials, self._clock.schedule())
        return lambda row: judge(order, row, in_force)

    def _drawn(self, rows: Sequence[Standing], *, spread: bool) -> dict[str, float]:
        """Where in the spread each row lies, by UUID."""
        return {row.uuid: self.draws.of_release(row.uuid) if spread else 0.0 for row in rows}

    def _dues(self, draws: Mapping[str, float]) -> list[Micros]:
        return spread_dues(self._clock.schedule(), draws.values(), self._spread_us)

    def _tell_freed(self, done: Sequence[Judged], draws: Mapping[str, float], new: Mapping[str, str] = _NONE) -> None:
        for one in done:
            if isinstance(one.verdict, Change):
                self.witness.freed(one.row.uuid, draws[one.row.uuid], new.get(one.row.uuid))

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
