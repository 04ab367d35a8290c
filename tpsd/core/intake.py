"""Intake: from a tap as a link delivered it to the verdict and the rows of commit 1 (design 1 and 2).

``prepare`` needs no store and runs before the transaction: it reads the card, applies the local checks and makes
the request's bytes. ``decide`` runs inside the transaction with what the journal knows.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, assert_never
from uuid import UUID, uuid5

from device.tlv import encode
from tpsd.core import asking
from tpsd.core.candidate import (
    DEFERRED_CODES,
    JOURNEY_KINDS,
    KIND_BY_CODE,
    KIND_BY_JOURNEY,
    KIND_OF_LANE,
    REALTIME_CODES,
    Candidate,
    CardKeys,
    Decision,
    Effect,
    Facts,
    KnownTap,
    LanePolicy,
    Operator,
    Setting,
)
from tpsd.core.device_keys import SALT, check_value
from tpsd.core.fares import Fare, price
from tpsd.core.following import Place, closing
from tpsd.core.keeping import card_facts
from tpsd.core.listage import STALE, turns_away
from tpsd.core.notices import cause_key
from tpsd.core.passback import weigh
from tpsd.core.requests import TransactionRequest, follows_another
from tpsd.core.taptime import has_own_time, received_less_age, tap_time
from tpsd.domain.authorisation import Draft, State
from tpsd.domain.card import CardReading, CardToken
from tpsd.domain.journey import Journey
from tpsd.domain.notice import NoticeDraft, NoticeKind
from tpsd.domain.tap import Disposition, Kind, Oda, Shown, TapReport, Told, Verdict
from tpsd.domain.time import Micros
from tpsd.emv import tapdata
from tpsd.emv.reading import card_token, read_card

__all__ = [
    "KIND_BY_CODE",
    "KIND_BY_JOURNEY",
    "KIND_OF_LANE",
    "Candidate",
    "CardKeys",
    "Decision",
    "Effect",
    "Facts",
    "KnownTap",
    "LanePolicy",
    "Operator",
    "Setting",
    "clash",
    "decide",
    "first_state",
    "kind_of",
    "prepare",
    "tokens_of",
    "told_of_let_in",
    "turned_away_late",
]

_NEVER_SENT: Final = frozenset({"kind", "mode", "clock", "stale", "no_fare", "no_token", "no_check_in"})
"""Reasons of a tap that cannot be sent whatever the passenger was shown."""

_AFTER_THE_CARD: Final = frozenset({"expired", "oda"})
"""What a check-out is not refused for: the journey must end, and TPS judges the card."""


@dataclass(frozen=True, slots=True)
class _Read:
    """A tap's card data, read once."""

    data: tapdata.TapData | tapdata.CardFault | None
    card: CardReading
    token: CardToken | None  # under the token key in force
    also: tuple[CardToken, ...] = ()  # under others that are honoured
    keys: tuple[bytes, ...] = field(default=(), repr=False)  # of the token and of those others, in their order


@dataclass(frozen=True, slots=True)
class _Asked:
    """What TPS is asked about a tap."""

    uuid: UUID
    kind: Kind
    tapped_at: Micros
    amount: int
    currency: str
    token: CardToken | None
    initial: str | None
    tag: bytes = field(repr=False)


def prepare(
    report: TapReport,
    lane: LanePolicy,
    setting: Setting,
    uuid: UUID,
    untrusted: str | None = None,
    journey: Journey | None = None,
    *,
    list_is_stale: bool = False,
) -> Candidate:
    """Read the card, apply the local checks in the order of design 2, and make the request's bytes.

    ``untrusted``: the life whose clock took it before that knew the time; then the bytes wait, and the card's
    expiry is judged only by a usable stamp of the tap's own. ``journey``: the card's open one, as last read.
    ``list_is_stale``: TPS's deny list is older than the configuration allows.
    """
    terminal_sn, terminal_type = lane.terminal_sn or report.serial, lane.terminal_type or report.type_name
    clock_life = None if has_own_time(report, setting.clock_floor) else untrusted
    tapped_at = tap_time(report, setting.clock_floor) if clock_life is None else received_less_age(report)
    over = journey is not None and report.received_at - journey.opened_at > setting.journey_us
    kind = kind_of(report, lane, None if over else journey)
    start = None if journey is None else journey.zone
    currency = report.currency or setting.operator.currency
    report = report.masked()
    zone = report.stop or lane.zone
    amount = price(kind, Fare(report.amount, lane.fare, zone, start), setting.zones)
    read = _read(report, setting)
    judged_at = None if clock_life is not None else tapped_at
    ttk = setting.keys.ttk_of(f"{terminal_type}:{terminal_sn}")
    clear_goes = ttk is not None or not setting.production
    local = _check(report, read, kind, amount, currency, judged_at, lane, setting, journey, clear_goes=clear_goes)
    if _sendable(local) and lane.realtime and untrusted is not None:
        local = Told(Verdict.OUT_OF_SERVICE, "clock")
    if local.verdict.accepts and read.token is None and lane.untokenised_denied:
        local = Told(Verdict.DENIED, "untokenised")
    place = Place(terminal_sn, terminal_type, report.serial, report.type_name, lane.credential)
    draft = None
    if isinstance(read.data, tapdata.TapData) and kind in lane.kinds and amount is not None and _sendable(local):
        initial = journey.check_in if journey is not None and follows_another(kind.value) else None
        asked = _Asked(uuid, kind, tapped_at, amount, currency, read.token, initial, tapdata.envelope(read.data, ttk))
        draft = _draft(asked, place, setting)
        if untrusted is not None:
            draft = replace(draft, path="", body=None)
    ending = None
    if draft is not None and kind is Kind.RETAIL_CHECK_IN and journey is not None and lane.closes_old_journey:
        ending = closing(journey, uuid5(draft.uuid, "closing"), place, setting)
    names = _names(read)
    token = journey.token if journey is not None and journey.token in read.also else read.token
    priced = report.amount is not None or local.verdict is not Verdict.TRY_AGAIN
    stale = list_is_stale and read.token is not None and not lane.realtime  # TPS's own answer needs no list
    clear = (read.data.clear or read.data.as_arrived) if isinstance(read.data, tapdata.TapData) else ()
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
        masked=read.card.masked or report.masked_pan,
        local=local,
        draft=draft,
        card=encode(report.card) if draft and not lane.realtime else None,
        ladder=setting.ladder,
        config_digest=setting.config_digest,
        clock_life=clock_life,
        operator=setting.operator.company_id,
        realtime=lane.realtime,
        journey=journey,
        journey_over=over,
        closes_old_journey=lane.closes_old_journey,
        closing=ending,
        enquires=setting.enquires,
        zone=zone,
        facts=card_facts(clear, read.card.pan),
        also=tuple(name for name in names if name != token),
        token_key=_version(read, token),
        list_is_stale=stale,
        stale_denies=stale and turns_away(lane.stale_accepts_below, amount),
    )


def _draft(asked: _Asked, place: Place, setting: Setting) -> Draft:
    """The request's bytes, also while the time is not known: what cannot be made is seen now."""
    request = TransactionRequest(
        uuid=asked.uuid,
        company_id=setting.operator.company_id,
        stock_location_id=setting.operator.stock_location_id,
        terminal_sn=place.terminal_sn,
        terminal_type=place.terminal_type,
        validator_serial=place.serial,
        validator_type=place.type_name,
        type=asked.kind.value,
        tapped_at=asked.tapped_at,
        amount=asked.amount,
        currency=asked.currency,
        pan_token=asked.token,
        tag=asked.tag,
        initial_uuid=None if asked.initial is None else UUID(asked.initial),
    )
    path, body = setting.serialise(request)
    return Draft(
        asked.uuid, asked.kind.value, path, body, place.credential, asked.amount, asked.currency, asked.initial
    )


def kind_of(report: TapReport, lane: LanePolicy, journey: Journey | None) -> Kind | None:
    """What a tap is: as it says, else as its lane says, else by whether the card's journey is open.

    None for a number that means nothing.
    """
    if report.kind not in (KIND_OF_LANE, KIND_BY_JOURNEY):
        return KIND_BY_CODE.get(report.kind)
    if report.kind == KIND_OF_LANE and lane.kind is not None:
        return lane.kind
    open_one = journey is not None and journey.state.travels
    return Kind.RETAIL_CHECK_OUT if open_one else Kind.RETAIL_CHECK_IN


def tokens_of(report: TapReport, setting: Setting) -> tuple[CardToken, ...]:
    """By what names the journal may know the card, that of the token key in force first; none of what has none."""
    return _names(_read(report, setting))


def _names(read: _Read) -> tuple[CardToken, ...]:
    return read.also if read.token is None else (read.token, *read.also)


def _read(report: TapReport, setting: Setting) -> _Read:
    data = None if report.fault else tapdata.read(report.card)
    card = read_card(data.clear if isinstance(data, tapdata.TapData) else ())
    keys, pan = setting.keys, card.pan
    if not keys.salt or not pan:
        return _Read(data, card, report.token)
    token = card_token(keys.salt, pan)
    others = (*(card_token(salt, pan) for salt in keys.honoured), report.token)
    also = tuple(name for name in others if name is not None and name != token)
    return _Read(data, card, token, also, (keys.salt, *keys.honoured))


def _version(read: _Read, token: CardToken | None) -> str | None:
    """Of the key that a token was made under; None where that is none of ours."""
    made = zip(_names(read), read.keys, strict=False)  # a validator's own token has no key here
    return next((check_value(SALT, key) for name, key in made if name == token), None)


def decide(candidate: Candidate, facts: Facts) -> Decision:
    """The verdict and the rows, given what the journal knows of this tap and its terminal.

    Raises asking.JourneyMovedError.
    """
    if facts.known is not None:
        return _repeat(candidate, facts.known, facts.held_cause)
    notices = (clash(candidate),) if facts.clash else ()
    shown = candidate.report.shown
    if shown is Shown.TURNED_AWAY:
        return Decision(Told(Verdict.DENIED, "turned_away"), disposition=Disposition.DENIED, notices=notices)
    asking.check_journey(candidate, facts)
    listed = facts.denied and candidate.kind is not Kind.RETAIL_CHECK_OUT  # the journey must end
    told = weigh(candidate.local, candidate.pass_back, facts.card_past, listed, candidate.stale_denies)
    if shown is Shown.LET_IN and candidate.draft is None:
        notices = (*notices, _let_in_unsent(candidate, told.reason))
    if told.verdict is Verdict.TRY_AGAIN:
        return Decision(told, disposition=Disposition.REJECTED, notices=notices)
    if candidate.draft is None or (shown is Shown.NOTHING and not told.verdict.accepts):
        return Decision(told, disposition=_DISPOSITIONS.get(told.reason, Disposition.DENIED), notices=notices)
    if candidate.realtime:
        return told_of_let_in(candidate, asking.begin(candidate, facts, told, notices))
    note = STALE if candidate.list_is_stale else None  # "why was this card let in on Tuesday?"
    if not told.verdict.accepts:
        told, note = Told(Verdict.ACCEPTED, "let_in"), told.reason
    state, joining = first_state(facts.held_cause)
    return Decision(told, state=state, cause=facts.held_cause, note=note, notices=(*notices, *joining))


def told_of_let_in(candidate: Candidate, decision: Decision) -> Decision:
    """A passenger who was let in and whose tap TPS is not asked about, told of."""
    if decision.told is None or candidate.report.shown is not Shown.LET_IN:
        return decision
    unsent = _let_in_unsent(candidate, decision.told.reason)
    return replace(decision, notices=(*decision.notices, unsent))


_DISPOSITIONS: Final = {"repeat": Disposition.REPEAT, "stale": Disposition.STALE}


def _repeat(candidate: Candidate, known: KnownTap, held_cause: str | None) -> Decision:
    if known.pruned:
        return _repeat_of_pruned(candidate, known)
    shown = candidate.report.shown
    if known.told is None:
        # Its answer finds on the row what the passenger was shown meanwhile.
        return Decision(None, known=known.number)
    match shown:
        case Shown.NOTHING:
            return Decision(known.told, known=known.number)
        case Shown.TURNED_AWAY:
            if not _let_in(known) or known.unseen or known.state in (None, State.NOT_CHARGED):
                return Decision(known.told, known=known.number)
            if known.state in (State.PENDING, State.HELD) and known.attempts == 0:
                return Decision(known.told, known=known.number, effect=Effect.CANCEL, cause="turned_away")
            return Decision(
                known.told,
                known=known.number,
                effect=Effect.UNSEEN,
                notices=(turned_away_late(candidate),),
            )
        case Shown.LET_IN:
            return _let_in_after_all(candidate, known, held_cause)
        case _:
            assert_never(shown)


def _repeat_of_pruned(candidate: Candidate, known: KnownTap) -> Decision:
    """The same verdict. What was shown can change nothing any more, so a person hears of a contradiction, once."""
    shown = candidate.report.shown
    unpaid = known.disposition is not None or known.state is State.NOT_CHARGED
    notices: tuple[NoticeDraft, ...] = ()
    if shown is Shown.TURNED_AWAY and _let_in(known) and not unpaid and not known.unseen:
        notices = (turned_away_late(candidate),)
    elif shown is Shown.LET_IN and unpaid:
        notices = (_let_in_unsent(candidate, _reason(known)),)
    if shown is known.shown:
        notices = ()  # a validator repeats itself every two seconds
    return Decision(known.told, known=known.number, notices=notices)


def _let_in_after_all(candidate: Candidate, known: KnownTap, held_cause: str | None) -> Decision:
    deferred = not candidate.realtime  # a realtime tap's time is over: nobody may send it late (design 2)
    if known.disposition in (Disposition.DENIED, Disposition.REPEAT) and candidate.draft is not None and deferred:
        state, joining = first_state(held_cause)
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
    unpaid = unpaid or (candidate.realtime and known.state in _UNPAID)
    news = known.shown is not Shown.LET_IN  # a validator repeats itself every two seconds
    notices = (_let_in_unsent(candidate, _reason(known)),) if unpaid and news else ()
    return Decision(known.told, known=known.number, notices=notices)


def first_state(held_cause: str | None) -> tuple[State, tuple[NoticeDraft, ...]]:
    """The first state of an authorisation; one that joins the held ones of its terminal is told of like them."""
    if held_cause is None:
        return State.PENDING, ()
    joined = NoticeDraft(
        NoticeKind.HELD, cause_key(NoticeKind.HELD, held_cause), "joined its terminal's held taps unsent"
    )
    return State.HELD, (joined,)


def _check(
    report: TapReport,
    read: _Read,
    kind: Kind | None,
    amount: int | None,
    currency: str,
    judged_at: Micros | None,
    lane: LanePolicy,
    setting: Setting,
    journey: Journey | None,
    *,
    clear_goes: bool,
) -> Told:
    if report.fault is not None or read.data is None:
        return Told(Verdict.TRY_AGAIN, "malformed")
    if kind is None:
        return Told(Verdict.TRY_AGAIN, "unknown_kind")
    if isinstance(read.data, tapdata.CardFault):
        return Told(Verdict.TRY_AGAIN, read.data.reason)
    if kind not in lane.kinds or report.kind in (DEFERRED_CODES if lane.realtime else REALTIME_CODES):
        return Told(Verdict.DENIED, "kind")
    if kind in JOURNEY_KINDS and read.token is None:
        return Told(Verdict.DENIED, "no_token")
    if kind is Kind.RETAIL_CHECK_OUT and journey is None:
        return Told(Verdict.DENIED, "no_check_in")
    if currency != setting.operator.currency:
        return Told(Verdict.DENIED, "currency")
    if amount is None:
        return Told(Verdict.DENIED, "no_fare")
    if amount > lane.amount_limit or (amount == 0 and not lane.zero_allowed):
        return Told(Verdict.DENIED, "amount_limit")
    if lane.realtime and (report.age_ms is None or report.age_ms * 1000 > lane.verdict_us):
        return Told(Verdict.DENIED, "stale")
    if read.data.mode == tapdata.CLEAR_MODE and not clear_goes:
        return Told(Verdict.DENIED, "mode")
    judged = _judge_card(report, read.card, judged_at)
    return OK if kind is Kind.RETAIL_CHECK_OUT and judged.reason in _AFTER_THE_CARD else judged


def _judge_card(report: TapReport, card: CardReading, judged_at: Micros | None) -> Told:
    if judged_at is not None and card.expiry is not None:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=judged_at)
        if card.expiry.is_past(moment.year, moment.month):
            return Told(Verdict.DENIED, "expired")
    if report.oda is Oda.FAILED:
        return Told(Verdict.DENIED, "oda")
    return OK


OK: Final = Told(Verdict.ACCEPTED, "ok")


def _sendable(local: Told) -> bool:
    return local.reason not in _NEVER_SENT and local.verdict is not Verdict.TRY_AGAIN


_UNPAID: Final = frozenset({State.FAILED, State.DECLINED, State.TAP_REFUSED})


def _let_in(known: KnownTap) -> bool:
    return known.shown is Shown.LET_IN or (known.told is not None and known.told.verdict.accepts)


def _reason(known: KnownTap) -> str:
    return "asking" if known.told is None else known.told.reason


def clash(candidate: Candidate) -> NoticeDraft:
    """The alarm of an identity that stands with other content."""
    return NoticeDraft(
        NoticeKind.ALARM,
        cause_key(NoticeKind.ALARM, "tap_identity", candidate.terminal),
        f"tap {candidate.report.tap_id} came with other content: a swapped board or a reset counter",
    )


def turned_away_late(candidate: Candidate) -> NoticeDraft:
    """What is told of a passenger who was turned away after the tap may have been sent."""
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
