"""The spool's file: a journal on SQLite of its own that holds taps only until the database has them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from tpsd.core.candidate import Candidate, Decision
from tpsd.core.passback import OFF
from tpsd.core.spooling import Decide
from tpsd.domain.authorisation import Claimed, Draft, State
from tpsd.domain.notice import NoticeDraft, NoticeKind
from tpsd.domain.tap import Disposition, Kind, Oda, Shown, TapReport, Told, Verdict
from tpsd.domain.time import Micros
from tpsd.errors import JournalError, SealError
from tpsd.ports import Taken
from tpsd.store import commits
from tpsd.store.connection import Connection
from tpsd.store.mirror import follow
from tpsd.store.queries import Q, load
from tpsd.store.seal import Sealed
from tpsd.store.sqlite import SqliteJournal
from tpsd.store.writer import Urgency, Writer

S = load("spool")

_OF = "spool_of"  # meta: the journal whose spool it is


@dataclass(frozen=True, slots=True)
class Waits:
    """How many taps, and when the oldest was received (wall clock)."""

    count: int
    oldest: Micros | None


@dataclass(frozen=True, slots=True)
class Spooled:
    """A tap as the spool keeps it. ``tried``: the UUID under which the database was asked first, if it was.

    ``body_digest``: as the spool made it, to tell a body that is gone from one that waits for the time.
    """

    number: int
    repeats: int
    at: Micros
    tried: str | None
    candidate: Candidate
    decision: Decision
    list_version: int | None
    cancelled: str | None = None  # why the acceptance was taken back, unsent
    body_digest: bytes | None = field(default=None, repr=False)
    payload: bytes | None = field(default=None, repr=False)  # of a tap that could not be decided


class Spool(SqliteJournal):
    """Takes deferred taps, gives them back in their order, and forgets them."""

    async def begin(self, journal_id: str) -> frozenset[str]:
        """It is that journal's from now on: under which UUIDs it was asked first for what waits.

        Raises JournalError where taps of another journal wait.
        """

        def work(connection: Connection) -> frozenset[str]:
            owner = connection.execute(Q["get_meta"], (_OF,)).get
            if owner not in (None, journal_id) and _waits(connection).count:
                raise JournalError(
                    f"the spool holds taps of journal {owner}, and [store] url is journal {journal_id}: name that "
                    "one's database until they have drained, or another file in [store] spool"
                )
            connection.execute(Q["set_meta"], (_OF, journal_id))
            return frozenset(uuid for (uuid,) in connection.execute(S["spool_tried"]))

        return await self._writer.write(work)

    async def put(self, candidate: Candidate, decide: Decide, now: Micros) -> Taken:
        """Commit 1, here; a tap that is known here gets the same verdict."""
        parts, stamp = self._sealed(candidate), self._stamp(now)
        uuid = None if candidate.draft is None else str(candidate.draft.uuid)

        def work(connection: Connection) -> Taken:
            taken, _ = commits.take(connection, candidate, decide, parts, stamp, _ask_nobody)
            if taken.new:
                connection.execute(S["spool"], (taken.number, uuid, now))
            return taken

        return await self._writer.write(work, Urgency.INTAKE)

    async def put_rejected(
        self,
        report: TapReport,
        lane: str,
        terminal: str,
        config_digest: str,
        digest: bytes,
        now: Micros,
        untrusted: str | None,
    ) -> Taken:
        """A tap that could not be decided. ``digest`` is the journal's, not the spool's own."""
        stamp = self._stamp(now)

        def payload(owner: str) -> Sealed:
            return self._epochs.seal(owner, "payload", report.payload)

        def work(connection: Connection) -> Taken:
            taken = commits.reject(connection, report, lane, terminal, config_digest, digest, payload, stamp, untrusted)
            if taken.new:
                connection.execute(S["spool"], (taken.number, None, now))
            return taken

        return await self._writer.write(work, Urgency.INTAKE)

    async def waits(self) -> Waits:
        """What the database has yet to take."""
        return await self._writer.read(_waits)

    async def first(self, limit: int, after: int = 0) -> list[Spooled]:
        """Some of what waits, the oldest first, its card data opened."""
        rows = await self._writer.read(partial(_first, limit=limit, after=after))
        return [self._read(*row) for row in rows]

    async def forget(self, taps: Iterable[Spooled]) -> set[int]:
        """The database has them: erase them here, but for those that came again since they were read; which."""
        which = [(tap.number, tap.repeats) for tap in taps]
        return await self._writer.write(partial(_forget, which=which))

    async def follow_list(self, source: Writer) -> int | None:
        """See ``mirror.follow``."""
        return await follow(source, self._writer)

    def _read(self, row: tuple[Any, ...], sealed: Sequence[tuple[Any, ...]], notices: list[NoticeDraft]) -> Spooled:
        number, tried, at, repeats, *rest = row
        tap, authorisation = rest[:29], rest[29:]
        opened: dict[str, bytes] = {}
        for owner, purpose, *box in sealed:
            with suppress(SealError):  # it is told of as one that cannot be sent, once it is claimed
                opened[purpose] = self._epochs.unseal(owner, purpose, Sealed(*box))
        return _spooled((number, tried, at, repeats), tap, authorisation, opened, tuple(notices))


def _spooled(
    head: tuple[Any, ...],
    tap: Sequence[Any],
    authorisation: Sequence[Any],
    opened: dict[str, bytes],
    notices: tuple[NoticeDraft, ...],
) -> Spooled:
    number, tried, at, repeats = head
    (
        serial, boot, counter, digest, type_name, pass_group, lane, terminal, kind, tapped_at, received_at, amount,
        currency, stop, place, token, masked, oda, shown, verdict, reason, note, disposition, config_digest,
        list_version, clock_life, facts, zone, token_key,
    ) = tap  # fmt: skip
    uuid, type_, state, cause, path, credential, asked, asked_currency, body_digest, tiers = authorisation
    report = TapReport(
        serial=serial,
        type_name=type_name,
        boot=boot,
        counter=counter,
        received_at=received_at,
        fingerprint=b"",
        payload=b"",
        stop=stop,
        where=() if place is None else tuple(tuple(pair) for pair in json.loads(place)),
        oda=Oda(oda),
        shown=Shown(shown),
    )
    draft = None
    if uuid is not None:
        draft = Draft(UUID(uuid), type_, path, opened.get("body"), credential, asked, asked_currency)
    candidate = Candidate(
        report=report,
        lane=lane,
        pass_group=pass_group,
        pass_back=OFF,
        terminal=terminal,
        digest=digest,
        tapped_at=tapped_at,
        kind=None if kind is None else Kind(kind),
        amount=amount,
        currency=currency,
        token=token,
        masked=masked,
        local=Told(Verdict.ACCEPTED, "spool"),
        draft=draft,
        card=opened.get("tap"),
        ladder=() if tiers is None else commits.ladder_of(tiers),
        config_digest=config_digest,
        clock_life=clock_life,
        zone=zone,
        token_key=token_key,
        facts=() if facts is None else tuple(json.loads(facts).items()),
    )
    decision = Decision(
        Told(Verdict(verdict), reason),
        disposition=None if disposition is None else Disposition(disposition),
        state=None if uuid is None else State.PENDING,
        note=note,
        notices=notices,
    )
    cancelled = cause if state == State.NOT_CHARGED.value else None
    payload = opened.get("payload")
    return Spooled(number, repeats, at, tried, candidate, decision, list_version, cancelled, body_digest, payload)


def _ask_nobody(_connection: Connection, _candidate: Candidate, _decision: Decision) -> tuple[str, Claimed, Sealed]:
    raise AssertionError("a spool asks nobody")


def _waits(connection: Connection) -> Waits:
    return Waits(*connection.execute(S["spool_waits"]).get)


def _first(
    connection: Connection, limit: int, after: int
) -> list[tuple[tuple[Any, ...], list[tuple[Any, ...]], list[NoticeDraft]]]:
    found = []
    for row in list(connection.execute(S["spool_first"], (after, limit))):
        number, uuid = row[0], row[33]
        sealed = list(connection.execute(S["spool_sealed"], (uuid, f"tap:{number}")))
        notices = [
            NoticeDraft(NoticeKind(kind), cause, detail)
            for kind, cause, detail in connection.execute(S["spool_notices"], (number,))
        ]
        found.append((row, sealed, notices))
    return found


def _forget(connection: Connection, which: Iterable[tuple[int, int]]) -> set[int]:
    gone = set()
    for number, repeats in which:
        found = connection.execute(S["spool_unchanged"], (number, repeats)).fetchone()
        if found is None:
            continue
        connection.execute(S["spool_drop_notices"], (number,))
        connection.execute(S["spool_drop"], (number,))
        connection.execute(S["spool_drop_tap"], (number,))
        connection.execute(Q["erase"], (f"tap:{number}",))
        if found[0] is not None:
            connection.execute(Q["erase"], (found[0],))
            connection.execute(S["spool_drop_authorisation"], (found[0],))
        gone.add(number)
    connection.execute(S["spool_drop_episodes"])
    return gone
