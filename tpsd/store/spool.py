"""The spool's file: a journal on SQLite of its own that holds taps only until the database has them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from uuid import UUID

from tpsd.asking import Answered, Follow, Judge
from tpsd.core.candidate import Asking, Candidate, Decision
from tpsd.core.passback import OFF
from tpsd.core.spooling import Decide
from tpsd.domain.authorisation import Claimed, Draft, State
from tpsd.domain.notice import NoticeDraft, NoticeKind
from tpsd.domain.outcome import Outcome
from tpsd.domain.tap import Disposition, Kind, Oda, Shown, TapReport, Timing, Told, Verdict
from tpsd.domain.time import Micros
from tpsd.errors import JournalError, SealError
from tpsd.ports import Taken
from tpsd.store import commits, realtime
from tpsd.store.commits import SealedParts
from tpsd.store.connection import Connection
from tpsd.store.mirror import follow
from tpsd.store.queries import Q, load
from tpsd.store.seal import Sealed
from tpsd.store.sqlite import SqliteJournal
from tpsd.store.writer import Urgency, Writer

S = load("spool")

_OF = "spool_of"  # meta: the journal whose spool it is
NO_JOURNEYS = 0  # no company: where a card's journey matters, TPS is not asked from here


@dataclass(frozen=True, slots=True)
class Waits:
    """How many taps, and when the oldest was received (wall clock)."""

    count: int
    oldest: Micros | None


@dataclass(frozen=True, slots=True)
class Follower:
    """What gives back what the spool's tap was charged: a draft that waits to be sent, and from when."""

    draft: Draft
    place: tuple[str, str]  # lane and terminal
    created_at: Micros


@dataclass(frozen=True, slots=True)
class Asked:
    """A realtime tap's authorisation as it stands in the spool, with its one attempt. Times on the schedule clock.

    ``outcome`` None: TPS's answer is still to come. ``unseen`` and ``delivered`` are the tap's.
    """

    state: State
    cause: str | None
    may_have_charged: bool
    approved_amount: int | None
    action_code: str | None
    settled_at: Micros | None
    enquiry_due: Micros | None
    created_at: Micros
    started_at: Micros
    ended_at: Micros | None
    outcome: str | None
    outcome_cause: str | None
    clean: bool
    unseen: bool
    delivered: int | None
    followers: tuple[Follower, ...] = ()


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
    asked: Asked | None = None  # of a realtime tap that TPS was asked about

    @property
    def version(self) -> tuple[int, int, int | None, str | None]:
        """What is different once something became of it: its number, repeats, delivery and state."""
        if self.asked is None:
            state = self.decision.state
            return self.number, self.repeats, None, _state(state, self.cancelled)
        return self.number, self.repeats, self.asked.delivered, self.asked.state.value


class Spool(SqliteJournal):
    """Takes taps and what came of them, gives them back in their order, and forgets them."""

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

    async def put(
        self, candidate: Candidate, decide: Decide, now: Micros, body_digest: bytes | None = None
    ) -> tuple[Taken, str | None]:
        """Commit 1, here, and its UUID; a tap that is known here gets the same verdict.

        Of a realtime tap it is commit 2 as well. ``body_digest`` is the journal's, since no body of it is kept.
        """
        parts, stamp = self._sealed(candidate), self._stamp(now)
        uuid = None if candidate.draft is None else str(candidate.draft.uuid)
        if candidate.realtime and parts is not None:
            parts = SealedParts(None, None, body_digest)

        def ask(connection: Connection, candidate: Candidate, decision: Decision) -> tuple[str, Claimed, Sealed | None]:
            return realtime.ask(connection, candidate, decision, parts, self.asked.seal_body, stamp)

        def work(connection: Connection) -> tuple[Taken, str | None]:
            taken, row = commits.take(connection, candidate, decide, parts, stamp, ask)
            if taken.new:
                connection.execute(S["spool"], (taken.number, uuid, now))
            known = connection.execute(Q["uuid_of_tap"], (taken.number,)).get
            return taken if row is None else replace(taken, asked=row.claimed), known

        return await self._writer.write(work, Urgency.INTAKE)

    async def answer(
        self, claimed: Claimed, outcome: Outcome, judge: Judge, follow: Follow, ended_at: Micros
    ) -> Answered | None:
        """Commit 3 of a realtime attempt where its row is here, else None. Raises SettledLate."""
        uuid, stamp = str(claimed.uuid), self._stamp(ended_at)

        def work(connection: Connection) -> Answered | None:
            if connection.execute(S["spool_has"], (uuid,)).get is None:
                return None
            seal = self.asked.seal_body
            return realtime.answer(connection, claimed, outcome, judge, follow, seal, NO_JOURNEYS, stamp)

        return await self._writer.write(work, Urgency.INTAKE)

    async def delivered(self, uuid: str) -> bool:
        """The validator's link has the verdict of this transaction; whether its row is here."""

        def work(connection: Connection) -> bool:
            connection.execute(Q["spooled_delivered"], (uuid,))
            return connection.execute(S["spool_has"], (uuid,)).get is not None

        return await self._writer.write(work)

    async def uuids(self) -> frozenset[str]:
        """Those under which what waits was asked, or would have been."""
        tried = S["spool_tried"]
        return await self._writer.read(lambda connection: frozenset(uuid for (uuid,) in connection.execute(tried)))

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
        return [self._read(row) for row in rows]

    async def forget(self, taps: Iterable[Spooled]) -> set[int]:
        """The database has them: erase them here, but for those that came again since they were read; which."""
        which = [tap.version for tap in taps]
        return await self._writer.write(partial(_forget, which=which))

    async def follow_list(self, source: Writer) -> int | None:
        """See ``mirror.follow``."""
        return await follow(source, self._writer)

    def _read(self, found: _Found) -> Spooled:
        number, tried, at, repeats, *rest = found.row
        tap, authorisation, asked = rest[:29], rest[29:39], rest[39:]
        opened = self._opened_parts(found.sealed)
        spooled = _spooled((number, tried, at, repeats), tap, authorisation, opened, found.notices)
        candidate = _timed(spooled.candidate, asked[0])
        if asked[3] != Timing.REALTIME.value:
            return replace(spooled, candidate=candidate)
        decision = replace(spooled.decision, state=State.SENDING, asking=Asking())
        followers = tuple(_follower(row, self._opened_parts(sealed)) for row, sealed in found.followers)
        whole = _asked(authorisation[2], authorisation[3], asked[1:], followers)
        return replace(spooled, candidate=candidate, decision=decision, cancelled=None, asked=whole)

    def _opened_parts(self, sealed: Sequence[tuple[Any, ...]]) -> dict[str, bytes]:
        opened: dict[str, bytes] = {}
        for owner, purpose, *box in sealed:
            with suppress(SealError):  # it is told of as one that cannot be sent, once it is claimed
                opened[purpose] = self._epochs.unseal(owner, purpose, Sealed(*box))
        return opened


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
        None if verdict is None else Told(Verdict(verdict), reason),
        disposition=None if disposition is None else Disposition(disposition),
        state=None if uuid is None else State.PENDING,
        note=note,
        notices=notices,
    )
    cancelled = cause if state == State.NOT_CHARGED.value else None
    payload = opened.get("payload")
    return Spooled(number, repeats, at, tried, candidate, decision, list_version, cancelled, body_digest, payload)


def _timed(candidate: Candidate, made_at: int | None) -> Candidate:
    """A realtime tap's age, from when it was made by our own clock."""
    if made_at is None:
        return candidate
    age_ms = (candidate.report.received_at - made_at) // 1000
    return replace(candidate, report=replace(candidate.report, age_ms=age_ms), realtime=True)


def _asked(state: str, cause: str | None, row: Sequence[Any], followers: tuple[Follower, ...]) -> Asked:
    (
        unseen, delivered, _timing, may_have_charged, approved_amount, action_code, settled_at, enquiry_due, created_at,
        started_at, ended_at, outcome, outcome_cause, unclean,
    ) = row  # fmt: skip
    return Asked(
        state=State(state),
        cause=cause,
        may_have_charged=bool(may_have_charged),
        approved_amount=approved_amount,
        action_code=action_code,
        settled_at=settled_at,
        enquiry_due=enquiry_due,
        created_at=created_at,
        started_at=started_at,
        ended_at=ended_at,
        outcome=outcome,
        outcome_cause=outcome_cause,
        clean=not unclean,
        unseen=bool(unseen),
        delivered=delivered,
        followers=followers,
    )


def _follower(row: tuple[Any, ...], opened: dict[str, bytes]) -> Follower:
    uuid, type_, lane, terminal, path, credential, amount, currency, initial, created_at = row
    draft = Draft(UUID(uuid), type_, path, opened.get("body"), credential, amount, currency, initial)
    return Follower(draft, (lane, terminal), created_at)


def _state(state: State | None, cancelled: str | None) -> str | None:
    """What the row of a deferred tap says."""
    if state is None:
        return None
    return state.value if cancelled is None else State.NOT_CHARGED.value


def _waits(connection: Connection) -> Waits:
    return Waits(*connection.execute(S["spool_waits"]).get)


@dataclass(frozen=True, slots=True)
class _Found:
    """What is read of a tap, still sealed."""

    row: tuple[Any, ...]
    sealed: list[tuple[Any, ...]]
    notices: tuple[NoticeDraft, ...]
    followers: list[tuple[tuple[Any, ...], list[tuple[Any, ...]]]]


def _first(connection: Connection, limit: int, after: int) -> list[_Found]:
    found = []
    for row in list(connection.execute(S["spool_first"], (after, limit))):
        number, uuid = row[0], row[33]
        sealed = list(connection.execute(S["spool_sealed"], (uuid, f"tap:{number}")))
        notices = tuple(
            NoticeDraft(NoticeKind(kind), cause, detail)
            for kind, cause, detail in connection.execute(S["spool_notices"], (number,))
        )
        followers = [
            (one, list(connection.execute(S["spool_sealed"], (one[0], one[0]))))
            for one in list(connection.execute(S["spool_followers"], (uuid,)))
        ]
        found.append(_Found(row, sealed, notices, followers))
    return found


def _forget(connection: Connection, which: Iterable[tuple[Any, ...]]) -> set[int]:
    gone = set()
    for number, *version in which:
        found = connection.execute(S["spool_unchanged"], (number, *version)).fetchone()
        if found is None:
            continue
        connection.execute(S["spool_drop_notices"], (number,))
        connection.execute(S["spool_drop"], (number,))
        connection.execute(S["spool_drop_tap"], (number,))
        connection.execute(Q["erase"], (f"tap:{number}",))
        if found[0] is not None:
            for name in _ITS_TRANSACTION:
                connection.execute(name, (found[0],))
        gone.add(number)
    connection.execute(S["spool_drop_episodes"])
    return gone


_ITS_TRANSACTION = (
    Q["erase"],
    S["spool_erase_followers"],
    S["spool_drop_followers"],
    S["spool_drop_attempts"],
    S["spool_drop_authorisation"],
)
