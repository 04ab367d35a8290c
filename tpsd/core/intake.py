"""Intake: from a tap as a link delivered it to the verdict and the rows of commit 1 (design 1 and 2).

``prepare`` needs no store and runs before the transaction: it reads the card, applies the local checks and makes
the request's bytes. ``decide`` runs inside the transaction with what the journal knows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import assert_never
from uuid import UUID

from device.tlv import encode
from tpsd.core.notices import cause_key
from tpsd.core.passback import OFF, THE_REST, CardPast, PassBack, weigh
from tpsd.core.requests import TransactionRequest
from tpsd.core.taptime import CLOCK_FLOOR, has_own_time, received_less_age, tap_time
from tpsd.domain.authorisation import Draft, Ladder, State
from tpsd.domain.card import CardReading, CardToken, MaskedPan
from tpsd.domain.notice import NoticeDraft, NoticeKind
from tpsd.domain.tap import Disposition, Kind, Oda, Shown, TapReport, Told, Verdict
from tpsd.domain.time import Micros
from tpsd.emv import tapdata
from tpsd.emv.reading import card_token, read_card

KIND_BY_CODE = {
    0x01: Kind.MTT,
    0x02: Kind.KFT,
    0x03: Kind.KFT,
    0x04: Kind.RETAIL_PAYMENT,
    0x05: Kind.RETAIL_CHECK_IN,
    0x06: Kind.RETAIL_CHECK_OUT,
}
"""VL1's DF8A03; 00 means the lane's own kind, 07 check-in or check-out by the open journey."""

KIND_OF_LANE = 0x00
KIND_BY_JOURNEY = 0x07
REALTIME_CODES = frozenset({0x03, 0x04, 0x05, 0x06, KIND_BY_JOURNEY})


@dataclass(frozen=True, slots=True)
class LanePolicy:
    """What a lane allows and charges. Amounts in minor units."""

    name: str
    kinds: frozenset[Kind]
    kind: Kind
    fare: int
    amount_limit: int
    zero_allowed: bool
    credential: str
    terminal_sn: str | None = None
    terminal_type: str | None = None
    pass_back: PassBack = OFF
    pass_group: str | None = None  # None: the lane alone
    untokenised_denied: bool = False
    realtime: bool = False  # TPS's answer is the verdict


@dataclass(frozen=True, slots=True)
class Operator:
    """Who the taps belong to, as Sfey numbers them."""

    company_id: int
    stock_location_id: int
    currency: str


@dataclass(frozen=True, slots=True)
class CardKeys:
    """Keys for card data: SALT for tokens, TTK for mode 01; either may be absent."""

    salt: bytes | None = field(default=None, repr=False)
    ttk: tapdata.Ttk | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """Everything ``prepare`` needs that is not the tap: the configuration in force, as values."""

    operator: Operator
    keys: CardKeys
    ladder: Ladder
    production: bool
    config_digest: str
    serialise: Callable[[TransactionRequest], tuple[str, bytes]]
    digest: Callable[[bytes], bytes]
    clock_floor: Micros = CLOCK_FLOOR


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tap ready for its transaction. ``draft`` is None when it can never be sent."""

    report: TapReport
    lane: str
    pass_group: str
    pass_back: PassBack
    terminal: str
    digest: bytes
    tapped_at: Micros
    kind: Kind | None
    amount: int | None
    currency: str | None
    token: CardToken | None
    masked: MaskedPan | None
    local: Told
    draft: Draft | None
    card: bytes | None = field(repr=False)  # BER-TLV as it arrived, sealed beside the body for a rebuild
    ladder: Ladder
    config_digest: str
    clock_life: str | None = None  # the life whose clock stamped it before that knew the time

    @property
    def untimed(self) -> bool:
        """Whether something of it waits until the time is known."""
        return self.clock_life is not None or (self.draft is not None and self.draft.body is None)

    @property
    def asks_of_card(self) -> bool:
        """Whether the verdict depends on the card's past or a list: for some reasons it is clear without."""
        return self.token is not None and self.local.reason in THE_REST


@dataclass(frozen=True, slots=True)
class KnownTap:
    """The row a repeated tap finds."""

    number: int
    told: Told
    disposition: Disposition | None
    state: State | None
    attempts: int
    unseen: bool
    shown: Shown = Shown.NOTHING  # what the validator last said it has shown
    pruned: bool = False  # only its identity and verdict are kept


@dataclass(frozen=True, slots=True)
class Facts:
    """What the journal knows when a tap arrives.

    ``clash``: the same identity stands with other content. ``held_cause``: why this terminal's rows are held.
    ``card_past``: for the lane's pass-back, None where it is off. ``denied``: the card stands on a deny list.
    """

    known: KnownTap | None = None
    clash: bool = False
    held_cause: str | None = None
    card_past: CardPast | None = None
    denied: bool = False


class Effect(Enum):
    """What a repeat does to the row it repeats."""

    NONE = "none"
    CANCEL = "cancel"  # turned away before anything was sent
    UNSEEN = "unseen"  # turned away, but a request may have left
    REVIVE = "revive"  # let in meanwhile although it had been denied: it is sent after all


@dataclass(frozen=True, slots=True)
class Decision:
    """What commit 1 writes. ``known`` names the row this tap repeats; then only ``effect`` is applied."""

    told: Told
    known: int | None = None
    effect: Effect = Effect.NONE
    disposition: Disposition | None = None
    state: State | None = None
    cause: str | None = None
    note: str | None = None
    notices: tuple[NoticeDraft, ...] = ()


def prepare(
    report: TapReport, lane: LanePolicy, setting: Setting, uuid: UUID, untrusted: str | None = None
) -> Candidate:
    """Read the card, apply the local checks in the order of design 2, and make the request's bytes.

    ``untrusted``: the life whose clock took it before that knew the time; then the bytes wait, and the card's
    expiry is judged only by a usable stamp of the tap's own.
    """
    terminal_sn = lane.terminal_sn or report.serial
    terminal_type = lane.terminal_type or report.type_name
    clock_life = None if has_own_time(report, setting.clock_floor) else untrusted
    tapped_at = tap_time(report, setting.clock_floor) if clock_life is None else received_less_age(report)
    kind = lane.kind if report.kind == KIND_OF_LANE else KIND_BY_CODE.get(report.kind)
    amount = lane.fare if report.amount is None else report.amount
    currency = report.currency or setting.operator.currency
    report = report.masked()
    data = None if report.fault else tapdata.read(report.card)
    clear = data.clear if isinstance(data, tapdata.TapData) else ()
    card = read_card(clear)
    token = card_token(setting.keys.salt, card.pan) if setting.keys.salt and card.pan else report.token
    judged_at = None if clock_life is not None else tapped_at
    local = _check(report, data, kind, amount, currency, card, judged_at, lane, setting)
    if local.verdict.accepts and token is None and lane.untokenised_denied:
        local = Told(Verdict.DENIED, "untokenised")
    draft = None
    if isinstance(data, tapdata.TapData) and kind in lane.kinds and _sendable(local):
        request = TransactionRequest(
            uuid=uuid,
            company_id=setting.operator.company_id,
            stock_location_id=setting.operator.stock_location_id,
            terminal_sn=terminal_sn,
            terminal_type=terminal_type,
            validator_serial=report.serial,
            validator_type=report.type_name,
            type=kind.value,
            tapped_at=tapped_at,
            amount=amount,
            currency=currency,
            pan_token=token,
            tag=tapdata.envelope(data, setting.keys.ttk),
        )
        path, body = setting.serialise(request)  # without a time too: what cannot be made is seen now
        draft = Draft(uuid, kind.value, path, body, lane.credential, amount, currency)
        if untrusted is not None:
            draft = replace(draft, path="", body=None)
    priced = report.amount is not None or local.verdict is not Verdict.TRY_AGAIN
    return Candidate(
        report=report,
        lane=lane.name,
        pass_group=lane.pass_group or lane.name,
        pass_back=lane.pass_back,
        terminal=f"{terminal_type}:{terminal_sn}",
        digest=setting.digest(report.fingerprint),
        tapped_at=tapped_at,
        kind=kind,
        amount=amount if priced else None,
        currency=currency if priced else None,
        token=token,
        masked=card.masked,
        local=local,
        draft=draft,
        card=encode(report.card) if draft else None,
        ladder=setting.ladder,
        config_digest=setting.config_digest,
        clock_life=clock_life,
    )


def decide(candidate: Candidate, facts: Facts) -> Decision:
    """The verdict and the rows, given what the journal knows of this tap and its terminal."""
    if facts.known is not None:
        return _repeat(candidate, facts.known, facts.held_cause)
    notices = (_clash(candidate),) if facts.clash else ()
    shown = candidate.report.shown
    if shown is Shown.TURNED_AWAY:
        return Decision(Told(Verdict.DENIED, "turned_away"), disposition=Disposition.DENIED, notices=notices)
    told = weigh(candidate.local, candidate.pass_back, facts.card_past, facts.denied)
    if shown is Shown.LET_IN and candidate.draft is None:
        notices = (*notices, _let_in_unsent(candidate, told.reason))
    if told.verdict is Verdict.TRY_AGAIN:
        return Decision(told, disposition=Disposition.REJECTED, notices=notices)
    if candidate.draft is None or (shown is Shown.NOTHING and not told.verdict.accepts):
        repeat = told.verdict is Verdict.ALREADY_TAPPED
        return Decision(told, disposition=Disposition.REPEAT if repeat else Disposition.DENIED, notices=notices)
    note = None
    if not told.verdict.accepts:
        told, note = Told(Verdict.ACCEPTED, "let_in"), told.reason
    state, joining = _start(facts.held_cause)
    return Decision(told, state=state, cause=facts.held_cause, note=note, notices=(*notices, *joining))


def _repeat(candidate: Candidate, known: KnownTap, held_cause: str | None) -> Decision:
    if known.pruned:
        return _repeat_of_pruned(candidate, known)
    shown = candidate.report.shown
    match shown:
        case Shown.NOTHING:
            return Decision(known.told, known=known.number)
        case Shown.TURNED_AWAY:
            let_in = known.told.verdict.accepts or known.shown is Shown.LET_IN
            if not let_in or known.unseen or known.state in (None, State.NOT_CHARGED):
                return Decision(known.told, known=known.number)
            if known.state in (State.PENDING, State.HELD) and known.attempts == 0:
                return Decision(known.told, known=known.number, effect=Effect.CANCEL, cause="turned_away")
            return Decision(
                known.told,
                known=known.number,
                effect=Effect.UNSEEN,
                notices=(_turned_away_late(candidate),),
            )
        case Shown.LET_IN:
            return _let_in_after_all(candidate, known, held_cause)
        case _:
            assert_never(shown)


def _repeat_of_pruned(candidate: Candidate, known: KnownTap) -> Decision:
    """The same verdict. What was shown can change nothing any more, so a person hears of a contradiction, once."""
    shown = candidate.report.shown
    let_in = known.told.verdict.accepts or known.shown is Shown.LET_IN
    unpaid = known.disposition is not None or known.state is State.NOT_CHARGED
    notices: tuple[NoticeDraft, ...] = ()
    if shown is Shown.TURNED_AWAY and let_in and not unpaid and not known.unseen:
        notices = (_turned_away_late(candidate),)
    elif shown is Shown.LET_IN and unpaid:
        notices = (_let_in_unsent(candidate, known.told.reason),)
    if shown is known.shown:
        notices = ()  # a validator repeats itself every two seconds
    return Decision(known.told, known=known.number, notices=notices)


def _let_in_after_all(candidate: Candidate, known: KnownTap, held_cause: str | None) -> Decision:
    if known.disposition in (Disposition.DENIED, Disposition.REPEAT) and candidate.draft is not None:
        state, joining = _start(held_cause)
        return Decision(
            known.told,
            known.number,
            Effect.REVIVE,
            state=state,
            cause=held_cause,
            note="let_in",
            notices=joining,
        )
    unpaid = known.disposition is not None or known.state is State.NOT_CHARGED
    news = known.shown is not Shown.LET_IN  # a validator repeats itself every two seconds
    notices = (_let_in_unsent(candidate, known.told.reason),) if unpaid and news else ()
    return Decision(known.told, known=known.number, notices=notices)


def _start(held_cause: str | None) -> tuple[State, tuple[NoticeDraft, ...]]:
    """The first state of an authorisation; one that joins the held ones of its terminal is told of like them."""
    if held_cause is None:
        return State.PENDING, ()
    joined = NoticeDraft(
        NoticeKind.HELD, cause_key(NoticeKind.HELD, held_cause), "joined its terminal's held taps unsent"
    )
    return State.HELD, (joined,)


def _check(
    report: TapReport,
    data: tapdata.TapData | tapdata.CardFault | None,
    kind: Kind | None,
    amount: int,
    currency: str,
    card: CardReading,
    judged_at: Micros | None,
    lane: LanePolicy,
    setting: Setting,
) -> Told:
    if report.fault is not None or data is None:
        return Told(Verdict.TRY_AGAIN, "malformed")
    if kind is None and report.kind != KIND_BY_JOURNEY:
        return Told(Verdict.TRY_AGAIN, "unknown_kind")
    if isinstance(data, tapdata.CardFault):
        return Told(Verdict.TRY_AGAIN, data.reason)
    if kind not in lane.kinds or report.kind in REALTIME_CODES:
        return Told(Verdict.DENIED, "kind")
    if currency != setting.operator.currency:
        return Told(Verdict.DENIED, "currency")
    if amount > lane.amount_limit or (amount == 0 and not lane.zero_allowed):
        return Told(Verdict.DENIED, "amount_limit")
    if data.mode == tapdata.CLEAR_MODE and setting.production and setting.keys.ttk is None:
        return Told(Verdict.DENIED, "mode")
    if judged_at is not None and card.expiry is not None:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=judged_at)
        if card.expiry.is_past(moment.year, moment.month):
            return Told(Verdict.DENIED, "expired")
    if report.oda is Oda.FAILED:
        return Told(Verdict.DENIED, "oda")
    return Told(Verdict.ACCEPTED, "ok")


def _sendable(local: Told) -> bool:
    # A tap of another kind or in clear in production cannot be sent whatever the passenger was shown.
    return local.reason not in ("kind", "mode") and local.verdict is not Verdict.TRY_AGAIN


def _clash(candidate: Candidate) -> NoticeDraft:
    return NoticeDraft(
        NoticeKind.ALARM,
        cause_key(NoticeKind.ALARM, "tap_identity", candidate.terminal),
        f"tap {candidate.report.tap_id} came with other content: a swapped board or a reset counter",
    )


def _turned_away_late(candidate: Candidate) -> NoticeDraft:
    return NoticeDraft(
        NoticeKind.UNSEEN,
        cause_key(NoticeKind.UNSEEN, "turned_away", candidate.terminal),
        "the tap was accepted and may have been sent, but the validator turned the passenger away",
    )


def _let_in_unsent(candidate: Candidate, reason: str) -> NoticeDraft:
    return NoticeDraft(
        NoticeKind.UNSEEN,
        cause_key(NoticeKind.UNSEEN, reason, candidate.terminal),
        "the passenger was let in, but the tap cannot be sent",
    )
