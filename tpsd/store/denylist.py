"""The deny list in the journal: generations of tokens, filled and cleared in slices so that no tap waits for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from tpsd.domain.audit import AuditDraft
from tpsd.domain.denial import BY_FEED, BY_HAND, TOKEN_BYTES, DenyChange, DenySource, DenyTotals
from tpsd.domain.time import Micros
from tpsd.errors import RefusedError
from tpsd.hints import Hint
from tpsd.store import audit as audits
from tpsd.store import cards, hints
from tpsd.store.connection import Connection
from tpsd.store.easing import Easing
from tpsd.store.queries import Q
from tpsd.store.writer import Writer

SLICE_SECONDS = 0.005  # of work a commit: with the flush behind it, a tap waits less than half of its 20 ms
BATCH = 100  # tokens between two looks at the clock: below 1 ms even where they are not sorted


class SqlDenyList:
    """``tpsd.denylist.DenyList`` on the journal's writer."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._easing = Easing(writer)
        self._swept = False  # of lists that a crash left half filled

    async def add(self, tokens: Sequence[bytes], audit: AuditDraft) -> DenyChange:
        """Into the live list of entries made by hand."""
        return await self._writer.write(partial(_add, tokens=tokens, audit=audit))

    async def remove(self, tokens: Sequence[bytes], source: str | None, audit: AuditDraft) -> DenyChange:
        """From every live list, or the source's."""
        return await self._writer.write(partial(_remove, tokens=tokens, source=source, audit=audit))

    async def begin(self, source: str, at: Micros) -> int:
        """A generation that fills."""
        await self._sweep()
        return await self._writer.write(partial(_begin, source=source, at=at))

    async def fill(self, generation: int, tokens: bytes) -> None:
        """As many commits as it takes, each ``SLICE_SECONDS`` of work."""
        if len(tokens) % TOKEN_BYTES:
            raise ValueError(f"tokens are {TOKEN_BYTES} bytes each")
        at = 0
        while at < len(tokens):
            at += await self._easing.write(partial(_fill, generation=generation, tokens=memoryview(tokens)[at:]))

    async def go_live(self, generation: int, replace: bool, audit: AuditDraft) -> DenyChange:
        """One commit: the flip."""
        return await self._writer.write(partial(_go_live, generation=generation, replace=replace, audit=audit))

    async def abandon(self, generation: int) -> None:
        """``tidy`` clears it."""
        await self._writer.write(lambda connection: connection.execute(Q["deny_abandon"], (generation,)) and None)

    async def totals(self) -> DenyTotals:
        """From the counts kept beside the generations."""
        return await self._writer.read(totals)

    async def tidy(self, slices: int) -> int:
        """At most so many commits."""
        await self._sweep()
        moved = 0
        for _ in range(slices):
            if not await self._writer.read(_untidy):
                break
            moved += await self._easing.write(_tidy)
        return moved

    async def _sweep(self) -> None:
        if self._swept:
            return
        self._swept = True  # before the write: what begins from now on comes after it
        try:
            await self._writer.write(lambda connection: connection.execute(Q["deny_abandon_own"]) and None)
        except BaseException:
            self._swept = False
            raise


def totals(connection: Connection) -> DenyTotals:
    """The lists in force."""
    sources = tuple(DenySource(*row) for row in connection.execute(Q["deny_totals"]) if row[1])
    return DenyTotals(cards.list_version(connection), sources)


def _add(connection: Connection, tokens: Sequence[bytes], audit: AuditDraft) -> DenyChange:
    now = cards.token_key(connection)
    live = [number for number, key in connection.execute(Q["deny_live"], {"source": BY_HAND}) if key == now]
    if not live:
        connection.execute(Q["deny_begin"], (BY_HAND, "live", audit.at, audit.at, now))
        live = [connection.last_insert_rowid()]
    return _changed(connection, tokens, enter(connection, live[0], tokens), audit)


def _remove(connection: Connection, tokens: Sequence[bytes], source: str | None, audit: AuditDraft) -> DenyChange:
    live = [number for number, _ in connection.execute(Q["deny_live"], {"source": source})]
    return _changed(connection, tokens, strike(connection, live, tokens), audit)


def _changed(connection: Connection, tokens: Sequence[bytes], changed: int, audit: AuditDraft) -> DenyChange:
    for token in tokens:
        audits.write(connection, audit, token.hex())
    if changed:
        bump(connection)
    return DenyChange(len(tokens), changed, cards.list_version(connection))


def _begin(connection: Connection, source: str, at: Micros) -> int:
    connection.execute(Q["deny_begin"], (source, "filling", at, None, cards.token_key(connection)))
    return connection.last_insert_rowid()


def _fill(connection: Connection, generation: int, tokens: memoryview) -> int:
    _refuse_unless_filling(connection, generation)
    inserted = 0

    def batch(at: int, end: int) -> None:
        nonlocal inserted
        tokens_of = (bytes(tokens[start : start + TOKEN_BYTES]) for start in range(at, end, TOKEN_BYTES))
        inserted += _insert(connection, generation, tokens_of)

    taken = _for_a_while(batch, len(tokens))
    connection.execute(Q["deny_counted"], (inserted, generation))
    return taken


def _for_a_while(batch: Callable[[int, int], None], size: int) -> int:
    """Work through ``size`` bytes batch by batch until the slice's time is over; the bytes done, some at least."""
    until, at = time.monotonic() + SLICE_SECONDS, 0
    while at < size and (at == 0 or time.monotonic() < until):
        end = min(size, at + BATCH * TOKEN_BYTES)
        batch(at, end)
        at = end
    return at


def enter(connection: Connection, number: int, tokens: Iterable[bytes]) -> int:
    """Put tokens into a generation and count them there; how many were new."""
    entered = _insert(connection, number, tokens)
    connection.execute(Q["deny_counted"], (entered, number))
    return entered


def bump(connection: Connection) -> None:
    """The list is another one from this commit on."""
    connection.execute(Q["deny_bump"])
    hints.say(connection, Hint.LIST)


def strike(connection: Connection, numbers: Iterable[int], tokens: Sequence[bytes]) -> int:
    """Take tokens out of generations and count them there; how many were in any."""
    gone: set[bytes] = set()
    for number in numbers:
        struck = 0
        for token in tokens:
            connection.execute(Q["deny_delete"], (number, token))
            if connection.changes():
                struck += 1
                gone.add(token)
        connection.execute(Q["deny_counted"], (-struck, number))
    return len(gone)


def _insert(connection: Connection, number: int, tokens: Iterable[bytes]) -> int:
    before = connection.total_changes()
    connection.executemany(Q["deny_insert"], ((number, token) for token in tokens))
    return connection.total_changes() - before


def _go_live(connection: Connection, generation: int, replace: bool, audit: AuditDraft) -> DenyChange:
    source, tokens = _refuse_unless_filling(connection, generation)
    if replace:
        connection.execute(Q["deny_supersede"], (source,))
    connection.execute(Q["deny_go_live"], (audit.at, generation))
    bump(connection)
    audits.write(connection, audit, f"{source}: {tokens} tokens{', replaced' if replace else ''}")
    return DenyChange(tokens, tokens, cards.list_version(connection))


def _refuse_unless_filling(connection: Connection, generation: int) -> tuple[str, int]:
    found = connection.execute(Q["deny_state"], (generation,)).fetchone()
    if found is None or found[0] != "filling":
        raise RefusedError("this import is over; import the file again")
    return found[1], found[2]


def _untidy(connection: Connection) -> bool:
    return connection.execute(Q["deny_untidy"], {"fed": BY_FEED}).get is not None


def _tidy(connection: Connection) -> int:
    connection.execute(Q["deny_abandon_orphans"])
    oldest = connection.execute(Q["deny_oldest"]).get
    if oldest is not None:
        return _clear(connection, oldest)
    joining = [number for (number,) in connection.execute(Q["deny_to_join"], {"fed": BY_FEED})]
    return _join(connection, joining[0], joining[-1]) if joining else 0


def _clear(connection: Connection, number: int) -> int:
    return _slices(connection, number, lambda end: _drop(connection, number, end))


def _join(connection: Connection, smaller: int, larger: int) -> int:
    """Both are in force, so the card is denied before, between and after."""

    def move(end: bytes) -> int:
        connection.execute(Q["deny_copy_slice"], (larger, smaller, end))
        connection.execute(Q["deny_counted"], (connection.changes(), larger))
        dropped = _drop(connection, smaller, end)
        connection.execute(Q["deny_counted"], (-dropped, smaller))
        return dropped

    connection.execute(Q["deny_joined"], (smaller, larger))
    return _slices(connection, smaller, move)


def _drop(connection: Connection, number: int, end: bytes) -> int:
    connection.execute(Q["deny_drop_slice"], (number, end))
    return connection.changes()


def _slices(connection: Connection, number: int, work: Callable[[bytes], int]) -> int:
    """Work through a generation's tokens until the slice's time is over, and drop it once it is empty."""
    until, done = time.monotonic() + SLICE_SECONDS, 0
    while True:
        end = connection.execute(Q["deny_slice_end"], (number, BATCH)).get
        if end is None:
            connection.execute(Q["deny_drop_generation"], (number,))
            break
        done += work(end)
        if time.monotonic() >= until:
            break
    return done
