"""Taps, candidates and settlements for the journal's tests. Scheme test cards only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

from device.tlv import Tlv
from tpsd.core.answering import Ending, Policy, Waiting
from tpsd.core.answering import settle as settle_asked
from tpsd.core.intake import Candidate, CardKeys, Decision, Facts, LanePolicy, Operator, Setting, decide, prepare
from tpsd.core.notices import Totals, close_window
from tpsd.core.outcomes import classify
from tpsd.core.retry import DEFAULT_LADDER
from tpsd.core.settlement import Settlement
from tpsd.core.settlement import settle as settle_tap
from tpsd.domain.authorisation import Claimed
from tpsd.domain.notice import Episode, MailDraft, NoticeRow
from tpsd.domain.outcome import Answer, Exchange, NoAnswer, NoConnection, Outcome
from tpsd.domain.tap import Kind, TapReport
from tpsd.domain.time import SECOND, Micros
from tpsd.ports import Journal, Taken, WindowPlan
from tpsd.sfey.messages import transaction
from tpsd.sfey.wire import DEVICE_V1

NOW = Micros(1_790_000_000_000_000)  # 2026-09-21T13:33:20Z
VISA = "4761739001010119"
MASTERCARD = "5413330089010012"
TERMINAL = "GATE-X1:VAL00042"
SALT = bytes(range(32))

APPROVED, DECLINED = Answer(200, action_code="000"), Answer(200, action_code="116")
TAP_REFUSED, TERMINAL_REFUSED = Answer(400, system_code=60), Answer(400, system_code=41)
UNAVAILABLE, SILENCE, NO_CONNECTION = Answer(503), NoAnswer("timeout"), NoConnection("connect")

LANE = LanePolicy(
    name="gate-1",
    kinds=frozenset({Kind.MTT}),
    kind=Kind.MTT,
    fare=250,
    amount_limit=10_000,
    zero_allowed=True,
    credential="common",
)


def after(seconds: float) -> Micros:
    """The instant so long after NOW."""
    return Micros(NOW + int(seconds * SECOND))


def card(pan: str = VISA, expiry: str = "3112") -> tuple[Tlv, ...]:
    """Clear tap data, mode 00."""
    inner = (Tlv(0x57, bytes.fromhex(f"{pan}D{expiry}2011758928889")), Tlv(0x9F36, b"\x00\x2a"))
    return (Tlv(0xDFFF8401, b"\x00"), Tlv.template(0xFFFF8406, inner))


def report(counter: int | None = 1, *, content: bytes = b"", **fields: Any) -> TapReport:
    """One tap of VAL00042's third life. ``content`` makes another payload of the same identity."""
    name = b"tap %d" % counter if counter is not None else b"no name"
    values: dict[str, Any] = {
        "serial": "VAL00042",
        "type_name": "GATE-X1",
        "boot": None if counter is None else 3,
        "counter": counter,
        "received_at": NOW,
        "tapped_at": NOW,
        "fingerprint": name + content,
        "payload": name + content + VISA.encode(),
        "card": () if "fault" in fields else card(),
    }
    return TapReport(**(values | fields))


def setting(journal: Journal, **fields: Any) -> Setting:
    """The configuration in force."""
    values: dict[str, Any] = {
        "operator": Operator(1001, 42, "978"),
        "keys": CardKeys(SALT),
        "ladder": DEFAULT_LADDER,
        "production": False,
        "config_digest": "c0ffee",
        "serialise": lambda request: transaction(DEVICE_V1, request),
        "digest": journal.digest,
    }
    return Setting(**(values | fields))


def candidate(journal: Journal, tap: TapReport, lane: LanePolicy = LANE, uuid: UUID | None = None) -> Candidate:
    """The tap as the lane would hand it to the journal."""
    return prepare(tap, lane, setting(journal), uuid or uuid4())


async def take(
    journal: Journal,
    counter: int | None = 1,
    *,
    now: Micros = NOW,
    credential: str = "common",
    uuid: UUID | None = None,
    **fields: Any,
) -> Taken:
    """Commit 1 of one tap; the other arguments are those of ``report``."""
    lane = replace(LANE, credential=credential)
    return await journal.take(candidate(journal, report(counter, **fields), lane, uuid), decide, now)


async def take_many(journal: Journal, counters: Sequence[int], **fields: Any) -> list[Taken]:
    """Many taps, handed in at once."""
    return list(await asyncio.gather(*(take(journal, counter, **fields) for counter in counters)))


async def claim_one(journal: Journal, now: Micros = NOW) -> Claimed:
    """The only due row."""
    (claimed,) = await journal.claim(now, 10)
    return claimed


def outcome_of(claimed: Claimed, exchange: Exchange, ended_at: Micros | None = None) -> tuple[Outcome, Settlement]:
    """What the dispatcher would decide, without jitter."""
    outcome = classify(exchange)
    settlement = settle_tap(
        claimed.progress,
        outcome,
        started_at=claimed.started_at,
        ended_at=claimed.started_at if ended_at is None else ended_at,
        jitter_draw=0.0,
        jitter_share=0.0,
        terminal=claimed.terminal,
    )
    return outcome, settlement


async def settle(journal: Journal, claimed: Claimed, exchange: Exchange, ended_at: Micros | None = None) -> Settlement:
    """Commit 3."""
    ended_at = claimed.started_at if ended_at is None else ended_at
    outcome, settlement = outcome_of(claimed, exchange, ended_at)
    await journal.settle(claimed, outcome, settlement, ended_at)
    return settlement


async def send(journal: Journal, exchange: Exchange, now: Micros = NOW) -> Settlement:
    """Claim the only due row and settle it."""
    return await settle(journal, await claim_one(journal, now), exchange)


async def fail_for_good(journal: Journal, exchange: Exchange = SILENCE) -> None:
    """Run the whole ladder of the only row."""
    due: Micros | None = NOW
    while due is not None:
        due = (await send(journal, exchange, due)).due


def crashed(claimed: Claimed) -> tuple[Outcome, Settlement]:
    """What recovery decides about an attempt that was under way."""
    return outcome_of(claimed, NoAnswer("crash"))


def crashed_asked(waiting: Waiting) -> Ending:
    """What recovery decides about a realtime attempt that was under way."""
    return settle_asked(waiting, classify(NoAnswer("crash")), Policy(), number=1, ended_at=NOW)


def closer(now: Micros) -> Callable[[Episode, Sequence[NoticeRow], Totals], WindowPlan]:
    """Closes windows as the daemon does; the mail's text tells its rows and totals."""

    def close(episode: Episode, rows: Sequence[NoticeRow], totals: Totals) -> WindowPlan:
        closed = close_window(episode, rows, now, totals)
        mail = None
        if closed.mail is not None or closed.all_clear:
            listed = closed.mail or ()
            subject = "all clear" if closed.all_clear else f"{closed.totals.count} taps, {closed.totals.amount} in all"
            text = "\n".join(f"{row.tap_id} {row.amount} {row.masked} {row.last_cause}" for row in listed)
            mail = MailDraft(f"<{episode.cause}-{episode.step}-{now}@test>", subject, text, now)
        return WindowPlan(mail, closed.next_episode)

    return close


def refusing(error: Exception) -> Callable[[Candidate, Facts], Decision]:
    """A decision function with a surprise in it."""

    def surprise(_candidate: Candidate, _facts: Facts) -> Decision:
        raise error

    return surprise
