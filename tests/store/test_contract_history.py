"""A tap's history: everything that is kept of it, from the daemon's journal and from one that is only looked at."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.store.builders import (
    APPROVED,
    MASTERCARD,
    NOW,
    SILENCE,
    TAP_REFUSED,
    TERMINAL,
    TERMINAL_REFUSED,
    UNAVAILABLE,
    after,
    card,
    claim_one,
    closer,
    fail_for_good,
    report,
    send,
    settle,
    take,
)
from tests.store.engines import Engine
from tests.store.passengers import (
    ENQUIRING,
    answer,
    check_in,
    check_out,
    enquire,
    order_refund,
    pay,
    resolve,
    sent,
)
from tests.store.test_contract_operations import ALICE, act, judging, made
from tests.store.test_contract_operations import held as held  # noqa: PLC0414 - a fixture
from tpsd.bodies import Known
from tpsd.core.operations import Order
from tpsd.core.retry import DEFAULT_LADDER
from tpsd.core.taptime import CLOCK_FLOOR
from tpsd.domain.authorisation import State
from tpsd.domain.history import CardPast, History, Hold, Transaction
from tpsd.domain.tap import Shown, Timing
from tpsd.domain.time import MINUTE, later
from tpsd.errors import NotFoundError
from tpsd.store.history import Histories
from tpsd.store.journal import SqlJournal

pytestmark = pytest.mark.usefixtures("whole")


async def of(journal: SqlJournal, reference: str = "1") -> History:
    return await journal.histories.of(reference)


async def own(journal: SqlJournal, reference: str = "1") -> Transaction:
    transaction = (await of(journal, reference)).transaction
    assert transaction is not None
    return transaction


async def test_what_is_kept_of_the_cards_other_taps(journal: SqlJournal) -> None:
    await take(journal, 1)
    await send(journal, APPROVED, after(1))
    await take(journal, 2, tapped_at=after(60))
    await send(journal, TAP_REFUSED, after(61))
    await take(journal, 3, tapped_at=after(90), card=card(MASTERCARD))
    assert (await of(journal, "2")).card == CardPast(NOW, after(1))
    assert (await of(journal, "3")).card == CardPast(after(90), None)
    await send(journal, APPROVED, after(100))
    assert (await of(journal, "3")).card == CardPast(after(90), after(100))
    assert (await of(journal, "1")).card == CardPast(NOW, after(1))


async def test_a_tap_on_the_ladder(journal: SqlJournal) -> None:
    await take(journal, 1)
    await send(journal, UNAVAILABLE)
    found = await of(journal)
    assert (found.recorded.number, found.terminal, found.received_at, found.taps) == (1, TERMINAL, NOW, (1,))
    assert (found.shown, found.config_digest, found.list_version) == (Shown.NOTHING, "c0ffee", None)
    assert [box.purpose for box in found.boxes] == ["body", "tap"]
    transaction = await own(journal)
    assert (transaction.state, transaction.timing, transaction.sends) == (State.PENDING, Timing.DEFERRED, 1)
    assert (transaction.due, transaction.ladder) == (later(NOW, MINUTE), DEFAULT_LADDER)
    assert [(one.reason, one.outcome, one.may_have_charged) for one in transaction.attempts] == [
        ("ladder", "try_again", True)
    ]


async def test_due_times_are_told_in_true_time(journal: SqlJournal) -> None:
    await take(journal, 1)
    await send(journal, UNAVAILABLE)
    await journal.bodies.know(Known("life", 0, 5_000_000, NOW, CLOCK_FLOOR))
    assert (await own(journal)).due == later(NOW, MINUTE + 5_000_000)


async def test_one_that_was_never_sent(journal: SqlJournal) -> None:
    await take(journal, 1, fault="noise")
    found = await of(journal)
    assert (found.transactions, found.transaction, found.taps, found.boxes) == ((), None, (), ())
    assert found.recorded.reason == "malformed"


async def test_what_could_not_be_decided_keeps_its_payload(journal: SqlJournal) -> None:
    await journal.reject(report(1), "gate-1", TERMINAL, "c0ffee", NOW)
    assert [box.purpose for box in (await of(journal)).boxes] == ["payload"]


async def test_a_held_tap_has_its_hold(journal: SqlJournal) -> None:
    await take(journal, 1)
    await send(journal, TERMINAL_REFUSED)
    found = await of(journal)
    assert found.hold == Hold(NOW, None)
    assert [(one.kind, one.closes_at) for one in found.mailings] == [("held", later(NOW, MINUTE))]
    await take(journal, 2, serial="VAL00043")
    assert (await of(journal, "2")).hold is None


async def test_its_mail_from_the_window_to_smtp(journal: SqlJournal) -> None:
    await take(journal, 1)
    await fail_for_good(journal)
    closes_at = await journal.next_mail()
    assert closes_at is not None
    await journal.close_windows(closes_at, closer(closes_at))
    (mailing,) = (await of(journal)).mailings
    assert (mailing.closes_at, mailing.due, mailing.tries, mailing.mailed_at) == (None, closes_at, 0, None)
    (mail,) = await journal.mails_due(closes_at, 9)
    await journal.mail_refused(mail.id, after(90_000), "busy")
    await journal.mail_accepted(mail.id, after(90_001))
    (mailing,) = (await of(journal)).mailings
    assert (mailing.due, mailing.tries, mailing.mailed_at, mailing.message_id) == (
        None, 2, after(90_001), mail.message_id,
    )  # fmt: skip


async def test_orders_are_found_by_any_transaction_they_name(journal: SqlJournal) -> None:
    await check_in(journal, 1)
    await check_out(journal, 2)
    ordered = await order_refund(journal, "2", 100)
    await answer(journal, sent(ordered), APPROVED)
    for reference in ("1", "2"):
        found = await of(journal, reference)
        assert [(order.what, order.who) for order in found.orders] == [("refund", "alice (1000)")]
        assert [refund.amount for refund in found.recorded.refunds] == [100]
    await take(journal, 3, serial="VAL00044")
    assert (await of(journal, "3")).orders == ()


@pytest.mark.parametrize("page_rows", [1, 2, 1000])
async def test_orders_are_read_in_pages(held: SqlJournal, page_rows: int) -> None:
    for _ in range(3):
        await act(held, Order.CLOSE, [2])
    await act(held, Order.RELEASE, [1, 3])
    reads = Histories(held._writer, page_rows)
    assert [order.what for order in (await reads.of("3")).orders] == ["release"]
    assert len((await reads.of("2")).orders) == 1


async def test_one_made_anew_follows_the_one_it_replaced(held: SqlJournal) -> None:
    before = (await own(held, "1")).uuid
    one = await made(held, 1, uuid4())
    await held.operations.replace([one], judging(Order.REBUILD), [NOW], NOW, ALICE)
    found = await of(held, "1")
    assert [(each.uuid, each.state) for each in found.transactions] == [
        (before, State.CLOSED),
        (str(one.draft.uuid), State.PENDING),
    ]
    assert found.transactions[0].replaced_by == str(one.draft.uuid)
    assert found.transaction == found.transactions[-1]
    assert [order.subject for order in found.orders] == [f"{before} -> {one.draft.uuid}"]


async def test_enquiries_and_what_they_found(journal: SqlJournal) -> None:
    await pay(journal, SILENCE, policy=ENQUIRING)
    assert (await own(journal)).enquiry_due == later(NOW, MINUTE)
    await enquire(journal, APPROVED)
    transaction = await own(journal)
    assert (transaction.state, transaction.enquiries, transaction.enquiry_due) == (State.APPROVED, 1, None)
    assert [one.reason for one in transaction.attempts] == ["tap", "enquiry"]


async def test_several_taps_of_one_transaction(journal: SqlJournal) -> None:
    await check_in(journal, 1)
    await check_out(journal, 2, SILENCE)
    await check_out(journal, 3)
    assert (await of(journal, "2")).taps == (await of(journal, "3")).taps == (2, 3)
    assert (await own(journal, "2")).follows == (await own(journal, "1")).uuid


async def test_the_same_without_a_daemon(engine: Engine, journal: SqlJournal) -> None:
    await take(journal, 1)
    await settle(journal, await claim_one(journal), SILENCE)
    await pay(journal, SILENCE, 2)
    transaction = await own(journal, "2")
    await resolve(journal, transaction.uuid, charged=False)
    whole = [await of(journal, reference) for reference in ("1", "2")]
    async with engine.after_sigkill().looked_at() as view:
        assert [await view.histories.of(reference) for reference in ("1", "2")] == whole


async def test_a_tap_that_nobody_made(journal: SqlJournal) -> None:
    with pytest.raises(NotFoundError, match="no tap '99'"):
        await of(journal, "99")
