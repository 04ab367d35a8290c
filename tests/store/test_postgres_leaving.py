"""What a daemon leaves that is gone: held rows, rows without a time, and what nobody else can go on with."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.store.builders import NOW, after, claim_one, crashed, crashed_asked, setting, settle, take
from tests.store.databases import PostgresEngine
from tests.store.passengers import AT_THE_GATE, AT_THE_OTHER_GATE, asked_of, wait_for
from tests.store.test_contract_bodies import KNOWN, SHIFT, correct, sent_time, take_unset, unset
from tests.store.test_contract_holds import CAUSE, FORBIDDEN, QUARTER
from tests.store.test_postgres_leases import ASKING, BLIND, Fleet, place, states, taken_over
from tpsd.core.bodies import complete
from tpsd.core.doubt import DoubtPolicy
from tpsd.core.operations import Change, InForce, Order, Refusal, judge
from tpsd.domain.audit import AuditDraft
from tpsd.domain.authorisation import AttemptReason
from tpsd.domain.time import HOUR, MINUTE, Micros, iso_millis
from tpsd.operating import Judged
from tpsd.store.postgres import PostgresJournal

__all__ = ["place"]

ALICE = AuditDraft(NOW, "alice (1000)", "release", "mended")
NEXT_DAY = after(25 * 3600)
NOBODYS = {"theirs": "another company"}


@pytest.fixture
async def fleet(place: PostgresEngine) -> AsyncIterator[Fleet]:
    fleet = Fleet(place)
    yield fleet
    await fleet.close()


async def order(journal: PostgresJournal, order: Order, *names: str) -> Judged:
    """Something by hand about the first tap, with these credentials."""
    row = await journal.operations.find("1")
    in_force = InForce(DoubtPolicy(), frozenset(names), NEXT_DAY)
    (done,) = await journal.operations.carry_out(
        [row.uuid], lambda one: judge(order, one, in_force), [NEXT_DAY], NEXT_DAY, ALICE
    )
    return done


async def notices(journal: PostgresJournal, reference: str = "1") -> list[str]:
    return [line.cause for line in (await journal.story(reference)).notices]


async def hold_one(journal: PostgresJournal) -> None:
    """A tap that something before TPS refused."""
    await take(journal, 1)
    await settle(journal, await claim_one(journal), FORBIDDEN)


class TestHeld:
    """Rows that wait for a canary or for a person."""

    async def test_the_canary_goes_from_another(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two", {"ours": "the company"})
        await hold_one(one)
        fleet.run_out("one")
        assert await taken_over(two) == {"held_taken_over": 1}
        assert await two.next_due() == QUARTER
        (canary,) = await two.claim(QUARTER, 10)
        assert (canary.reason, canary.cause, canary.credential) == (AttemptReason.CANARY, CAUSE, "ours")

    async def test_a_release_sends_it_from_another(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two", {"ours": "the company"})
        await hold_one(one)
        fleet.run_out("one")
        await taken_over(two)
        assert isinstance((await order(two, Order.RELEASE, "ours")).verdict, Change)
        (claimed,) = await two.claim(NEXT_DAY, 10)
        assert (claimed.reason, claimed.credential) == (AttemptReason.LADDER, "ours")

    async def test_its_hold_does_not_outlast_it(self, fleet: Fleet) -> None:
        """A hold under which nothing is held ends at its next canary, whoever began it."""
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        await hold_one(one)
        fleet.run_out("one")
        await taken_over(two)
        assert isinstance((await order(two, Order.CLOSE)).verdict, Change)
        assert await two.claim(QUARTER, 10) == []
        assert await two.next_due() is None
        await take(two, 2, now=NEXT_DAY)
        assert await states(two) == [("closed", CAUSE), ("pending", None)]

    async def test_who_does_not_hold_the_certificate_leaves_it(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two", NOBODYS)
        await hold_one(one)
        fleet.run_out("one")
        fleet_is = await taken_over(two, now=NEXT_DAY)
        assert fleet_is == {}
        assert isinstance((await order(two, Order.RELEASE, "theirs")).verdict, Refusal)

    async def test_one_that_is_not_confirmed_waits_for_its_daemon(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        await hold_one(one)
        fleet.confirms("one", 0)
        fleet.run_out("one")
        assert await taken_over(two) == {}
        fleet.gone_since("one", 25 * HOUR)
        assert await taken_over(two) == {"unconfirmed_held_in_doubt": 1}
        assert await states(two) == [("in_doubt", "unconfirmed")]

    async def test_one_that_nobody_confirmed_is_not_asked_about_either(self, fleet: Fleet) -> None:
        """TPS never had it, and would say so: then it would go, whatever its passenger was told."""
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        await take(one, 1)
        fleet.confirms("one", 0)
        fleet.run_out("one")
        await taken_over(two)
        fleet.gone_since("one", 25 * HOUR)
        assert await taken_over(two) == {"unconfirmed_due_in_doubt": 1}
        await fleet.stops(one)
        again = await fleet.daemon("one")
        begun = await again.doubts.begin(NEXT_DAY, True, lambda enquired: pytest.fail("none was open"))
        assert begun["enquiries_begun"] == 0
        assert await again.doubts.next_due() is None

    async def test_what_was_claimed_before_it_was_confirmed_is_sent_by_nobody_else(self, fleet: Fleet) -> None:
        """The spool may have taken its tap over while it was being claimed; then it was to be put back unsent."""
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        await take(one, 1)
        await claim_one(one)
        fleet.confirms("one", 0)
        fleet.run_out("one")
        assert await taken_over(two) == {}
        fleet.gone_since("one", 25 * HOUR)
        assert await taken_over(two, now=NEXT_DAY) == {"sends_given_up": 1, "unconfirmed_due_in_doubt": 1}
        assert await taken_over(two, now=NEXT_DAY) == {}
        assert await two.claim(NEXT_DAY, 10) == []
        assert await states(two) == [("in_doubt", "unconfirmed")]


class TestUntimed:
    """Rows whose request waits for the time."""

    async def test_where_the_time_is_known_another_makes_the_request(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two", {"ours": "the company"})
        await take_unset(one, 1, 5)
        await one.bodies.know(KNOWN)
        await correct(one)
        fleet.run_out("one")
        assert await taken_over(two) == {"bodiless_taken_over": 1}
        made = [complete(one, setting(two)) for one in await two.bodies.waiting(10)]
        assert await two.bodies.give(made, NOW) == 1
        claimed = await claim_one(two, NOW)
        assert (claimed.credential, sent_time(claimed.body)) == ("ours", iso_millis(Micros(unset(5) + SHIFT)))

    async def test_else_a_person_is_told_after_a_day_and_nothing_is_guessed(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        await take_unset(one, 1, 5)
        fleet.run_out("one")
        assert await taken_over(two, now=NEXT_DAY) == {}
        fleet.gone_since("one", 25 * HOUR)
        assert await taken_over(two, now=NEXT_DAY) == {"untimed_failed": 1}
        assert await taken_over(two, now=NEXT_DAY) == {}
        assert await states(two) == [("permanently_failed", "untimed")]
        assert await notices(two) == ["permanently_failed/untimed"]
        assert await two.claim(NEXT_DAY, 10) == []

    async def test_its_daemon_comes_back_and_it_is_sent_again_by_hand(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        await take_unset(one, 1, 5)
        await one.bodies.know(KNOWN)
        fleet.run_out("one")
        await taken_over(two)
        fleet.gone_since("one", 25 * HOUR)
        await taken_over(two)
        await fleet.stops(one)
        again = await fleet.daemon("one")
        await correct(again)
        assert isinstance((await order(again, Order.RESEND, "common")).verdict, Change)
        made = [complete(one, setting(again)) for one in await again.bodies.waiting(10)]
        await again.bodies.give(made, NOW)
        assert sent_time((await claim_one(again, NEXT_DAY)).body) == iso_millis(Micros(unset(5) + SHIFT))


class TestNobodysCertificate:
    """What others can neither send nor ask about."""

    async def test_a_card_is_not_under_way_for_ever(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two", NOBODYS)
        asked_of(await wait_for(one, 1, **AT_THE_GATE, enquires=True))
        fleet.run_out("one")
        await taken_over(two, ASKING)
        fleet.gone_since("one", 4 * MINUTE)
        assert await taken_over(two, ASKING) == {}, "it may come back, and ask"
        told = (await wait_for(two, 2, **AT_THE_OTHER_GATE)).told
        assert told is not None
        assert told.reason == "under_way"
        fleet.gone_since("one", 6 * MINUTE)
        assert await taken_over(two, ASKING) == {"sends_given_up": 1}
        assert (await states(two))[0] == ("in_doubt", "crash")
        assert "in_doubt/crash" in await notices(two)
        told = (await wait_for(two, 3, **AT_THE_OTHER_GATE)).told
        assert told is None or told.reason != "under_way"

    async def test_its_daemon_comes_back_and_asks(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two", NOBODYS)
        asked_of(await wait_for(one, 1, enquires=True))
        fleet.run_out("one")
        await taken_over(two)
        fleet.gone_since("one", 6 * MINUTE)
        await taken_over(two)
        await fleet.stops(one)
        again = await fleet.daemon("one")
        await again.recover(NEXT_DAY, ["common"], crashed, crashed_asked)
        begun = await again.doubts.begin(NEXT_DAY, True, lambda enquired: pytest.fail("none was open"))
        assert begun["enquiries_begun"] == 1

    async def test_what_was_to_be_sent_is_held_after_a_day_and_sent_by_whoever_comes_with_it(
        self, fleet: Fleet
    ) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two", NOBODYS)
        await take(one, 1)
        await take(one, 2)
        (sending,) = await one.claim(NOW, 1)
        fleet.run_out("one")
        assert await taken_over(two, now=NEXT_DAY) == {}
        fleet.gone_since("one", 25 * HOUR)
        assert await taken_over(two, now=NEXT_DAY) == {"sends_given_up": 1, "due_held": 2}
        assert await states(two) == [("held", "no_credential")] * 2
        assert await notices(two) == ["held/no_credential"]
        three = await fleet.daemon("three", {"ours": "the company"})
        assert await taken_over(three, now=NEXT_DAY) == {"held_taken_over": 2}
        claims = {claimed.uuid: claimed for claimed in await three.claim(NEXT_DAY, 10)}
        assert {claimed.credential for claimed in claims.values()} == {"ours"}
        assert len(claims) == 2
        assert claims[sending.uuid].progress.may_have_charged
        assert claims[sending.uuid].body == sending.body

    async def test_what_was_held_so_is_sent_by_its_daemon_when_that_comes_back(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two", NOBODYS)
        await take(one, 1)
        fleet.run_out("one")
        await taken_over(two)
        fleet.gone_since("one", 25 * HOUR)
        assert await taken_over(two, now=NEXT_DAY) == {"due_held": 1}
        await fleet.stops(one)
        again = await fleet.daemon("one")
        done = await again.recover(NEXT_DAY, ["common"], crashed, crashed_asked)
        assert done["freed_with_credential"] == 1
        assert (await claim_one(again, NEXT_DAY)).credential == "common"

    async def test_what_is_due_later_at_another_that_holds_it_is_left_to_that_one(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two", NOBODYS)
        await fleet.daemon("three")
        await take(one, 1, now=NEXT_DAY)
        fleet.run_out("one")
        await taken_over(two)
        fleet.gone_since("one", 25 * HOUR)
        assert await taken_over(two, now=NEXT_DAY) == {}, "whoever holds it has five minutes from when it is due"

    async def test_who_nobody_can_ask_about_is_told_of_after_a_day(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        await wait_for(one, 1, enquires=True)
        await wait_for(one, 2, **AT_THE_GATE, enquires=True)
        fleet.run_out("one")
        await taken_over(two, ASKING)
        (enquired, *_) = await two.doubts.claim(after(10 * 60), 1)
        assert await notices(two, str(enquired.uuid)) == []
        three = await fleet.daemon("three", NOBODYS)
        fleet.run_out("two")
        assert await taken_over(three, BLIND, NEXT_DAY) == {}
        fleet.gone_since("two", 25 * HOUR)
        assert await taken_over(three, BLIND, NEXT_DAY) == {"enquired_given_up": 1, "enquiries_given_up": 1}
        assert await taken_over(three, BLIND, NEXT_DAY) == {}
        assert await states(three) == [("in_doubt", "timeout")] * 2
        assert await notices(three) == await notices(three, "2") == ["in_doubt/timeout"]
        assert await three.upkeep.check() == []
