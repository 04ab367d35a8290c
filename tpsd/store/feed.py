"""The feed's deny list in the journal: a page and its token in one commit, a shadow that denies, and the flip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import assert_never

from tpsd.core.feed import FEED_TOKENS_MAX, Flush, Put, Strike, Take, held_back
from tpsd.domain.audit import AuditDraft
from tpsd.domain.denial import BY_FEED, DenyChange
from tpsd.domain.feed import FeedState, Foreign, Kept, Loss
from tpsd.domain.notice import NoticeDraft
from tpsd.domain.time import Micros
from tpsd.errors import RefusedError
from tpsd.store import audit as audits
from tpsd.store import cards, runs
from tpsd.store.commits import insert_notices
from tpsd.store.connection import Connection
from tpsd.store.denylist import bump, enter, strike
from tpsd.store.queries import Q
from tpsd.store.writer import Writer

LOSS_SLICE = 1000  # entries a read: 1 to 2 ms, so that a tap waits for less than a slice of housekeeping
_STALE_TOLD = "deny_stale_told"  # while an operator knows that the list is too old
IGNORED_KEPT = 1000  # records of unknown types: enough to see what they are, 2 MB at most


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many entries the feed may have, old and new, and how many records of unknown types are kept.

    ``run``: entries of a page that come in as a run of their own.
    """

    tokens: int = FEED_TOKENS_MAX
    ignored: int = IGNORED_KEPT
    run: int = runs.RUN_MIN


class SqlFeed:
    """``tpsd.denylist.DenyFeed`` on the journal's writer."""

    def __init__(self, writer: Writer, bounds: Bounds | None = None) -> None:
        self._writer = writer
        self._bounds = bounds or Bounds()

    async def state(self) -> FeedState:
        """From the feed's row."""
        return await self._writer.read(_state)

    async def keep(self, take: Take, foreign: Sequence[Foreign], at: Micros, *, timed: bool = True) -> Kept:
        """One commit, and others that join what has come."""
        work = partial(_keep, take=take, foreign=foreign, at=at, timed=timed, bounds=self._bounds)
        kept = await self._writer.write(work)
        await runs.join(self._writer, whole=take.done)
        return kept

    async def loss(self) -> Loss | None:
        """In slices; both lists are joined first, so that no entry moves while they are compared."""
        await runs.join(self._writer, whole=True)
        lists = await self._writer.read(runs.runs_of)
        new = next((run for run in lists if run.shadow), None)
        if new is None:
            return None
        before = lost = 0
        for old in lists:
            last: bytes | None = None if old.shadow else b""
            while last is not None:
                there, lacking, last = await self._writer.read(
                    partial(_lost_slice, old=old.number, shadow=new.number, after=last)
                )
                before, lost = before + there, lost + lacking
        return Loss(before, lost, new.tokens)

    async def flip(self, at: Micros, audit: AuditDraft | None) -> DenyChange:
        """One commit."""
        return await self._writer.write(partial(_flip, at=at, audit=audit))

    async def tell_of_age(self, notice: NoticeDraft, now: Micros, *, stale: bool) -> bool:
        """One commit."""
        return await self._writer.write(partial(_tell_of_age, notice=notice, now=now, stale=stale))

    async def hold(self, loss: Loss, at: Micros, now: Micros) -> bool:
        """One commit."""
        return await self._writer.write(partial(_hold, loss=loss, at=at, now=now))


def _state(connection: Connection) -> FeedState:
    row = connection.execute(Q["feed_state"], (BY_FEED,)).fetchone()
    if row is None:
        return FeedState()
    token, heard_at, whole_at, waits_since, loses, ignored, done, told, tokens, shadow = row
    return FeedState(
        token, heard_at, whole_at, tokens or 0, shadow, bool(done), waits_since, loses, ignored, bool(told)
    )


def _keep(
    connection: Connection, take: Take, foreign: Sequence[Foreign], at: Micros, *, timed: bool, bounds: Bounds
) -> Kept:
    inserted = deleted = 0
    for step in take.steps:
        match step:
            case Flush():
                _begin_anew(connection, at)
            case Put(tokens):
                inserted += enter(connection, _growing(connection, tokens, at, bounds.run), tokens)
            case Strike(tokens):
                deleted += strike(connection, [run.number for run in runs.runs_of(connection)], tokens)
            case _:
                assert_never(step)
    lists = runs.runs_of(connection)
    if sum(run.tokens for run in lists) > bounds.tokens:
        raise RefusedError(f"the feed has more than {bounds.tokens:,} entries")
    whole_at = at if take.done and timed else None
    _heard(connection, take, len(foreign), at, whole_at, take.done and any(run.shadow for run in lists))
    _ignore(connection, foreign, at, bounds.ignored)
    if inserted or deleted:
        bump(connection)
    return Kept(inserted, deleted, cards.list_version(connection))


def _heard(connection: Connection, take: Take, ignored: int, at: Micros, whole_at: Micros | None, whole: bool) -> None:
    bindings = {
        "source": BY_FEED,
        "token": take.token,
        "at": at,
        "whole_at": whole_at,
        "shadow_done": int(whole),
        "ignored": ignored,
    }
    connection.execute(Q["feed_heard"], bindings)


def _ignore(connection: Connection, foreign: Sequence[Foreign], at: Micros, most: int) -> None:
    kept = [(at, record.type, record.raw) for record in foreign if record.raw is not None]
    if kept:
        connection.executemany(Q["feed_ignore"], kept)
        connection.execute(Q["feed_ignored_old"], (most,))


def _begin_anew(connection: Connection, at: Micros) -> None:
    """A shadow that is there already goes on denying as part of the old list; an empty one is the new one."""
    connection.execute(Q["feed_begun_anew"], (BY_FEED,))
    coming = [run.tokens for run in runs.runs_of(connection) if run.shadow]
    if coming and not any(coming):
        return
    connection.execute(Q["feed_demote"], (BY_FEED,))
    connection.execute(Q["feed_begin"], (BY_FEED, at, at, 1, cards.token_key(connection)))


def _growing(connection: Connection, tokens: Sequence[bytes], at: Micros, run_min: int) -> int:
    """The run that takes new entries: the longest of the shadow, else of the list under the token key in force; or a
    new one beside it.
    """
    now = cards.token_key(connection)
    alike = [run for run in runs.runs_of(connection) if run.shadow or run.token_key == now]
    longest = max(alike, key=lambda run: (run.shadow, run.tokens, run.number), default=None)
    if longest is not None and (len(tokens) < run_min or runs.ends_before(connection, longest, tokens[0])):
        return longest.number
    connection.execute(Q["feed_begin"], (BY_FEED, at, at, 1 if longest is not None and longest.shadow else None, now))
    return connection.last_insert_rowid()


def _lost_slice(connection: Connection, old: int, shadow: int, after: bytes) -> tuple[int, int, bytes | None]:
    bindings = {"old": old, "shadow": shadow, "after": after, "slice": LOSS_SLICE}
    there, lacking, last = connection.execute(Q["feed_lost_slice"], bindings).fetchone() or (0, 0, None)
    return there, lacking, last


def _flip(connection: Connection, at: Micros, audit: AuditDraft | None) -> DenyChange:
    state = _state(connection)
    if state.shadow is None or not state.whole:
        raise RefusedError("no new deny list waits; 'tpsd denylist status' shows what there is")
    connection.execute(Q["feed_supersede"], (BY_FEED,))
    connection.execute(Q["feed_flip"], (at, BY_FEED))
    connection.execute(Q["feed_begun_anew"], (BY_FEED,))
    bump(connection)
    if audit is not None:
        audits.write(connection, audit, f"{BY_FEED}: {state.shadow} tokens instead of {state.tokens}")
    return DenyChange(state.shadow, state.shadow, cards.list_version(connection))


def _tell_of_age(connection: Connection, notice: NoticeDraft, now: Micros, *, stale: bool) -> bool:
    if _state(connection).stale_told == stale:
        return False
    if stale:
        connection.execute(Q["set_meta"], (_STALE_TOLD, 1))
    else:
        connection.execute(Q["end_meta"], (_STALE_TOLD,))
    insert_notices(connection, (notice,), None, None, now)
    return True


def _hold(connection: Connection, loss: Loss, at: Micros, now: Micros) -> bool:
    told = _state(connection).waits_since is not None
    connection.execute(Q["feed_waits"], {"source": BY_FEED, "at": at, "loses": loss.lost})
    if not told:
        insert_notices(connection, (held_back(loss),), None, None, now)
    return not told
