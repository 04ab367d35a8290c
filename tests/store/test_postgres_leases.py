"""Daemons that share a journal: each its own work, and the work of one that is gone, once (design 6, I4, I5)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest

from tests.store.builders import (
    APPROVED,
    NO_CONNECTION,
    NOW,
    SILENCE,
    UNAVAILABLE,
    after,
    claim_one,
    closer,
    crashed,
    crashed_asked,
    outcome_of,
    report,
    settle,
    take,
)
from tests.store.databases import Databases, PostgresEngine
from tests.store.engines import IDENTITY, KEK
from tests.store.passengers import (
    AT_THE_GATE,
    AT_THE_OTHER_GATE,
    ENQUIRING,
    OTHER_GATE,
    PAYING,
    asked_of,
    check_in,
    check_out,
    enquire,
    order_refund,
    pay,
    sent,
    wait_for,
)
from tests.store.remote_gate import Server
from tpsd.core.answering import settle as settle_asked
from tpsd.core.outcomes import classify
from tpsd.domain.audit import AuditDraft
from tpsd.domain.lane import LaneClosed
from tpsd.domain.time import DAY, HOUR, MINUTE, Micros
from tpsd.domain.views import TapFilter
from tpsd.errors import JournalError, JournalUnavailableError, SealError
from tpsd.leases import LEASE_US, TAKE_OVER_US, Endings, Neighbour
from tpsd.ports import SettledLate
from tpsd.store.epochs import EpochKeys
from tpsd.store.housekeeping import EpochRow, live_epochs
from tpsd.store.keyrows import KeyRows
from tpsd.store.postgres import PostgresJournal
from tpsd.store.rotation import Rotation
from tpsd.store.session import Database, Session
from tpsd.workers.enquirer import conclude_crashed

ENDINGS = Endings(crashed, crashed_asked, crashed_asked, partial(conclude_crashed, now=NOW))
BLIND = replace(ENDINGS, enquire=None)
ASKING = replace(
    ENDINGS, asked=lambda waiting: settle_asked(waiting, classify(SILENCE), ENQUIRING, number=1, ended_at=NOW)
)
LATER = after(60)


@pytest.fixture(params=[18])
def place(
    request: pytest.FixtureRequest, databases: Callable[[int], Databases], tmp_path: Path
) -> Iterator[PostgresEngine]:
    engine = PostgresEngine(databases(request.param), tmp_path / "engine")
    yield engine
    engine.drop()


class Fleet:
    """The daemons of one database."""

    def __init__(self, engine: PostgresEngine) -> None:
        self._engine = engine
        self._open: list[PostgresJournal] = []

    async def daemon(self, name: str, whom: dict[str, str] | None = None) -> PostgresJournal:
        """One starts; ``whom``: whom TPS sees behind its credentials."""
        journal = await PostgresJournal.open(Database(self._engine.url, daemon=name), IDENTITY, KEK)
        self._open.append(journal)
        assert journal.leases is not None
        await journal.leases.describe({"common": "the company"} if whom is None else whom)
        await journal.leases.renew()
        return journal

    async def stops(self, journal: PostgresJournal) -> None:
        """One lets go of the database; its lease runs on."""
        self._open.remove(journal)
        await journal.close()

    def run_out(self, name: str, since_us: int = 1) -> None:
        """Time passes for a daemon that gives no sign of life."""
        self._engine.tamper([f"UPDATE daemon SET lease_until = now_us() - {since_us} WHERE name = '{name}'"])

    def confirms(self, name: str, tap: int) -> None:
        """A daemon that may take taps elsewhere knows that so many are kept."""
        self._engine.tamper([f"UPDATE daemon SET confirmed = {tap} WHERE name = '{name}'"])

    def gone_since(self, name: str, since_us: int) -> None:
        """It was declared gone so long ago."""
        self._engine.tamper([f"UPDATE daemon SET gone_at = now_us() - {since_us} WHERE name = '{name}'"])

    async def close(self) -> None:
        for journal in self._open:
            await journal.close()


@pytest.fixture
async def fleet(place: PostgresEngine) -> AsyncIterator[Fleet]:
    fleet = Fleet(place)
    yield fleet
    await fleet.close()


async def taken_over(journal: PostgresJournal, endings: Endings = ENDINGS, now: Micros = LATER) -> dict[str, int]:
    """What the leaseholder does in a round: whoever's lease is over is gone, and its work is ours."""
    leases = journal.leases
    assert leases is not None
    for neighbour in (await leases.renew()).others:
        if neighbour.left_us <= 0:
            assert await leases.declare_gone(neighbour)
    done = await leases.take_over(now, endings)
    return {name: count for name, count in done.items() if count}


async def states(journal: PostgresJournal) -> list[tuple[str | None, str | None]]:
    return [(row.state, row.cause) for row in sorted(await journal.taps(TapFilter()), key=lambda row: row.number)]


class TestLeases:
    """Who is there, and who is not any more."""

    async def test_daemons_see_one_another(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        assert one.leases is not None
        assert two.leases is not None
        (seen,) = (await one.leases.renew()).others
        assert (seen.name, seen.life) == ("two", 1)
        assert 0 < seen.left_us <= LEASE_US
        assert not await two.leases.declare_gone(Neighbour("one", 1, -1)), "its lease is not over"

    async def test_who_says_in_time_that_it_is_there_keeps_its_work(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        await take(one, 1)
        fleet.run_out("one")
        assert one.leases is not None
        await one.leases.renew()
        assert await taken_over(two) == {}
        assert len(await one.claim(NOW, 10)) == 1

    async def test_a_lease_is_more_than_twice_a_send_and_the_work_is_free_in_thirty_seconds(self) -> None:
        assert LEASE_US > 2 * 10_000_000
        assert TAKE_OVER_US <= 30_000_000

    async def test_two_of_one_name_are_refused(self, fleet: Fleet) -> None:
        await fleet.daemon("one")
        with pytest.raises(JournalError, match=r"another daemon called one: stop that one first, or give each a name"):
            await fleet.daemon("one")

    async def test_who_was_declared_gone_writes_nothing(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        await take(one, 1)
        fleet.run_out("one")
        assert await taken_over(two) == {"sends_taken_over": 1}
        for writing in (take(one, 2), one.claim(LATER, 10), one.leases.renew()):  # type: ignore[union-attr]
            with pytest.raises(JournalError, match="other daemons took over this one's work"):
                await writing
        await fleet.stops(one)
        again = await fleet.daemon("one")
        await take(again, 2)
        assert [claimed.number for claimed in await again.claim(LATER, 10)] == [1], "the first is the other's now"

    async def test_one_presides_and_another_after_it(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        assert (one.presides, two.presides) == (True, False)
        await fleet.stops(one)
        assert two.leases is not None
        await two.leases.renew()
        assert two.presides

    async def test_only_who_presides_mails_and_keeps_the_house(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        await two.reject(report(1), "gate-1", "GATE-X1:VAL00042", "c0ffee", NOW)
        much_later = after(24 * 3600)
        assert (await two.next_mail(), await two.close_windows(much_later, closer(much_later))) == (None, 0)
        assert await one.close_windows(much_later, closer(much_later)) == 1
        assert await two.mails_due(much_later, 10) == []
        assert len(await one.mails_due(much_later, 10)) == 1
        assert await two.keep_house(DAY) == {}, "its time does not count beside the other's"
        assert (await one.keep_house(HOUR))["epochs_begun"] == 0
        assert (await one.keep_house(24 * HOUR))["epochs_begun"] == 1


class TestWork:
    """Whose a row is."""

    async def test_each_claims_its_own(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        mine = [UUID(int=1), UUID(int=2)]
        await take(one, 1, uuid=mine[0])
        await take(two, 2, uuid=mine[1])
        assert await one.next_due() == await two.next_due() == NOW
        assert [claimed.uuid for claimed in await two.claim(NOW, 10)] == [mine[1]]
        assert [claimed.uuid for claimed in await one.claim(NOW, 10)] == [mine[0]]
        assert await one.next_due() is None

    async def test_what_may_have_charged_is_claimed_in_its_turn_and_looked_at_first(self, fleet: Fleet) -> None:
        one = await fleet.daemon("one")
        for counter in (1, 2, 3):
            await take(one, counter, uuid=UUID(int=counter))
        first, second, third = await one.claim(NOW, 10)
        await settle(one, first, SILENCE)
        await settle(one, second, UNAVAILABLE)
        await settle(one, third, NO_CONNECTION)
        await take(one, 4, now=after(30))
        looked_at: list[Micros] = []
        claims = await one.claim(LATER, 3, judge=looked_at.append)
        assert looked_at == [NOW, NOW]
        assert [claimed.number for claimed in claims] == [1, 2, 2]
        (left,) = await one.claim(LATER, 3)
        assert left.uuid == third.uuid
        assert all(claimed.body for claimed in (*claims, left))

    async def test_a_start_ends_only_its_own_attempts(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        await take(one, 1)
        await take(two, 2)
        claimed = await claim_one(one)
        await two.claim(NOW, 10)
        await fleet.stops(two)
        again = await fleet.daemon("two")
        done = await again.recover(NOW, ["common"], crashed, crashed_asked)
        assert done["attempts_ended_unknown"] == 1
        await settle(one, claimed, APPROVED)
        assert await states(one) == [("approved", "action.000"), ("pending", "crash")]

    async def test_a_credential_that_one_lacks_is_no_concern_of_the_others(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two", {"gate-2": "gate two"})
        await take(one, 1)
        await two.recover(NOW, ["gate-2"], crashed, crashed_asked)
        assert (await claim_one(one)).credential == "common"

    async def test_what_was_being_sent_goes_again_as_the_same_request(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two", {"ours": "the company"})
        await take(one, 1)
        before = await claim_one(one)
        fleet.run_out("one")
        assert await taken_over(two) == {"sends_ended_unknown": 1}
        assert await two.claim(NOW, 10) == [], "the ladder goes on from the rung it was on"
        after_it = await claim_one(two, LATER)
        assert (after_it.uuid, after_it.path, after_it.body) == (before.uuid, before.path, before.body)
        assert (after_it.number, after_it.credential) == (2, "ours"), "the same certificate under another name"
        assert after_it.fence > before.fence
        assert after_it.progress.may_have_charged

    async def test_a_late_result_changes_nothing(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        await take(one, 1)
        late = await claim_one(one)
        fleet.run_out("one")
        await taken_over(two)
        anew = await claim_one(two, LATER)
        await fleet.stops(one)
        again = await fleet.daemon("one")
        outcome, settlement = outcome_of(late, APPROVED)
        with pytest.raises(SettledLate):
            await again.settle(late, outcome, settlement, LATER)
        await settle(two, anew, UNAVAILABLE, LATER)
        assert await states(two) == [("pending", "http.503")]

    async def test_what_waits_for_its_rung_is_taken_over_when_it_is_due(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        await take(one, 1)
        await settle(one, await claim_one(one), UNAVAILABLE)
        await take(one, 2, now=after(120))
        fleet.run_out("one")
        assert await taken_over(two) == {"sends_taken_over": 1}
        assert (await claim_one(two, LATER)).number == 2

    async def test_no_more_than_a_slice_a_commit(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        for counter in range(1, 46):
            await take(one, counter)
        fleet.run_out("one")
        assert await taken_over(two) == {"sends_taken_over": 45}
        assert len(await two.claim(LATER, 100)) == 45

    @pytest.mark.parametrize("whom", [{}, {"common": "somebody else"}])
    async def test_who_does_not_hold_the_credential_leaves_it(self, fleet: Fleet, whom: dict[str, str]) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two", whom)
        await take(one, 1)
        await one.claim(NOW, 10)
        await take(one, 2)
        fleet.run_out("one")
        assert await taken_over(two) == {}
        await fleet.stops(one)
        again = await fleet.daemon("one")
        done = await again.recover(LATER, ["common"], crashed, crashed_asked)
        assert done["attempts_ended_unknown"] == 1
        assert len(await again.claim(LATER, 10)) == 2

    async def test_of_a_realtime_tap_only_the_enquiry(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        await wait_for(one, 1, enquires=True)
        fleet.run_out("one")
        assert await taken_over(two, ASKING) == {"sends_ended_unknown": 1}
        ((state, cause),) = await states(two)
        assert (state, cause) == ("in_doubt", "timeout")
        assert await two.claim(after(DAY / 1_000_000), 10) == []
        await enquire(two, APPROVED)
        assert await states(two) == [("approved", "action.000")]

    async def test_enquiries_are_those_of_who_asks(self, fleet: Fleet) -> None:
        one, two, three = await fleet.daemon("one"), await fleet.daemon("two"), await fleet.daemon("three")
        await wait_for(one, 1, enquires=True)
        fleet.run_out("one")
        await taken_over(three, ASKING)
        (enquired,) = await three.doubts.claim(after(10 * 60), 10)
        assert await two.doubts.next_due() is None
        fleet.run_out("three")
        assert await taken_over(two, BLIND) == {}
        assert (await taken_over(two))["enquiries_ended_unknown"] == 1
        assert await two.doubts.next_due() is not None
        assert enquired.nth == 1

    async def test_unconfirmed_taps_wait_a_day_and_are_never_sent(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        await take(one, 1)
        await take(one, 2)
        fleet.confirms("one", 1)
        fleet.run_out("one")
        assert await taken_over(two) == {"sends_taken_over": 1}
        fleet.gone_since("one", 23 * HOUR)
        assert await taken_over(two) == {}
        fleet.gone_since("one", 25 * HOUR)
        assert await taken_over(two) == {"unconfirmed_due_in_doubt": 1}
        assert await states(two) == [("pending", None), ("in_doubt", "unconfirmed")]
        assert len(await two.claim(LATER, 10)) == 1
        assert [line.cause for line in (await two.story("2")).notices] == ["in_doubt/unconfirmed"]


class TestShared:
    """What the daemons have in common, and what they have each for itself."""

    async def test_the_same_tap_at_two_gets_one_verdict(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        first, second = await take(one, 1), await take(two, 1)
        assert (first.new, second.new) == (True, False)
        assert first.told == second.told
        assert first.number == second.number

    async def test_a_journey_begins_at_one_and_ends_at_the_other(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        await check_in(one)
        await check_out(two, 2)
        assert [row.state for row in await one.taps(TapFilter())] == ["approved", "approved"]
        assert await one.upkeep.check() == []

    @pytest.mark.parametrize(("whom", "name"), [("the company", "ours"), ("somebody else", "one/common")])
    async def test_a_try_to_check_out_goes_on_only_under_the_same_certificate(
        self, fleet: Fleet, whom: str, name: str
    ) -> None:
        """One that nobody holds is refused by the line to TPS: the same bytes never go under another's name."""
        lane = replace(OTHER_GATE, credential="common")
        one, two = await fleet.daemon("one"), await fleet.daemon("two", {"ours": whom, "common": "a third"})
        await check_in(one)
        await check_out(one, 2, SILENCE, lane=lane)
        claimed = asked_of(await wait_for(two, 3, **(AT_THE_OTHER_GATE | {"lane": lane})))
        assert (claimed.number, claimed.credential) == (2, name)

    @pytest.mark.parametrize(("whom", "name"), [("the company", "ours"), ("somebody else", "one/common")])
    async def test_a_refund_ordered_at_another_goes_under_the_same_certificate(
        self, fleet: Fleet, whom: str, name: str
    ) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two", {"ours": whom, "common": "a third"})
        await pay(one)
        assert sent(await order_refund(two)).credential == name

    async def test_bodies_sealed_by_one_open_at_the_other_also_under_a_new_epoch(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        await one.keep_house(25 * HOUR)
        await take(one, 1)
        await two.keep_house(MINUTE)
        await take(two, 2)
        fleet.run_out("one")
        await taken_over(two)
        assert all(claimed.body for claimed in await two.claim(LATER, 10))
        assert one._epochs._keys.current == two._epochs._keys.current == 2

    async def test_all_that_begin_at_once_on_a_new_journal_share_its_keys(self, fleet: Fleet) -> None:
        names = [f"gate-{number}" for number in range(4)]
        fleet_of_four = await asyncio.gather(*(fleet.daemon(name) for name in names))
        assert len({journal.journal_id for journal in fleet_of_four}) == 1
        assert len({journal.digest(b"a tap") for journal in fleet_of_four}) == 1
        assert [journal._epochs._keys.current for journal in fleet_of_four] == [1] * 4
        assert sum(journal.presides for journal in fleet_of_four) == 1
        for counter, journal in enumerate(fleet_of_four):
            await take(journal, counter)
        for name, journal in zip(names[:-1], fleet_of_four, strict=False):
            await fleet.stops(journal)
            fleet.run_out(name)
        last = fleet_of_four[-1]
        await taken_over(last)
        assert len([claimed for claimed in await last.claim(LATER, 10) if claimed.body]) == 4

    async def test_another_key_encryption_key_is_refused(self, place: PostgresEngine, fleet: Fleet) -> None:
        await fleet.daemon("one")
        with pytest.raises(JournalError, match="the keys do not fit this journal"):
            await PostgresJournal.open(Database(place.url, daemon="two"), IDENTITY, bytes(32))

    async def test_lanes_outages_and_holds_are_each_daemons_own(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        closed = LaneClosed("alice", NOW, "cleaning")
        await one.lanes.close("front", closed, AuditDraft(NOW, "alice", "close", "cleaning"))
        assert (await one.lanes.closed(), await two.lanes.closed()) == ({"front": closed}, {})
        await one.outages.begin("tps.example", NOW)
        assert await one.outages.unfinished("tps.example") is not None
        assert await two.outages.unfinished("tps.example") is None

    async def test_a_card_whose_journey_is_under_way_at_one_waits_at_the_other(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        asked_of(await wait_for(one, 1, **AT_THE_GATE))
        told = (await wait_for(two, 2, **AT_THE_OTHER_GATE)).told
        assert told is not None
        assert told.reason == "under_way"

    async def test_a_payment_under_way_is_of_one_lane_whatever_the_others_are_called(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        asked_of(await wait_for(one, 1, lane=PAYING))
        told = (await wait_for(one, 2, lane=PAYING)).told
        assert told is not None
        assert told.reason == "under_way"
        asked_of(await wait_for(two, 3, lane=PAYING))

    async def test_a_payment_in_doubt_is_of_one_lane_also_when_another_daemon_asks_about_it(self, fleet: Fleet) -> None:
        """A lane of the same name elsewhere sends its own passenger's payment, and no other covers it."""
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        first = asked_of(await wait_for(one, 1, lane=PAYING, enquires=True))
        fleet.run_out("one")
        assert await taken_over(two, ASKING) == {"sends_ended_unknown": 1}
        assert (await wait_for(two, 2, lane=PAYING, enquires=True)).asks_first is None
        await fleet.stops(one)
        again = await fleet.daemon("one")
        assert (await wait_for(again, 3, lane=PAYING, enquires=True)).asks_first == str(first.uuid)

    async def test_a_tap_is_made_anew_by_the_daemon_of_its_lane_alone(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        taken = await take(one, 1)
        uuid = str((await one.operations.find(str(taken.number))).uuid)
        lanes = [(await journal.operations.kept([uuid]))[uuid].lane for journal in (one, two)]
        assert lanes == ["gate-1", "one/gate-1"], "no lane of the second is called so"


class TestImports:
    """A deny list that a daemon fills is that daemon's, until it is gone."""

    TOKENS = b"".join(bytes([number]) * 32 for number in range(9))

    async def test_one_that_runs_is_let_run(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        running = await one.denylist.begin("file", NOW)
        await one.denylist.fill(running, self.TOKENS)
        await two.denylist.tidy(50)
        await two.denylist.abandon(await two.denylist.begin("other", NOW))
        await one.keep_house(MINUTE)
        await one.denylist.fill(running, self.TOKENS)
        assert (await one.denylist.go_live(running, False, AuditDraft(NOW, "alice", "import", "a test"))).changed == 9

    async def test_one_of_a_former_life_is_cleared_and_so_is_one_of_who_is_gone(self, fleet: Fleet) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        for journal in (one, two):
            await journal.denylist.fill(await journal.denylist.begin("file", NOW), self.TOKENS)
            await fleet.stops(journal)
        again = await fleet.daemon("one")
        assert await again.denylist.tidy(50) == 9, "its own"
        assert await again.denylist.tidy(50) == 0, "the other may be there"
        fleet.run_out("two")
        await taken_over(again)
        assert await again.denylist.tidy(50) == 9


@contextmanager
def keys_of(journal: PostgresJournal, place: PostgresEngine) -> Iterator[EpochKeys]:
    """Those of a daemon that is about to start."""
    shelf = KeyRows(partial(Session, Database(place.url, daemon="three")))
    try:
        yield EpochKeys(shelf, KEK, journal.journal_id)
    finally:
        shelf.close()


async def epochs(journal: PostgresJournal) -> list[EpochRow]:
    return await journal._writer.read(live_epochs)


class TestKeys:
    """One daemon begins and destroys the keys of all."""

    async def test_one_that_goes_while_another_starts(self, fleet: Fleet, place: PostgresEngine) -> None:
        one = await fleet.daemon("one")
        before = await epochs(one)
        await one.keep_house(24 * HOUR)
        assert (await one.keep_house(47 * HOUR))["keys_destroyed"] == 1
        with keys_of(one, place) as keys:
            await Rotation(one._writer, keys, os.urandom).open(before, 0, alone=False)
        assert keys.current == 3

    async def test_one_that_is_lost_is_told_of_all_the_same(self, fleet: Fleet, place: PostgresEngine) -> None:
        one = await fleet.daemon("one")
        place.lose_key(1)
        with keys_of(one, place) as keys, pytest.raises(SealError, match="epoch key 1 is not in the table"):
            await Rotation(one._writer, keys, os.urandom).open(await epochs(one), 0, alone=False)

    async def test_a_server_that_hangs_hangs_nobody_else(self, fleet: Fleet, place: PostgresEngine) -> None:
        one, server = await fleet.daemon("one"), Server(place._databases.cluster, place.name)
        connection = one._shelf._session
        with server.asleep():
            beginning = asyncio.create_task(one._epochs._begin(24 * HOUR))
            for _ in range(100):
                await asyncio.sleep(0)
            assert not beginning.done()
        await beginning
        assert one._shelf._session is connection, "it was awake again before anybody's patience was over"
        assert [epoch.number for epoch in await epochs(one)] == [1, 2]

    async def test_a_body_whose_key_cannot_be_fetched_now_is_sent_later(
        self, fleet: Fleet, place: PostgresEngine
    ) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        await take(two, 1)
        await one.keep_house(24 * HOUR)
        await two.keep_house(24 * HOUR)
        assert (await one.keep_house(47 * HOUR))["rows_rewrapped"] > 0
        await take(two, 2)
        place.tamper(["ALTER TABLE epoch_key RENAME TO elsewhere"])
        (known,) = await two.claim(NOW, 10)
        await settle(two, known, APPROVED)
        assert await states(two) == [("pending", "keys"), ("approved", "action.000")]
        with pytest.raises(JournalUnavailableError, match="the epoch keys cannot be read"):
            await two.claim(NOW, 10)
        assert await states(two) == [("pending", "keys"), ("approved", "action.000")]
        place.tamper(["ALTER TABLE elsewhere RENAME TO epoch_key"])
        claimed = await claim_one(two)
        assert claimed.body
        assert claimed.progress.sends == 1, "no rung was used before"
        await settle(two, claimed, APPROVED)

    async def test_an_epoch_whose_key_cannot_be_fetched_now_is_followed_later(
        self, fleet: Fleet, place: PostgresEngine
    ) -> None:
        one, two = await fleet.daemon("one"), await fleet.daemon("two")
        await one.keep_house(24 * HOUR)
        place.tamper(["ALTER TABLE epoch_key RENAME TO elsewhere"])
        with pytest.raises(JournalUnavailableError, match="the epoch keys cannot be"):
            await two.keep_house(MINUTE)
        await take(two, 1)
        place.tamper(["ALTER TABLE elsewhere RENAME TO epoch_key"])
        await two.keep_house(MINUTE)
        assert two._epochs._keys.current == 2
