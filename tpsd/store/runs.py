"""How a long list comes in that is in no order: each page a run of its own, and runs joined with others of their size.

Entered one by one into a list of a million, each card of a page falls on another leaf of the table: a page of a
thousand would write four megabytes, and taps would wait for them. A run is written in order, and what is joined is
written in order too, so that a card is written about once for each size that its run grows to. All runs are in force.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from tpsd.domain.denial import BY_FEED
from tpsd.store.connection import Connection
from tpsd.store.denylist import BATCH
from tpsd.store.easing import Easing
from tpsd.store.queries import Q
from tpsd.store.writer import Writer

RUN_MIN = 250  # cards of a page: fewer are entered one by one, for about as many leaves of the table
RUNS_OF_A_SIZE = 4  # then they become one: a tap looks into each, and at 20,000,000 cards there are 30 at most
SIZE_BITS = 2  # a size is four times the one before
SLICE_SECONDS = 0.0025  # of work a commit: there are thousands, and a tap may wait for one before and one with it


@dataclass(frozen=True, slots=True)
class Run:
    """A live generation of the feed's. ``shadow``: of the list that is to replace the others.

    ``token_key``: the version of the token key that was in force when it began.
    """

    number: int
    shadow: bool
    tokens: int
    token_key: str | None = None

    @property
    def kin(self) -> tuple[bool, str]:
        """Of which list it is: only runs of one are joined. A new list comes whole, under whatever key."""
        return self.shadow, "" if self.shadow else self.token_key or ""


def runs_of(connection: Connection) -> list[Run]:
    """All runs, the oldest first."""
    return [
        Run(number, bool(shadow), tokens, token_key)
        for number, shadow, tokens, token_key in connection.execute(Q["feed_lists"], (BY_FEED,))
    ]


def crowd(runs: Iterable[Run]) -> list[Run]:
    """The runs that are to become one now, none where there are few of each size."""
    by_size: dict[tuple[bool, str, int], list[Run]] = {}
    for run in runs:
        by_size.setdefault((*run.kin, run.tokens.bit_length() // SIZE_BITS), []).append(run)
    return next((alike for _, alike in sorted(by_size.items()) if len(alike) >= RUNS_OF_A_SIZE), [])


def side(runs: Iterable[Run]) -> list[Run]:
    """All runs of a list that has several, none where each list has one."""
    by_list: dict[tuple[bool, str], list[Run]] = {}
    for run in runs:
        by_list.setdefault(run.kin, []).append(run)
    return next((alike for alike in by_list.values() if len(alike) > 1), [])


def ends_before(connection: Connection, run: Run, token: bytes) -> bool:
    """Whether the card would be its last, so that entering it and those after it writes little."""
    last: bytes | None = connection.execute(Q["run_end"], (run.number,)).get
    return last is None or last < token


async def join(writer: Writer, *, whole: bool, slice_seconds: float = SLICE_SECONDS) -> None:
    """Join what is crowded; ``whole``: until each list is one run. In slices, with a tap's turn between them."""
    easing = Easing(writer)
    while True:
        sources = (side if whole else crowd)(await writer.read(runs_of))
        if not sources:
            return
        target, done = await easing.write(partial(_begin, like=sources[-1])), False
        while not done:
            done = await easing.write(partial(_slice, sources=sources, target=target, seconds=slice_seconds))


def _begin(connection: Connection, like: Run) -> int:
    connection.execute(Q["run_begin"], {"like": like.number})
    return connection.last_insert_rowid()


def _slice(connection: Connection, sources: Sequence[Run], target: int, seconds: float) -> bool:
    """Move cards in their order until the slice's time is over; whether that was all.

    Where a person let a new list take over meanwhile, these are of the old one, and go as they are.
    """
    if (connection.execute(Q["deny_state"], (target,)).fetchone() or ("old",))[0] != "live":
        return True
    until = time.monotonic() + seconds
    while True:
        ends = [(run, connection.execute(Q["deny_slice_end"], (run.number, BATCH)).get) for run in sources]
        left = [end for _, end in ends if end is not None]
        if not left:
            for run in sources:
                connection.execute(Q["deny_drop_generation"], (run.number,))
            return True
        entered = 0
        for run, end in ends:
            if end is not None:
                entered += _move(connection, run.number, target, min(left))
        connection.execute(Q["deny_counted"], (entered, target))
        if time.monotonic() >= until:
            return False


def _move(connection: Connection, source: int, target: int, end: bytes) -> int:
    """Cards up to ``end``; how many the target did not have."""
    connection.execute(Q["deny_copy_slice"], (target, source, end))
    entered = connection.changes()
    connection.execute(Q["deny_drop_slice"], (source, end))
    connection.execute(Q["deny_counted"], (-connection.changes(), source))
    return entered
