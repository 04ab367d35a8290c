"""``asking.Asked`` on a journal's writer: realtime attempts answered, journeys ended by hand or by time, refunds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from tpsd.asking import Answered, Follow, Judge, Ordered
from tpsd.core.byhand import Already, CheckOutOrder, Given, RefundOrder, Send, judge_check_out, judge_refund
from tpsd.core.following import Original
from tpsd.core.notices import cause_key
from tpsd.core.operations import Refusal
from tpsd.core.outcomes import classify
from tpsd.domain.audit import AuditDraft
from tpsd.domain.authorisation import AttemptReason, Claimed, Draft, State
from tpsd.domain.card import CardToken
from tpsd.domain.journey import Journey, JourneyState
from tpsd.domain.notice import NoticeDraft, NoticeKind
from tpsd.domain.outcome import NoAnswer, Outcome
from tpsd.domain.receipt import Recorded
from tpsd.domain.tap import Kind
from tpsd.domain.time import Micros
from tpsd.domain.views import JourneyRow
from tpsd.doubts import nothing_follows
from tpsd.errors import NotFoundError
from tpsd.store import audit as audit_log
from tpsd.store import cards, journeys, reading, realtime, receipts
from tpsd.store.commits import Stamp, insert_notices
from tpsd.store.connection import Connection
from tpsd.store.queries import Q
from tpsd.store.resting import Reads
from tpsd.store.rotation import Rotation
from tpsd.store.seal import Sealed
from tpsd.store.writer import Urgency, Writer

SLICE_ROWS = 50  # rows a commit, about 4 ms of work: a passenger's tap waits no longer for its turn
PAGE_ROWS = 2000  # journeys looked at in a read, and …
ROWS_A_READ = 50  # … told of in one: each about 2 ms
_BEYOND = 1 << 62  # any journey's number


class JourneyRows:
    """``asking.JourneyReader`` on whatever reads."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def rows(self, states: Sequence[JourneyState], limit: int) -> list[JourneyRow]:
        """See ``asking.JourneyReader``; page by page, because those of a state may be few among very many."""
        wanted = frozenset(state.value for state in states or JourneyState)
        found: list[JourneyRow] = []
        below: int | None = _BEYOND
        while below is not None and len(found) < limit:
            rows, below = await self._reads.read(partial(_page, below, wanted, min(limit - len(found), ROWS_A_READ)))
            found += rows
        return found

    async def receipt(self, reference: str) -> Recorded:
        """See ``asking.JourneyReader``."""
        return await self._reads.read(lambda connection: receipts.recorded(connection, reference))


class SqlAsked(JourneyRows):
    """A journal's realtime taps. ``digest`` and ``stamp`` are the journal's own; ``operator`` is Sfey's company id."""

    def __init__(
        self,
        writer: Writer,
        epochs: Rotation,
        digest: Callable[[bytes], bytes],
        stamp: Callable[[Micros], Stamp],
        operator: int,
    ) -> None:
        super().__init__(writer)
        self._writer = writer
        self._epochs = epochs
        self._digest = digest
        self._stamp = stamp
        self._operator = operator

    async def journey(self, operator: int, token: CardToken) -> Journey | None:
        """See ``asking.Asked``."""
        return await self._writer.read(lambda connection: cards.journey(connection, operator, token))

    async def answer(
        self, claimed: Claimed, outcome: Outcome, judge: Judge, follow: Follow, ended_at: Micros
    ) -> Answered:
        """See ``asking.Asked``."""
        stamp = self._stamp(ended_at)
        return await self._writer.write(
            lambda connection: realtime.answer(
                connection, claimed, outcome, judge, follow, self.seal_body, self._operator, stamp
            ),
            Urgency.INTAKE,
        )

    async def delivered(self, tap: int) -> None:
        """See ``asking.Asked``."""
        await self._writer.write(lambda connection: connection.execute(Q["tap_delivered"], (tap,)) and None)

    async def check_out(
        self,
        journey: str,
        order: CheckOutOrder,
        follow: Follow,
        now: Micros,
        audit: AuditDraft,
        *,
        enquires: bool = False,
    ) -> Ordered | Refusal:
        """See ``asking.Asked``."""
        stamp = self._stamp(now)

        def work(connection: Connection) -> Ordered | Refusal:
            found = _journey(connection, journey)
            original = realtime.original_of(connection, found.check_in)
            judged = judge_check_out(found, order)
            if isinstance(judged, Already):
                state = None if found.last is None else found.last.state
                return Ordered(original, already=judged.uuid, amount=order.amount, state=state)
            if isinstance(judged, Refusal):
                return judged
            if found.last is not None and judged.ends is not None:
                journeys.give_up(connection, found.last, stamp, enquires)
                if found.last.may_have_charged and enquires:  # design 3: TPS is asked before a person charges
                    return Refusal(
                        f"TPS is asked first whether {found.last.uuid} was charged; no tap ends the journey any more: "
                        "look again in some minutes"
                    )
            ordered = self._begin(connection, original, judged, follow, stamp, audit)
            if ordered.claimed is not None:
                journeys.begin_by_hand(connection, found, str(ordered.claimed.uuid))
            return ordered

        return await self._writer.write(work)

    async def refund(
        self, reference: str, order: RefundOrder, follow: Follow, now: Micros, audit: AuditDraft
    ) -> Ordered | Refusal:
        """See ``asking.Asked``."""
        stamp = self._stamp(now)

        def work(connection: Connection) -> Ordered | Refusal:
            uuid = reading.find_authorisation(connection, reference)
            original = realtime.original_of(connection, uuid)
            releases = original.kind is Kind.RETAIL_CHECK_IN
            given = [
                Given(follower, State(state), amount, bool(may_have_given))
                for follower, _, state, amount, may_have_given in connection.execute(Q["followers"], (uuid, releases))
            ]
            judged = judge_refund(original, given, order)
            if isinstance(judged, Already):
                first = next(one for one in given if one.uuid == judged.uuid)
                return Ordered(original, already=first.uuid, amount=first.amount, state=first.state)
            if isinstance(judged, Refusal):
                return judged
            return self._begin(connection, original, judged, follow, stamp, audit)

        return await self._writer.write(work)

    async def attend(self, expired: Micros, unseen: Micros, enquires: bool, now: Micros) -> dict[str, int]:
        """See ``asking.Asked``."""
        stamp = self._stamp(now)
        ended = told = 0
        while some := await self._writer.write(
            lambda connection: realtime.attend(connection, expired, enquires, stamp, SLICE_ROWS)
        ):
            ended += some
        while some := await self._writer.write(lambda connection: _tell_unseen(connection, unseen, stamp)):
            told += some
        return {"journeys_expired": ended, "verdicts_untaken": told}

    async def found_in_doubt(self) -> int:
        """See ``asking.Asked``."""
        return await self._writer.read(lambda connection: int(connection.execute(Q["found_in_doubt"]).get))

    async def next_attention(self, expires_us: int, unseen_us: int) -> Micros | None:
        """See ``asking.Asked``."""

        def work(connection: Connection) -> Micros | None:
            firsts = ((connection.execute(Q["first_overdue"]).get, expires_us),
                      (connection.execute(Q["first_undelivered"]).get, unseen_us))  # fmt: skip
            return min((Micros(at + wait) for at, wait in firsts if at is not None), default=None)

        return await self._writer.read(work)

    def end_crashed(self, connection: Connection, claimed: Claimed, judge: Judge, stamp: Stamp) -> None:
        """At start: an attempt whose end nobody saw; nothing of it is given back, since nothing was approved."""
        outcome = classify(NoAnswer("crash"))
        realtime.answer(connection, claimed, outcome, judge, nothing_follows, self.seal_body, self._operator, stamp)

    def cover(self, connection: Connection, claimed: Claimed, paid: str, stamp: Stamp) -> Answered:
        """For the doubts: a tap is paid by an earlier transaction."""
        return realtime.cover(connection, claimed, paid, self._operator, stamp)

    def give_back(self, connection: Connection, uuid: str, amount: int, follow: Follow, stamp: Stamp) -> None:
        """For the doubts: what was found approved is given back."""
        realtime.give_back(connection, uuid, amount, follow, self.seal_body, stamp)

    def seal_body(self, draft: Draft) -> tuple[Sealed, bytes]:
        """A request that may have to go again, sealed, with its digest."""
        body = draft.body or b""
        return self._epochs.seal(str(draft.uuid), "body", body), self._digest(body)

    def _begin(
        self,
        connection: Connection,
        original: Original,
        send: Send,
        follow: Follow,
        stamp: Stamp,
        audit: AuditDraft,
    ) -> Ordered:
        """Intent, request and attempt, before a byte of it leaves; it goes once, so its body is not kept."""
        draft = follow(original, send.kind, send.amount)
        ladder = int(connection.execute(Q["ladder_of_authorisation"], (original.uuid,)).get)
        place = (original.lane, original.terminal)
        realtime.insert_asked(connection, draft, place, self._digest(draft.body or b""), ladder, stamp.at, None)
        connection.execute(Q["insert_attempt"], (AttemptReason.HAND.value, stamp.at, str(draft.uuid)))
        audit_log.write(connection, audit, f"{original.uuid} -> {draft.uuid}")
        claimed = realtime.claimed_first(draft, original.terminal, AttemptReason.HAND, stamp.at)
        return Ordered(original, claimed, amount=send.amount)


def _page(
    below: int, wanted: frozenset[str], limit: int, connection: Connection
) -> tuple[list[JourneyRow], int | None]:
    """Some journeys with a lower number in one of the states, and where to go on; None: there are no more."""
    found: list[JourneyRow] = []
    page = list(connection.execute(Q["journey_page"], (below, PAGE_ROWS)))
    for number, state in page:
        if state in wanted:
            found.append(JourneyRow(*connection.execute(Q["journey_row"], (number,)).get))
            if len(found) == limit:
                return found, number
    return found, page[-1][0] if len(page) == PAGE_ROWS else None


def _journey(connection: Connection, reference: str) -> Journey:
    """By its number, or by what names its check-in or check-out. Raises NotFoundError."""
    reference = reference.strip()
    number = int(reference) if reference.isdecimal() and len(reference) <= reading.NUMBER_DIGITS_MAX else None
    if number is None:
        number = connection.execute(Q["journey_of_authorisation"], (_end_of_one(connection, reference),)).get
    found = None if number is None else journeys.by_number(connection, number)
    if found is None:
        raise NotFoundError(f"no journey {reference!r}: give its number (see 'tpsd journeys')")
    return found


def _end_of_one(connection: Connection, reference: str) -> str:
    try:
        return reading.find_authorisation(connection, reference)
    except NotFoundError as exc:
        raise NotFoundError(f"no journey {reference!r}; {exc}") from exc


def _tell_unseen(connection: Connection, since: Micros, stamp: Stamp) -> int:
    """Some accepting verdicts that no link ever took: the fare is charged, and nobody was shown it."""
    found = list(connection.execute(Q["undelivered"], (since, SLICE_ROWS)))
    told = 0
    for tap, uuid in found:
        connection.execute(Q["undelivered_told"], (tap,))
        if not connection.changes():
            continue  # its link took it after all
        told += 1
        words = "the verdict never reached the validator, so the passenger may have been turned away"
        notice = NoticeDraft(NoticeKind.UNSEEN, cause_key(NoticeKind.UNSEEN, "link"), words)
        insert_notices(connection, (notice,), tap, uuid, stamp.at)
    return told
