"""TPS's deny list in the journal: page and token in one commit, a shadow that denies, the flip, and any crash."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from tests.store.builders import MASTERCARD, NOW, VISA, after, card, take
from tests.store.engines import Engine, SqliteEngine
from tests.store.test_contract_denylist import ACCEPTED, AUDIT, DENIED, others, token
from tpsd.core.feed import Flush, Put, Step, Strike, Take, judge, waits
from tpsd.core.listage import fresh_notice, stale_notice
from tpsd.domain.audit import AuditDraft
from tpsd.domain.denial import BY_FEED
from tpsd.domain.feed import Action, FeedState, Foreign, Kept, Loss, Page, Record
from tpsd.domain.tap import Told
from tpsd.domain.time import HOUR, MINUTE
from tpsd.errors import RefusedError
from tpsd.store.feed import Bounds, SqlFeed
from tpsd.store.journal import SqlJournal


async def kept(journal: SqlJournal, *steps: Step, to: str | None = "t", done: bool = False) -> Kept:
    return await journal.feed.keep(Take(steps, to, done), (), NOW)


async def told(journal: SqlJournal, counter: int, pan: str = VISA) -> Told | None:
    return (await take(journal, counter, card=card(pan))).told


def put(tokens: Iterable[bytes]) -> Put:
    return Put(tuple(sorted(tokens)))


async def test_a_page_and_its_token_are_one_commit(journal: SqlJournal) -> None:
    assert await journal.feed.state() == FeedState()
    assert await kept(journal, put([token(), *others(3)])) == Kept(4, 0, 1)
    assert await journal.feed.state() == FeedState("t", NOW, None, 4)
    assert await told(journal, 1) == DENIED
    assert await kept(journal, put([token()]), Strike((token(),)), to="u", done=True) == Kept(0, 1, 2)
    assert await journal.feed.state() == FeedState("u", NOW, NOW, 3)
    assert await told(journal, 2) == ACCEPTED
    assert await kept(journal, to="v", done=True) == Kept(0, 0, 2)


async def test_where_the_time_is_not_known_a_whole_list_gets_no_time(journal: SqlJournal) -> None:
    await journal.feed.keep(Take((), "t", True), (), NOW)
    await journal.feed.keep(Take((), "u", True), (), after(60), timed=False)
    state = await journal.feed.state()
    assert (state.token, state.heard_at, state.whole_at) == ("u", after(60), NOW)


async def test_word_of_the_lists_age_is_given_once_and_its_end_once(journal: SqlJournal) -> None:
    await kept(journal, done=True)
    stale, fresh = stale_notice(HOUR, MINUTE, ""), fresh_notice()
    assert not await journal.feed.tell_of_age(fresh, NOW, stale=False), "nobody was told that it is too old"
    told = [await journal.feed.tell_of_age(stale, after(n), stale=True) for n in range(2)]
    assert (told, (await journal.feed.state()).stale_told) == ([True, False], True)
    told = [await journal.feed.tell_of_age(fresh, after(n), stale=False) for n in range(2, 4)]
    assert (told, (await journal.feed.state()).stale_told) == ([True, False], False)
    assert await journal.feed.tell_of_age(stale, after(5), stale=True), "another episode"
    causes = "SELECT cause FROM notice ORDER BY id"
    assert await journal._writer.read(lambda connection: [cause for (cause,) in connection.execute(causes)]) == [
        "outage/feed.stale",
        "outage/feed.fresh",
        "outage/feed.stale",
    ]


async def test_what_is_struck_is_the_feeds_own(journal: SqlJournal) -> None:
    await journal.denylist.add([token()], AUDIT)
    await kept(journal, put([token()]))
    assert (await kept(journal, Strike((token(), token(MASTERCARD))))).deleted == 1
    assert await told(journal, 1) == DENIED


async def test_a_shadow_denies_beside_the_list_and_replaces_it_by_a_flip_alone(journal: SqlJournal) -> None:
    await journal.denylist.add([token(MASTERCARD)], AUDIT)
    await kept(journal, put([token(), *others(9)]), done=True)
    await kept(journal, Flush(), put(others(9)))
    assert await told(journal, 1) == DENIED
    with pytest.raises(RefusedError, match="no new deny list waits"):
        await journal.feed.flip(NOW, None)
    new = others(5, seed=2)
    await kept(journal, put([*new, token(MASTERCARD)]), done=True)
    state = await journal.feed.state()
    assert (state.tokens, state.shadow, state.whole) == (10, 15, True)
    assert await journal.feed.loss() == Loss(10, 1, 15)
    assert await told(journal, 2) == DENIED
    assert (await journal.feed.flip(after(9), None)).changed == 15
    assert await told(journal, 3) == ACCEPTED
    assert {source.source: source.tokens for source in (await journal.denylist.totals()).sources} == {
        BY_FEED: 15,
        "hand": 1,
    }
    assert await journal.feed.loss() is None
    while await journal.denylist.tidy(10):
        pass
    assert (await journal.denylist.totals()).tokens == 16
    assert await told(journal, 4, MASTERCARD) == DENIED


async def test_what_is_struck_after_a_flush_is_struck_from_both(journal: SqlJournal) -> None:
    await kept(journal, put([token()]), done=True)
    await kept(journal, Flush(), put([token()]))
    assert await kept(journal, Strike((token(),))) == Kept(0, 1, 3)
    assert await told(journal, 1) == ACCEPTED


async def test_a_second_flush_keeps_what_the_first_one_brought_until_the_flip(journal: SqlJournal) -> None:
    await kept(journal, put(others(3)), done=True)
    await kept(journal, Flush(), put([token()]))
    await kept(journal, Flush(), Flush())
    assert await told(journal, 1) == DENIED
    await kept(journal, put(others(2, seed=3)), done=True)
    assert await journal.feed.loss() == Loss(4, 4, 2)
    assert await told(journal, 2) == DENIED
    await journal.feed.flip(NOW, None)
    assert await told(journal, 3) == ACCEPTED


async def test_housekeeping_never_joins_a_shadow_with_the_list(journal: SqlJournal) -> None:
    await kept(journal, put(others(500)), done=True)
    await kept(journal, Flush(), put(others(300, seed=2)))
    assert (await journal.keep_house(MINUTE))["deny_entries_tidied"] == 0
    state = await journal.feed.state()
    assert (state.tokens, state.shadow) == (500, 300)


async def test_waiting_is_told_once_and_ends_with_the_flip_and_its_audit(journal: SqlJournal) -> None:
    await kept(journal, put(others(1200)), done=True)
    await kept(journal, Flush(), put(others(100)), done=True)
    loss = await journal.feed.loss()
    assert loss == Loss(1200, 1100, 100)
    assert waits(loss)
    assert [await journal.feed.hold(loss, NOW, NOW), await journal.feed.hold(loss, after(9), NOW)] == [True, False]
    state = await journal.feed.state()
    assert (state.waits_since, state.loses) == (NOW, 1100)
    notices = "SELECT cause FROM notice"
    assert await journal._writer.read(lambda one: list(one.execute(notices))) == [("alarm/feed.loses",)]
    await journal.feed.flip(NOW, AuditDraft(NOW, "alice (1000)", "denylist accept", "they paid"))
    audits = "SELECT what, subject FROM audit"
    assert await journal._writer.read(lambda one: list(one.execute(audits))) == [
        ("denylist accept", "tps: 100 tokens instead of 1200")
    ]
    assert (await journal.feed.state()).waits_since is None


async def test_a_flush_ends_the_waiting(journal: SqlJournal) -> None:
    await kept(journal, put(others(1200)), done=True)
    await kept(journal, Flush(), put(others(100)), done=True)
    await journal.feed.hold(Loss(1200, 1100, 100), NOW, NOW)
    await kept(journal, Flush())
    state = await journal.feed.state()
    assert (state.waits_since, state.whole, state.shadow) == (None, False, 0)


async def test_a_list_without_an_end_is_refused_and_its_page_leaves_nothing(journal: SqlJournal) -> None:
    feed = SqlFeed(journal._writer, Bounds(tokens=5))
    await feed.keep(Take((put(others(5)),), "t", False), (), NOW)
    with pytest.raises(RefusedError, match="more than 5 entries"):
        await feed.keep(Take((put([token()]),), "u", False), (), NOW)
    assert await told(journal, 1) == ACCEPTED
    assert (await journal.feed.state()).token == "t"


async def test_records_of_other_types_are_kept_up_to_a_bound(journal: SqlJournal) -> None:
    foreign = [Foreign("A", "1"), Foreign("B", None), Foreign("C", "3"), Foreign("D", "4")]
    feed = SqlFeed(journal._writer, Bounds(ignored=2))
    await feed.keep(Take((), "t", True), foreign, NOW)
    query = "SELECT type, raw FROM deny_feed_ignored ORDER BY id"
    assert await journal._writer.read(lambda one: list(one.execute(query))) == [("C", "3"), ("D", "4")]
    assert (await journal.feed.state()).ignored == 4


async def test_a_kill_in_the_middle_of_a_new_list(engine: Engine) -> None:
    journal = await engine.open()
    assert isinstance(journal, SqlJournal)
    await kept(journal, put([token()]), done=True)
    await kept(journal, Flush(), put([token(MASTERCARD)]), to="middle")
    left = engine.after_sigkill()
    await journal.close()
    again = await left.open()
    assert isinstance(again, SqlJournal)
    try:
        await again.denylist.begin("file", NOW)
        state = await again.feed.state()
        assert (state.token, state.tokens, state.shadow, state.whole) == ("middle", 1, 1, False)
        assert [await told(again, 1), await told(again, 2, MASTERCARD)] == [DENIED, DENIED]
    finally:
        await again.close()


# --- any pages, any kills ---

CARDS = others(12, seed=7)


def drawn(rng: random.Random) -> Record:
    if rng.random() < 0.04:
        return Record(Action.FLUSH)
    return Record(rng.choice((Action.INSERT, Action.INSERT, Action.UPDATE, Action.DELETE)), rng.choice(CARDS))


async def denied(journal: SqlJournal) -> set[bytes]:
    query = "SELECT token FROM deny JOIN deny_generation ON number = generation WHERE state = 'live'"
    return await journal._writer.read(lambda one: {found for (found,) in one.execute(query)})


class Tps:
    """What TPS means by what it sent: the list that is whole, and what was said since the last flush."""

    def __init__(self) -> None:
        self.said: set[bytes] = set()  # since the last flush
        self.must: set[bytes] = set()  # never to be accepted now

    def say(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.action is Action.FLUSH:
                self.said = set()
            elif record.token is not None and record.action is Action.DELETE:
                self.said.discard(record.token)
                self.must.discard(record.token)
            elif record.token is not None:
                self.said.add(record.token)
                self.must.add(record.token)


@pytest.mark.parametrize("seed", range(12))
async def test_a_card_that_is_listed_and_committed_is_denied_whatever_is_killed_between(
    tmp_path: Path, seed: int
) -> None:
    """After every commit a copy of the files is opened: it denies what must be denied, and goes on from the token."""
    rng, engine, tps = random.Random(seed), SqliteEngine(tmp_path / "engine", inline=True), Tps()
    journal = await engine.open()
    for number in range(40):
        state = await journal.feed.state()
        assert state.token == (None if number == 0 else f"{number - 1}")
        records = [drawn(rng) for _ in range(rng.randrange(6))]
        page = Page(tuple(records), rng.random() < 0.3, f"{number}")
        judged = judge(page, state.token, (), listed=bool(state.tokens or state.shadow))
        assert isinstance(judged, Take)
        await journal.feed.keep(judged, (), NOW)
        tps.say(records)
        assert tps.must <= await denied(journal)
        if rng.random() < 0.5:
            await journal.denylist.tidy(rng.randrange(1, 4))
            assert tps.must <= await denied(journal)
        if page.complete and (await journal.feed.state()).whole and rng.random() < 0.8:
            loss = await journal.feed.loss()
            assert loss is not None
            before = await denied(journal)
            await journal.feed.flip(NOW, None)
            assert await denied(journal) == tps.said
            assert loss.lost == len(before - tps.said)
            tps.must = set(tps.said)
        if rng.random() < 0.4:
            left = engine.after_sigkill()
            await journal.close()
            engine, journal = left, await left.open()
            assert tps.must <= await denied(journal)
    assert await journal.upkeep.check() == []
    await journal.close()
