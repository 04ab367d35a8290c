"""Long lists in no order: pages as runs, joined in slices, every card denied at every commit, whatever is killed."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TypeVar

import pytest

from tests.store.builders import NOW, VISA, card, take
from tests.store.engines import SqliteEngine
from tests.store.test_contract_denylist import ACCEPTED, AUDIT, DENIED, others, token
from tests.store.test_contract_feed import denied, put
from tpsd.core.feed import Flush, Put, Step, Strike, Take
from tpsd.domain.feed import Loss
from tpsd.store.feed import Bounds, SqlFeed
from tpsd.store.group import Work
from tpsd.store.journal import SqlJournal
from tpsd.store.runs import RUN_MIN, RUNS_OF_A_SIZE, Run, crowd, join, runs_of, side
from tpsd.store.writer import Urgency, Writer

T = TypeVar("T")
PAGE = 300


def runs(*tokens: int, shadow: bool = False) -> list[Run]:
    return [Run(number, shadow, count) for number, count in enumerate(tokens, start=1)]


@pytest.mark.parametrize(
    ("there", "crowded"),
    [
        ([], []),
        (runs(1000, 1000, 1000), []),
        (runs(1000, 600, 1000, 900), [1000, 600, 1000, 900]),
        (runs(1000, 1000, 4000, 1000, 1000), [1000] * 4),
        (runs(1000, 4000, 16_000, 64_000), []),
        ([*runs(1000, 1000), *runs(1000, 1000, shadow=True)], []),
        (runs(*[4000] * 5), [4000] * 5),
        (runs(0, 0, 0, 0), [0] * 4),
    ],
)
def test_what_is_crowded(there: list[Run], crowded: list[int]) -> None:
    assert [run.tokens for run in crowd(there)] == crowded


def test_the_smallest_are_joined_first_and_each_list_by_itself() -> None:
    there = [*runs(9000, 9000, 9000, 9000), *runs(*[1000] * 4)]
    assert [run.tokens for run in crowd(there)] == [1000] * 4
    new = [Run(number, True, 5) for number in (7, 8)]
    assert side([*runs(5), *new]) == new
    assert side([*runs(5, 6), *new]) == runs(5, 6)
    assert side([*runs(5), new[0]]) == []


class Watched:
    """The writer, and what is denied after each of its commits."""

    def __init__(self, journal: SqlJournal, cards: set[bytes]) -> None:
        self.pulse = journal._writer.pulse
        self.commits = 0
        self._journal, self._writer, self._cards = journal, journal._writer, cards

    async def write(self, work: Work[T], urgency: Urgency = Urgency.SETTLE) -> T:
        result = await self._writer.write(work, urgency)
        self.commits += 1
        assert self._cards <= await denied(self._journal)
        return result

    async def read(self, work: Work[T]) -> T:
        return await self._writer.read(work)

    async def close(self) -> None:
        await self._writer.close()


async def page(journal: SqlJournal, *steps: Step, to: str = "t", done: bool = False) -> None:
    await journal.feed.keep(Take(steps, to, done), (), NOW)


async def counted(journal: SqlJournal) -> list[tuple[bool, int]]:
    """The runs by what the journal says of them, which is what is there."""
    found = await journal._writer.read(runs_of)
    query = "SELECT count(*) FROM deny WHERE generation = ?"
    for run in found:
        number = run.number
        assert await journal._writer.read(lambda one: one.execute(query, (number,)).get) == run.tokens  # noqa: B023
    return [(run.shadow, run.tokens) for run in found]


async def test_pages_become_runs_and_runs_of_a_size_become_one(journal: SqlJournal) -> None:
    cards = others(PAGE * RUNS_OF_A_SIZE, seed=3)
    for number in range(RUNS_OF_A_SIZE - 1):
        await page(journal, put(cards[number * PAGE : (number + 1) * PAGE]))
    assert await counted(journal) == [(False, PAGE)] * (RUNS_OF_A_SIZE - 1)
    await page(journal, put([*cards[-PAGE:], token()]))
    assert await counted(journal) == [(False, PAGE * RUNS_OF_A_SIZE + 1)]
    assert (await take(journal, 1)).told == DENIED
    assert (await journal.feed.state()).tokens == PAGE * RUNS_OF_A_SIZE + 1


async def test_what_comes_in_order_or_is_little_needs_no_run_of_its_own(journal: SqlJournal) -> None:
    cards = sorted(others(3 * PAGE, seed=4))
    for at in range(0, len(cards), PAGE):
        await page(journal, Put(tuple(cards[at : at + PAGE])))
    assert await counted(journal) == [(False, 3 * PAGE)]
    await page(journal, put(others(RUN_MIN - 1, seed=5)))
    assert await counted(journal) == [(False, 3 * PAGE + RUN_MIN - 1)]


async def test_a_card_that_comes_in_two_runs_is_one_in_the_end_and_goes_from_both(journal: SqlJournal) -> None:
    await page(journal, put([token(), *others(PAGE, seed=6)]))
    await page(journal, put([token(), *others(PAGE, seed=7)]))
    assert len(await counted(journal)) == 2
    await page(journal, done=True)
    assert await counted(journal) == [(False, 2 * PAGE + 1)]
    await page(journal, put([token(), *others(PAGE, seed=8)]))
    await page(journal, Strike((token(),)))
    assert (await take(journal, 1)).told == ACCEPTED


async def test_a_new_list_in_runs_takes_over_whole(journal: SqlJournal) -> None:
    old = others(2 * PAGE, seed=9)
    await page(journal, put(old[:PAGE]))
    await page(journal, put(old[PAGE:]), done=True)
    new = [*old[: PAGE + 50], token(), *others(PAGE, seed=10)]
    await page(journal, Flush(), put(new[:PAGE]))
    await page(journal, put(new[PAGE:]), done=True)
    assert await counted(journal) == [(False, 2 * PAGE), (True, len(new))]
    assert await journal.feed.loss() == Loss(2 * PAGE, PAGE - 50, len(new))
    await journal.feed.flip(NOW, None)
    assert await denied(journal) == set(new)
    while await journal.denylist.tidy(4):
        pass
    assert await counted(journal) == [(False, len(new))]


async def test_a_flush_while_runs_are_coming_keeps_all_of_them_denied(journal: SqlJournal) -> None:
    first, second = others(PAGE, seed=11), others(PAGE, seed=12)
    await page(journal, Flush(), put(first))
    await page(journal, put(second))
    await page(journal, Flush(), put([token()]))
    assert await counted(journal) == [(False, PAGE), (False, PAGE), (True, 1)]
    assert {token(), *first, *second} <= await denied(journal)


async def test_every_card_is_denied_at_every_commit_of_a_join(tmp_path: Path) -> None:
    journal = await SqliteEngine(tmp_path / "engine", inline=True).open()
    cards = others(3000, seed=13)
    feed = SqlFeed(journal._writer, Bounds(run=1))
    for at in range(0, 3000, 1000):
        await feed.keep(Take((put(cards[at : at + 1000]),), "t", False), (), NOW)
    watched: Writer = Watched(journal, set(cards))
    await join(watched, whole=True)
    assert isinstance(watched, Watched)
    assert watched.commits >= 2
    assert await counted(journal) == [(False, 3000)]
    await journal.close()


class Interrupted(Watched):
    """A life that ends after so many commits."""

    left = 0

    async def write(self, work: Work[T], urgency: Urgency = Urgency.SETTLE) -> T:
        if self.commits == self.left:
            raise KeyboardInterrupt
        return await super().write(work, urgency)


@pytest.mark.parametrize("commits", [1, 2, 3])
async def test_a_join_that_was_cut_is_gone_on_with(tmp_path: Path, commits: int) -> None:
    engine = SqliteEngine(tmp_path / "engine", inline=True)
    journal = await engine.open()
    cards = set(others(3000, seed=14))
    feed = SqlFeed(journal._writer, Bounds(run=1))
    listed = sorted(cards, key=lambda one: one[::-1])
    for at in range(0, 3000, 1000):
        await feed.keep(Take((put(listed[at : at + 1000]),), "t", False), (), NOW)
    cut = Interrupted(journal, cards)
    cut.left = commits
    with pytest.raises(KeyboardInterrupt):
        await join(cut, whole=True, slice_seconds=0.0)
    left = engine.after_sigkill()
    await journal.close()
    again = await left.open()
    assert await denied(again) == cards
    await again.feed.keep(Take((), "u", True), (), NOW)
    assert await counted(again) == [(False, 3000)]
    assert await again.upkeep.check() == []
    await again.close()


async def test_a_person_who_accepts_in_the_middle_of_a_join_breaks_nothing(tmp_path: Path) -> None:
    journal = await SqliteEngine(tmp_path / "engine", inline=True).open()
    feed = SqlFeed(journal._writer, Bounds(run=1))
    for seed in (15, 16):
        await feed.keep(Take((put(others(500, seed)),), "t", False), (), NOW)
    await feed.keep(Take((Flush(), put([token()])), "u", False), (), NOW)

    class Accepting(Watched):
        async def write(self, work: Work[T], urgency: Urgency = Urgency.SETTLE) -> T:
            result = await super().write(work, urgency)
            if self.commits == 2:
                await journal._writer.write(lambda one: one.execute("UPDATE deny_feed SET shadow_done = 1") and None)
                await feed.flip(NOW, AUDIT)
                while await journal.denylist.tidy(10):
                    pass
            return result

    await join(Accepting(journal, {token()}), whole=True, slice_seconds=0.0)
    assert await denied(journal) == {token()}
    assert (await take(journal, 1, card=card(VISA))).told == DENIED
    await journal.close()


def drawn(rng: random.Random, cards: list[bytes]) -> Step:
    some = rng.sample(cards, rng.randrange(1, 40))
    return Strike(tuple(sorted(some))) if rng.random() < 0.3 else put(some)


@pytest.mark.parametrize("seed", range(6))
async def test_any_pages_in_runs_come_to_the_list_that_they_mean(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    journal = await SqliteEngine(tmp_path / "engine", inline=True).open()
    feed = SqlFeed(journal._writer, Bounds(run=2))
    cards, meant = others(120, seed=20), set[bytes]()
    for number in range(60):
        step = drawn(rng, cards)
        meant = meant - set(step.tokens) if isinstance(step, Strike) else meant | set(step.tokens)  # type: ignore[union-attr]
        await feed.keep(Take((step,), f"{number}", rng.random() < 0.1), (), NOW)
        assert await denied(journal) == meant
        await counted(journal)
    await journal.close()
