"""Taps as the spool's file keeps them, read back as what the database is to have."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from tpsd.core.candidate import Asking, Candidate, Decision
from tpsd.core.passback import OFF
from tpsd.domain.authorisation import Draft, State
from tpsd.domain.notice import NoticeDraft, NoticeKind
from tpsd.domain.tap import Disposition, Kind, Oda, Shown, TapReport, Timing, Told, Verdict
from tpsd.domain.time import Micros
from tpsd.store import commits
from tpsd.store.connection import Connection
from tpsd.store.queries import load

S = load("spool")

Open = Callable[[Sequence[tuple[Any, ...]]], dict[str, bytes]]
"""Opens what is sealed of an owner, by its purpose."""


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
    def uuid(self) -> str | None:
        """Its transaction's, if it can have one."""
        return None if self.candidate.draft is None else str(self.candidate.draft.uuid)

    @property
    def told(self) -> Told | None:
        """Its verdict, with what was charged where it lets in."""
        told = self.decision.told
        if told is None or self.asked is None or not told.verdict.accepts:
            return told
        approved = self.asked.approved_amount
        return replace(told, amount=self.candidate.amount if approved is None else approved)

    @property
    def rode(self) -> bool:
        """Whether nothing took its acceptance back."""
        return self.cancelled is None and self.candidate.report.shown is not Shown.TURNED_AWAY

    @property
    def version(self) -> tuple[int, int, int | None, str | None]:
        """What is different once something became of it: its number, repeats, delivery and state."""
        if self.asked is None:
            state = self.decision.state
            return self.number, self.repeats, None, _state(state, self.cancelled)
        return self.number, self.repeats, self.asked.delivered, self.asked.state.value


@dataclass(frozen=True, slots=True)
class Found:
    """What is read of a tap, still sealed."""

    row: tuple[Any, ...]
    sealed: list[tuple[Any, ...]]
    notices: tuple[NoticeDraft, ...]
    followers: list[tuple[tuple[Any, ...], list[tuple[Any, ...]]]]


def first(connection: Connection, limit: int, after: int) -> list[Found]:
    """Some of what waits behind a tap, the oldest first."""
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
        found.append(Found(row, sealed, notices, followers))
    return found


def read(found: Found, opened: Open) -> Spooled:
    """What was found, opened."""
    number, tried, at, repeats, *rest = found.row
    tap, authorisation, asked = rest[:29], rest[29:39], rest[39:]
    spooled = _spooled((number, tried, at, repeats), tap, authorisation, opened(found.sealed), found.notices)
    candidate = _timed(spooled.candidate, asked[0])
    if asked[3] != Timing.REALTIME.value:
        return replace(spooled, candidate=candidate)
    decision = replace(spooled.decision, state=State.SENDING, asking=Asking())
    followers = tuple(_follower(row, opened(sealed)) for row, sealed in found.followers)
    whole = _asked(authorisation[2], authorisation[3], asked[1:], followers)
    return replace(spooled, candidate=candidate, decision=decision, cancelled=None, asked=whole)


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
