"""Passengers who wait: realtime taps, TPS's answers, journeys, and what is ordered by hand. Scheme test cards only."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

from tests.intake_taps import ENCRYPTED
from tests.store.builders import APPROVED, LANE, NOW, SILENCE, UNAVAILABLE, crashed, crashed_asked, report, setting
from tpsd.asking import Answered, Follow, Ordered
from tpsd.core.answering import Ending, Policy, Waiting, settle
from tpsd.core.byhand import CheckOutOrder, RefundOrder
from tpsd.core.candidate import JOURNEY_KINDS
from tpsd.core.doubt import DoubtPolicy
from tpsd.core.enquiry import conclude, read
from tpsd.core.following import Original, follow
from tpsd.core.intake import Candidate, LanePolicy, decide, prepare, tokens_of
from tpsd.core.operations import Change, InForce, Order, Refusal, judge
from tpsd.core.outcomes import classify
from tpsd.domain.audit import AuditDraft
from tpsd.domain.authorisation import Claimed, Draft
from tpsd.domain.card import CardToken
from tpsd.domain.journey import JourneyState
from tpsd.domain.outcome import Answer, Exchange, NoAnswer
from tpsd.domain.tap import Kind, TapReport
from tpsd.domain.time import Micros
from tpsd.domain.views import JourneyRow
from tpsd.errors import JournalUnavailableError
from tpsd.ports import Journal, Taken
from tpsd.store.journal import SqlJournal

COMPANY = 1001
PAYING = replace(LANE, kinds=frozenset({Kind.RETAIL_PAYMENT}), kind=Kind.RETAIL_PAYMENT, fare=320, realtime=True)
KNOWN_FARE = replace(PAYING, kinds=frozenset({Kind.KFT}), kind=Kind.KFT)
GATE = replace(LANE, kinds=JOURNEY_KINDS, kind=None, fare=None, realtime=True)
"""Checks in and out, by the card's journey; the tap says its amount."""

OTHER_GATE = replace(GATE, name="gate-2", credential="gate-2")
ELSEWHERE = "VAL00043"  # the validator there

ONE = UUID("0c7f3f6e-55f4-4f6b-9df2-3a1f5b1d7a01")
PARTLY = Answer(200, action_code="002", amount=200)
MORE = Answer(200, action_code="000", amount=999)

ENQUIRING = Policy(DoubtPolicy(enquires=True))
GIVING_BACK = Policy(ENQUIRING.doubt, gives_back=True)
HELD, FARE = 500, 320  # minor units: what a check-in holds, what a ride costs
CHECKOUT = AuditDraft(NOW, "alice (1000)", "checkout", "the passenger wrote to us")
REFUND = AuditDraft(NOW, "alice (1000)", "refund", "the passenger wrote to us")


def crash(waiting: Waiting) -> Ending:
    """What recovery decides about a payment that was under way, where what nobody rode on is given back."""
    return settle(waiting, classify(NoAnswer("crash")), GIVING_BACK, number=1, ended_at=NOW)


async def wait_for(
    journal: Journal, counter: int | None = 1, *, lane: LanePolicy = PAYING, now: Micros = NOW, **fields: Any
) -> Taken:
    """Commits 1 and 2 of a realtime tap, decided as the lane decides it; the other fields are those of ``offer``."""
    return await journal.take(await offer(journal, counter, lane=lane, now=now, **fields), decide, now)


async def offer(
    journal: Journal,
    counter: int | None = 1,
    *,
    lane: LanePolicy = PAYING,
    now: Micros = NOW,
    uuid: UUID | None = None,
    enquires: bool = False,
    **fields: Any,
) -> Candidate:
    """A realtime tap as its lane hands it to the journal; the other fields are those of ``report``."""
    tap = fresh(counter, now, **fields)
    given = setting(journal, enquires=enquires)
    names = tokens_of(tap, given) if lane.kinds & JOURNEY_KINDS else ()
    journey = None
    with suppress(JournalUnavailableError):  # the lane leaves it to the commit
        journey = await journal.asked.journey(COMPANY, names[0]) if names else None
    return prepare(tap, lane, given, uuid or uuid4(), None, journey)


def fresh(counter: int | None, now: Micros, **fields: Any) -> TapReport:
    """A tap of this instant, by its validator's clock and by ours."""
    return report(counter, **({"received_at": now, "tapped_at": now, "age_ms": 0} | fields))


def asked_of(taken: Taken) -> Claimed:
    """The attempt that a tap began."""
    assert taken.asked is not None
    return taken.asked


async def answer(
    journal: Journal, claimed: Claimed, exchange: Exchange, *, policy: Policy | None = None, now: Micros = NOW
) -> Answered:
    """Commit 3, decided as the daemon decides it."""
    outcome = classify(exchange)

    def ending(waiting: Waiting) -> Ending:
        return settle(waiting, outcome, policy or Policy(), number=claimed.number, ended_at=now)

    return await journal.asked.answer(claimed, outcome, ending, following(journal), now)


async def pay(
    journal: Journal,
    exchange: Exchange = APPROVED,
    counter: int = 1,
    *,
    policy: Policy | None = None,
    now: Micros = NOW,
    **fields: Any,
) -> Answered:
    """A tap from its arrival to TPS's answer."""
    taken = await wait_for(journal, counter, now=now, **fields)
    return await answer(journal, asked_of(taken), exchange, policy=policy, now=now)


async def check_in(journal: Journal, counter: int = 1, exchange: Exchange = APPROVED, **fields: Any) -> Answered:
    """A passenger goes in by the first gate."""
    return await pay(journal, exchange, counter, **(AT_THE_GATE | fields))


async def check_out(journal: Journal, counter: int, exchange: Exchange = APPROVED, **fields: Any) -> Answered:
    """The passenger goes out by the other gate."""
    return await pay(journal, exchange, counter, **(AT_THE_OTHER_GATE | fields))


AT_THE_GATE: dict[str, Any] = {"lane": GATE, "amount": HELD}
AT_THE_OTHER_GATE: dict[str, Any] = {"lane": OTHER_GATE, "serial": ELSEWHERE, "amount": FARE}


def rider(number: int) -> dict[str, Any]:
    """A card that the reader encrypts: of a passenger of that number there is nothing but a token."""
    return {"card": ENCRYPTED, "token": CardToken(f"{number:064x}")}


async def end_unpaid(journal: Journal, *exchanges: Exchange, policy: Policy | None = None) -> None:
    """A journey whose three tries fail; all by silence, where nothing else is said."""
    await check_in(journal, 1)
    for counter, exchange in enumerate(exchanges or (SILENCE,) * 3, start=2):
        await check_out(journal, counter, exchange, policy=policy)


def following(journal: Journal) -> Follow:
    """Makes requests that follow another transaction, as the daemon makes them."""

    def made(original: Original, kind: Kind, amount: int) -> Draft:
        return follow(original, kind, amount, NOW, uuid4(), setting(journal))

    return made


async def order_check_out(
    journal: Journal,
    journey: str = "1",
    amount: int = FARE,
    *,
    now: Micros = NOW,
    enquires: bool = False,
    **fields: Any,
) -> Ordered | Refusal:
    """The operator's command; the other fields are the order's."""
    order = CheckOutOrder(amount, **fields)
    return await journal.asked.check_out(journey, order, following(journal), now, CHECKOUT, enquires=enquires)


async def order_refund(
    journal: Journal, reference: str = "1", amount: int | None = None, *, now: Micros = NOW, **fields: Any
) -> Ordered | Refusal:
    """The operator's command; the other fields are the order's."""
    order = RefundOrder(amount, **fields)
    return await journal.asked.refund(reference, order, following(journal), now, REFUND)


def sent(ordered: Ordered | Refusal) -> Claimed:
    """The attempt that an order began."""
    assert isinstance(ordered, Ordered), ordered
    assert ordered.claimed is not None, "it was ordered before"
    return ordered.claimed


def refused(ordered: Ordered | Refusal) -> str:
    """Why an order was refused."""
    assert isinstance(ordered, Refusal), ordered
    return ordered.words


async def journeys(journal: Journal, *states: JourneyState) -> list[JourneyRow]:
    """As people read them, oldest first."""
    return (await journal.asked.rows(states, 100))[::-1]


async def journey_of(journal: Journal) -> JourneyRow:
    """The only one."""
    (found,) = await journeys(journal)
    return found


async def notices(journal: Journal, reference: str = "1") -> list[str]:
    """The causes of everything that people are told of a tap."""
    return [notice.cause for notice in (await journal.story(reference)).notices]


async def restart(
    journal: Journal, now: Micros, judge: Callable[[Waiting], Ending] = crashed_asked, names: Collection[str] = ()
) -> dict[str, int]:
    """What a start does first."""
    return await journal.recover(now, names or ("common", "gate-2"), crashed, judge)


async def enquire(journal: Journal, exchange: Exchange, *, believed: bool = False, gives_back: bool = False) -> None:
    """The only enquiry that is next, from claim to commit."""
    due = await journal.doubts.next_due()
    assert due is not None
    (enquired,) = await journal.doubts.claim(due, 10)
    heard = read(exchange)
    conclusion = conclude(enquired, heard, believed=believed, ended_at=due, gives_back=gives_back)
    assert await journal.doubts.conclude(enquired, heard, conclusion, due, following(journal))


async def enquire_in_vain(journal: Journal) -> None:
    """The whole series, and TPS says nothing definite."""
    while await journal.doubts.next_due() is not None:
        await enquire(journal, UNAVAILABLE)


async def resolve(journal: SqlJournal, uuid: str, *, charged: bool, now: Micros = NOW) -> None:
    """A person found out."""
    order = Order.CHARGED if charged else Order.NOT_CHARGED
    in_force = InForce(DoubtPolicy(), frozenset({"common"}), now)
    audit = AuditDraft(now, "alice (1000)", order.value, "the bank said so")
    (done,) = await journal.operations.carry_out([uuid], lambda row: judge(order, row, in_force), [now], now, audit)
    assert isinstance(done.verdict, Change), done.verdict
