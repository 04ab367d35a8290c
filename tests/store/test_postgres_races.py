"""Daemons that meet at the same rows: in every order each is done once, and nobody's is lost (design 4, 8)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.store.builders import (
    APPROVED,
    NOW,
    SILENCE,
    TAP_REFUSED,
    TERMINAL_REFUSED,
    after,
    claim_one,
    closer,
    crashed,
    crashed_asked,
    settle,
    take,
)
from tests.store.databases import Databases, PostgresEngine
from tests.store.engines import IDENTITY, KEK
from tests.store.interleaving import Stops, stopping
from tests.store.passengers import (
    AT_THE_GATE,
    AT_THE_OTHER_GATE,
    ENQUIRING,
    answer,
    asked_of,
    check_in,
    check_out,
    journey_of,
    wait_for,
)
from tpsd.core.asking import JourneyMovedError
from tpsd.core.device_keys import prepared
from tpsd.core.doubt import DoubtPolicy
from tpsd.core.enquiry import conclude, read
from tpsd.core.operations import InForce, Order, Refusal, judge
from tpsd.domain.audit import AuditDraft
from tpsd.domain.authorisation import AttemptReason
from tpsd.domain.device_key import DeviceKey, KeysKept
from tpsd.domain.doubt import Enquired
from tpsd.domain.outcome import Answer
from tpsd.domain.time import HOUR, MINUTE, Micros
from tpsd.domain.views import TapFilter
from tpsd.errors import JournalError
from tpsd.leases import Endings
from tpsd.operating import Judged
from tpsd.store import mailroom
from tpsd.store.connection import Connection
from tpsd.store.housekeeping import Keep
from tpsd.store.journal import Identity
from tpsd.store.postgres import PostgresJournal
from tpsd.store.queries import Q
from tpsd.store.session import Database

BARE_REFUSAL = Answer(403)  # not TPS's application: a canary may go


@pytest.fixture
def place(databases: Callable[[int], Databases], tmp_path: Path) -> Iterator[PostgresEngine]:
    engine = PostgresEngine(databases(18), tmp_path / "engine")
    yield engine
    engine.drop()


class Pair:
    """Two daemons of one database; ``two`` stops where it is told, and presides."""

    one: PostgresJournal
    two: PostgresJournal
    stops: Stops


@pytest.fixture
async def pair(place: PostgresEngine, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pair]:
    pair = Pair()
    pair.stops = Stops()
    with monkeypatch.context() as patch:
        patch.setattr("tpsd.store.postgres.connect", stopping(pair.stops))
        pair.two = await begun(place, "two")
    pair.one = await begun(place, "one")
    yield pair
    assert await pair.one.upkeep.check() == []
    await pair.two.close()
    await pair.one.close()


async def begun(place: PostgresEngine, name: str, identity: Identity = IDENTITY) -> PostgresJournal:
    journal = await PostgresJournal.open(Database(place.url, daemon=name), identity, KEK, Keep())
    assert journal.leases is not None
    await journal.leases.describe({"common": "the company", "gate-2": "the gate"})
    await journal.leases.renew()
    return journal


async def open_in_a_thread(place: PostgresEngine, name: str) -> PostgresJournal:
    """To be opened beside others: to connect blocks its loop."""
    return await asyncio.to_thread(asyncio.run, begun(place, name))


class TestJourneys:
    """A passenger at two gates of two daemons."""

    @pytest.mark.parametrize("query", ["lock_journey_of_card", "journey_of_card", "under_way"])
    async def test_a_check_in_is_answered_while_the_card_is_tapped_elsewhere(self, pair: Pair, query: str) -> None:
        """Whatever is read first: it is under way, or the journey is open."""
        claimed = asked_of(await wait_for(pair.one, 1, **AT_THE_GATE))
        pair.stops.before(query, lambda: answer(pair.one, claimed, APPROVED))
        try:
            taken = await wait_for(pair.two, 2, **AT_THE_OTHER_GATE)
        except JourneyMovedError:  # the lane prepares it anew
            taken = await wait_for(pair.two, 2, **AT_THE_OTHER_GATE)
        await pair.stops.settled()
        if taken.asked is None:
            assert taken.told is not None
            assert taken.told.reason in ("under_way", "no_check_in")
        else:
            await answer(pair.two, taken.asked, APPROVED)
        assert (await journey_of(pair.one)).state in ("open", "closed")
        kinds = [row.kind for row in await pair.one.taps(TapFilter()) if row.uuid is not None]
        assert kinds != ["RETAIL_CHECK_IN", "RETAIL_CHECK_IN"], "two were charged for one journey"

    @pytest.mark.parametrize("exchange", [APPROVED, SILENCE])
    async def test_a_journey_expires_while_its_passenger_checks_out(self, pair: Pair, exchange: Any) -> None:
        await check_in(pair.one)
        claimed = []

        async def goes_out() -> None:
            claimed.append(asked_of(await wait_for(pair.one, 2, now=after(60), **AT_THE_OTHER_GATE)))

        pair.stops.before("lock_journey", goes_out)
        await pair.two.asked.attend(after(120), NOW, True, after(120))
        await pair.stops.settled()
        assert (await journey_of(pair.one)).state == "checking_out", "its answer comes first"
        await answer(pair.one, claimed[0], exchange, now=after(120))
        assert (await journey_of(pair.one)).state == ("closed" if exchange is APPROVED else "checking_out")

    async def test_a_journey_ends_while_another_looks_for_those_that_nobody_ended(self, pair: Pair) -> None:
        await check_in(pair.one)
        pair.stops.before("lock_journey", lambda: check_out(pair.one, 2))
        await pair.two.asked.attend(after(120), NOW, True, after(120))
        assert all(not isinstance(one, BaseException) for one in await pair.stops.settled())
        assert (await journey_of(pair.one)).state == "closed"

    async def test_a_verdict_is_taken_while_another_looks_for_those_that_were_not(self, pair: Pair) -> None:
        answered = await check_in(pair.one)
        assert answered.tap is not None
        number = answered.tap
        pair.stops.before("undelivered_told", lambda: pair.one.asked.delivered(number))
        done = await pair.two.asked.attend(after(-24 * 3600), after(120), True, after(120))
        await pair.stops.settled()
        assert done["verdicts_untaken"] == 0
        assert (await pair.one.story("1")).notices == ()


class TestDoubts:
    """One row is asked about by two."""

    @pytest.mark.parametrize("query", ["enquired_one", "mark_asked_beside", "COMMIT"])
    async def test_the_series_goes_on_while_another_asks_beside(self, pair: Pair, query: str) -> None:
        uuid, due = await doubtful(pair.one)
        pair.stops.before(query, lambda: pair.one.doubts.claim(due, 10))
        beside = await pair.two.doubts.claim_one(uuid, due)
        (series,) = await pair.stops.settled()
        await said_nothing(pair, series, beside, due)

    @pytest.mark.parametrize("query", ["mark_enquiring", "insert_attempt", "COMMIT"])
    async def test_another_asks_beside_while_the_series_goes_on(self, pair: Pair, query: str) -> None:
        uuid, due = await doubtful(pair.two)
        pair.stops.before(query, lambda: pair.one.doubts.claim_one(uuid, due))
        series = await pair.two.doubts.claim(due, 10)
        (beside,) = await pair.stops.settled()
        pair.one, pair.two = pair.two, pair.one
        await said_nothing(pair, series, beside, due)


async def doubtful(journal: PostgresJournal) -> tuple[str, Micros]:
    """A payment in doubt, and when it is asked about."""
    claimed = asked_of(await wait_for(journal, 1, enquires=True))
    await answer(journal, claimed, SILENCE, policy=ENQUIRING)
    due = await journal.doubts.next_due()
    assert due is not None
    return str(claimed.uuid), due


async def said_nothing(pair: Pair, series: Sequence[Enquired], beside: Enquired | None, due: Micros) -> None:
    """TPS answered neither; then the series must go on."""
    heard = read(SILENCE)
    if beside is not None:
        await pair.two.doubts.leave(beside, heard, due)
    for enquired in series:
        conclusion = conclude(enquired, heard, believed=False, ended_at=due)
        await pair.one.doubts.conclude(enquired, heard, conclusion, due)
    assert await pair.one.doubts.next_due() is not None, "nobody would ask about it any more"


class TestMails:
    """A window is closed while others write what belongs into it."""

    @pytest.mark.parametrize(
        "query", ["notices_waiting", "notices_sum", "insert_mail", "notices_mailed", "next_window", "end_episode"]
    )
    async def test_what_is_noted_while_a_window_closes_is_mailed_too(self, pair: Pair, query: str) -> None:
        await refused_by_tps(pair.one, 1)
        pair.stops.before(query, lambda: refused_by_tps(pair.one, 2))
        await mailed(pair.two)
        await pair.stops.settled()
        await mailed(pair.two, week=2)
        assert await told_of(pair.two, 1, 2) == [1, 2]

    @pytest.mark.parametrize("query", ["open_episode", "keep_episode", "COMMIT"])
    async def test_a_window_closes_while_something_is_noted(self, pair: Pair, query: str) -> None:
        await refused_by_tps(pair.two, 1)
        await take(pair.two, 2)
        claimed = await claim_one(pair.two, after(60))
        pair.stops.before(query, lambda: mailed(pair.one, presides=False))
        await settle(pair.two, claimed, TAP_REFUSED)
        await pair.stops.settled()
        await mailed(pair.two, week=2)
        assert await told_of(pair.two, 1, 2) == [1, 2]


async def refused_by_tps(journal: PostgresJournal, counter: int) -> None:
    """A tap that TPS's application refuses: one more notice of the same cause."""
    await take(journal, counter)
    await settle(journal, await claim_one(journal, after(60)), TAP_REFUSED)


async def mailed(journal: PostgresJournal, *, week: int = 1, presides: bool = True) -> None:
    """A week goes by, and every window with it; not ``presides``: as from a daemon that did a moment ago."""
    for day in range(7 * week, 7 * week + 7):
        now = after(day * 24 * 3600)
        if presides:
            await journal.close_windows(now, closer(now))
        else:
            await journal._writer.write(partial(mailroom.close_windows, now=now, close=closer(now)))


async def told_of(journal: PostgresJournal, *counters: int) -> list[int]:
    """Of which of these taps a mail tells."""
    text = "\n".join(mail.text for mail in await journal.mails_due(after(30 * 24 * 3600), 100))
    return [counter for counter in counters if f"VAL00042:3:{counter} " in text]


class TestBodies:
    """What is sealed, and when it may go."""

    async def test_one_that_is_released_in_its_last_moment_stays(self, pair: Pair) -> None:
        await take(pair.one, 1)
        await settle(pair.one, await claim_one(pair.one), TERMINAL_REFUSED)
        uuid = (await pair.one.taps(TapFilter()))[0].uuid
        assert uuid is not None
        await pair.two.keep_house(Keep().held_us - 1)
        in_force = InForce(DoubtPolicy(), frozenset({"common"}), NOW)
        judged: list[Judged] = []

        async def releases() -> None:
            judged.extend(
                await pair.one.operations.carry_out(
                    [uuid], lambda row: judge(Order.RELEASE, row, in_force), [NOW], NOW, None
                )
            )

        pair.stops.before("erase", releases)
        await pair.two.keep_house(2)
        await pair.stops.settled()
        assert isinstance(judged[0].verdict, Refusal), "its body is gone, and the row says so"

    async def test_keys_that_were_destroyed_are_forgotten_everywhere(self, pair: Pair) -> None:
        for _ in range(4):
            await pair.two.keep_house(25 * HOUR)
            await pair.one.keep_house(MINUTE)
        live = set(pair.two._epochs._keys._keys)
        assert 1 not in live
        assert set(pair.one._epochs._keys._keys) <= live


class TestStarts:
    """Daemons that come, and daemons that are gone."""

    async def test_two_that_find_an_empty_database_make_one_journal(self, place: PostgresEngine) -> None:
        journals = await asyncio.gather(*(open_in_a_thread(place, f"gate-{number}") for number in range(4)))
        assert len({journal.journal_id for journal in journals}) == 1
        assert len({journal.digest(b"a tap") for journal in journals}) == 1
        for journal in journals:
            await journal.close()

    @pytest.mark.parametrize("query", ["get_meta", "make_meta", "COMMIT"])
    async def test_one_makes_the_journal_while_another_begins_to(
        self, place: PostgresEngine, monkeypatch: pytest.MonkeyPatch, query: str
    ) -> None:
        stops, began = Stops(), []

        async def begins() -> None:
            began.append(await begun(place, "two"))

        with monkeypatch.context() as patch:
            patch.setattr("tpsd.store.postgres.connect", stopping(stops))
            stops.before(query, begins)
            one = await begun(place, "one")
        await stops.settled()
        (two,) = began
        assert one.digest(b"a tap") == two.digest(b"a tap")
        await take(one, 1)
        assert await two.upkeep.check() == []
        await one.close()
        await two.close()

    async def test_another_set_up_is_refused_beside_daemons_that_are_there(self, place: PostgresEngine) -> None:
        one = await begun(place, "one")
        other = Identity(IDENTITY.mode, "elsewhere.example", IDENTITY.company_id)
        with pytest.raises(JournalError, match=r"other daemons are using this journal for another set-up \(host is"):
            await begun(place, "two", other)
        await one.close()
        place.tamper(["UPDATE daemon SET lease_until = 0"])
        two = await begun(place, "two", other)
        await two.close()

    async def test_who_sleeps_keeps_neither_its_name_nor_what_one_does_for_all(self, place: PostgresEngine) -> None:
        """Its connection stands, as that of a machine that was cut off does for hours."""
        asleep, other = await begun(place, "one"), await begun(place, "two")
        assert other.leases is not None
        place.tamper(["UPDATE daemon SET lease_until = now_us() - 1 WHERE name = 'one'"])
        (neighbour,) = (await other.leases.renew()).others
        assert await other.leases.declare_gone(neighbour)
        await other.leases.renew()
        assert (asleep.presides, other.presides) == (True, False), "it may still come and hear that it is gone"
        place.tamper(["UPDATE daemon SET gone_at = gone_at - 5000001 WHERE name = 'one'"])
        for _ in range(100):
            await other.leases.renew()
            if other.presides:
                break
        assert other.presides
        again = await begun(place, "one")
        with pytest.raises(JournalError):
            await take(asleep, 1)
        await take(again, 1)
        for journal in (asleep, again, other):
            await journal.close()

    async def test_one_starts_again_while_its_work_is_taken_over(self, place: PostgresEngine, pair: Pair) -> None:
        await take(pair.one, 1)
        await pair.one.claim(NOW, 10)
        await pair.one.close()
        place.tamper(["UPDATE daemon SET lease_until = 0 WHERE name = 'one'"])
        assert pair.two.leases is not None
        (neighbour,) = (await pair.two.leases.renew()).others
        assert await pair.two.leases.declare_gone(neighbour)

        async def starts_again() -> int:
            pair.one = await begun(place, "one")
            done = await pair.one.recover(NOW, ["common"], crashed, crashed_asked)
            return done["attempts_ended_unknown"]

        pair.stops.before("adopt", starts_again)
        done = await pair.two.leases.take_over(after(60), Endings(crashed, crashed_asked, crashed_asked, None))
        assert done["sends_ended_unknown"] + sum(await pair.stops.settled()) == 1


class TestLanes:
    """Two daemons have a lane of one name."""

    async def test_each_counts_what_its_own_has_waiting(self, pair: Pair) -> None:
        await take(pair.one, 1)
        await take(pair.two, 2)
        await take(pair.two, 3)
        waits = [(await journal.numbers.by_lane())["gate-1"].pending for journal in (pair.one, pair.two)]
        assert waits == [1, 2]


class TestCanaries:
    """A cause holds rows of several daemons."""

    async def test_who_has_the_rows_sends_the_canary_whoever_began_the_hold(self, pair: Pair) -> None:
        await take(pair.one, 1)
        await settle(pair.one, await claim_one(pair.one), BARE_REFUSAL)
        await take(pair.two, 2)  # joins those that are held
        assert [row.state for row in await pair.one.taps(TapFilter())] == ["held", "held"]
        uuid = (await pair.one.taps(TapFilter()))[1].uuid
        in_force = InForce(DoubtPolicy(), frozenset({"common"}), NOW)
        await pair.one.operations.carry_out(
            [str(uuid)], lambda row: judge(Order.CLOSE, row, in_force), [NOW], NOW, None
        )
        due = after(24 * 3600)
        assert await pair.one.claim(due, 10) == [], "it has none to send"
        assert [claimed.reason for claimed in await pair.two.claim(due, 10)] == [AttemptReason.CANARY]

    @pytest.mark.parametrize("query", ["insert_authorisation", "begin_hold", "insert_tap", "COMMIT"])
    async def test_a_hold_ends_while_a_tap_joins_it(self, pair: Pair, query: str) -> None:
        await take(pair.one, 1)
        await settle(pair.one, await claim_one(pair.one), BARE_REFUSAL)
        (row,) = await pair.one.taps(TapFilter())
        in_force = InForce(DoubtPolicy(), frozenset({"common"}), NOW)

        async def closes() -> None:
            await pair.one.operations.carry_out(
                [str(row.uuid)], lambda one: judge(Order.CLOSE, one, in_force), [NOW], NOW, None
            )

        pair.stops.before(query, closes)
        await take(pair.two, 2)
        await pair.stops.settled()
        assert (await pair.two.taps(TapFilter()))[0].state == "held"
        assert len(await pair.two.claim(after(24 * 3600), 10)) == 1, "its canary would never go"


class TestTries:
    """A check-out goes on at another daemon than it began at."""

    async def test_who_sends_it_ends_it(self, place: PostgresEngine, pair: Pair) -> None:
        await check_in(pair.one)
        await check_out(pair.one, 2, SILENCE)
        claimed = asked_of(await wait_for(pair.two, 3, **AT_THE_OTHER_GATE))
        await pair.one.close()
        pair.one = await begun(place, "one")
        done = await pair.one.recover(NOW, ["common", "gate-2"], crashed, crashed_asked)
        assert done["attempts_ended_unknown"] == 0, "it is under way at the other"
        await answer(pair.two, claimed, APPROVED)
        assert (await journey_of(pair.two)).state == "closed"

    async def test_from_who_sends_it_it_is_taken_over(self, place: PostgresEngine, pair: Pair) -> None:
        await check_in(pair.two)
        await check_out(pair.two, 2, SILENCE)
        asked_of(await wait_for(pair.one, 3, **AT_THE_OTHER_GATE))
        place.tamper(["UPDATE daemon SET lease_until = 0 WHERE name = 'one'"])
        assert pair.two.leases is not None
        (neighbour,) = (await pair.two.leases.renew()).others
        assert await pair.two.leases.declare_gone(neighbour)
        done = await pair.two.leases.take_over(after(60), Endings(crashed, crashed_asked, crashed_asked, None))
        assert done["sends_ended_unknown"] == 1
        claimed = asked_of(await wait_for(pair.two, 4, **AT_THE_OTHER_GATE))
        assert (claimed.number, claimed.credential) == (3, "gate-2")
        await answer(pair.two, claimed, APPROVED)


class TestDeviceKeys:
    """A key that stands in the files of all daemons, when they begin at once."""

    async def test_each_keeps_it_and_there_is_one(self, pair: Pair) -> None:
        keys = [prepared(DeviceKey("SALT", "PLAIN", "", "5a" * 32, "", ""), None)]
        brought = AuditDraft(NOW, "anna (1000)", "terminal register", "a new gate")
        pair.stops.before("device_key_insert", lambda: pair.one.device_keys.keep(keys, NOW, brought))
        assert await pair.two.device_keys.keep(keys, NOW, brought) == KeysKept(0, 1, 0)
        assert await pair.stops.settled() == [KeysKept(1, 0, 0)]
        assert len(await pair.one.device_keys.rows()) == 1
        assert len(await pair.one.operations.audited(10)) == 1


class TestCrossed:
    """Two groups of writes that wait for each other."""

    async def test_each_write_of_both_is_done(self, place: PostgresEngine, pair: Pair) -> None:
        place.tamper(["INSERT INTO meta (key, value) VALUES ('a', '0'), ('b', '0')"])
        pair.stops.before(ADD["a"], lambda: together(pair.one, "a", "b"))
        assert await together(pair.two, "b", "a") == ["b", "a"]
        assert await pair.stops.settled() == [["a", "b"]]
        assert [await pair.one._writer.read(partial(value_of, key)) for key in ("a", "b")] == [2, 2]


def value_of(key: str, connection: Connection) -> Any:
    return connection.execute(Q["get_meta"], (key,)).get


ADD = {key: f"UPDATE meta SET value = to_jsonb(value::bigint + 1) WHERE key = '{key}'" for key in ("a", "b")}


async def together(journal: PostgresJournal, *keys: str) -> list[str]:
    """One group, a write for each."""
    all_there = threading.Event()

    def add(key: str, connection: Connection) -> str:
        all_there.wait()
        connection.execute(ADD[key])
        return key

    writes = [asyncio.ensure_future(journal._writer.write(partial(add, key))) for key in keys]
    await asyncio.sleep(0)  # each has come to the writer
    all_there.set()
    return list(await asyncio.gather(*writes))
