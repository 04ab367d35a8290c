"""The Protocol between the operator's desk and the journal: rows that rest, and what is done to them by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tpsd.core.operations import Change, Order, Refusal, Standing
from tpsd.core.rebuilding import KeptTap, Rebuilt
from tpsd.domain.audit import AuditDraft, AuditRow
from tpsd.domain.authorisation import RESTING, State
from tpsd.domain.resting import DoubtRow, RestingCause
from tpsd.domain.time import Micros

START = Micros(0)  # before any row
SLICE_ROWS = 50  # rows changed in a commit: about 4 ms of work, so that intake gets its turn within 10 ms

Judge = Callable[[Standing], Change | Refusal]


@dataclass(frozen=True, slots=True)
class Selection:
    """Resting rows of one cause, taken at ``since`` (schedule clock) or later, in one of ``states``."""

    cause: str
    since: Micros = START
    states: frozenset[State] = RESTING


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next page of a selection begins: after this row."""

    created_at: Micros = START
    uuid: str = ""


@dataclass(frozen=True, slots=True)
class Ordered:
    """What a person wants: ``who`` as the kernel names the caller, ``why`` in their own words."""

    order: Order
    who: str
    why: str


@dataclass(slots=True)
class Tally:
    """How many rows an order was, or would be, carried out on, and why not on others. Sums in minor units."""

    count: int = 0
    sums: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    after: Cursor | None = None  # where to go on; None: this was all

    def add(self, judged: Judged) -> None:
        """Count one row."""
        if isinstance(judged.verdict, Refusal):
            words = judged.verdict.words
            self.refused[words] = self.refused.get(words, 0) + 1
        else:
            row = judged.row
            self.count += 1
            self.sums[row.currency] = self.sums.get(row.currency, 0) + row.amount


@dataclass(frozen=True, slots=True)
class Judged:
    """A row as an order found it, and what came of it."""

    row: Standing
    verdict: Change | Refusal


class OperationsReader(Protocol):
    """What rests, with or without a daemon."""

    async def held(self) -> list[RestingCause]:
        """Every cause that holds taps, the most taps first."""

    async def doubts(self) -> list[RestingCause]:
        """Every cause that left taps in doubt, the most taps first."""

    async def doubt_rows(self, limit: int) -> list[DoubtRow]:
        """Some taps in doubt, by cause and then the oldest first."""

    async def awaited_rows(self, limit: int) -> list[DoubtRow]:
        """Some check-outs that may have been charged and wait for the passenger's next tap, the oldest first."""

    async def audited(self, limit: int) -> list[AuditRow]:
        """What was done by hand, newest first."""


class Reading(Protocol):
    """A journal with its operations, open for writing or only looked at."""

    @property
    def operations(self) -> OperationsReader:
        """What rests in it."""


class Operations(OperationsReader, Protocol):
    """The journal as the desk uses it. Every method that writes is one transaction, durable when it returns."""

    async def find(self, reference: str) -> Standing:
        """One tap's authorisation. Raises NotFoundError; RefusedError for a tap that has none."""

    async def page(self, selection: Selection, after: Cursor, limit: int) -> list[Standing]:
        """Rows of a selection in the order of the cursor."""

    async def carry_out(
        self, uuids: Sequence[str], judge: Judge, dues: Sequence[Micros], now: Micros, audit: AuditDraft | None
    ) -> list[Judged]:
        """Judge each row inside the transaction and write what it becomes; ``dues[i]`` is the row's, if it is sent."""

    async def kept(self, uuids: Sequence[str]) -> dict[str, KeptTap]:
        """What is kept of these rows' taps, by UUID; a row whose card data does not open is missing."""

    async def replace(
        self, made: Sequence[Rebuilt], judge: Judge, dues: Sequence[Micros], now: Micros, audit: AuditDraft
    ) -> list[Judged]:
        """Close each old row and write the new one in its place, judged inside the transaction."""

    async def end_hold(self, cause: str, audit: AuditDraft | None) -> bool:
        """New taps of the cause's terminal are sent again; False when no such hold stood."""
