"""Power cuts without end: a journal at work, its power cut at one disk operation after another, opened again, judged.

A cut takes a copy of what the disk would hold; the life it is taken from goes on to the end of what it was doing, so
that the judge knows what the journal may hold: what was committed when the power went, or with it the one commit that
was under way, and nothing else. One of a life's last cuts is where the next life begins.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

import apsw

from tests.power.cutter import Cutter
from tests.power.disk import Disk
from tests.power.files import LARGE, SMALL
from tests.power.judge import card_numbers, judge
from tests.power.keyfiles import keys_on_disks
from tests.power.ledger import Contradiction, Ledger
from tests.power.life import Content, Life, keys_on, new_disk
from tests.power.report import Cut, Plan, Report, broken
from tests.power.vfs import DiskVfs, sqlites_dice
from tests.power.work import Work
from tpsd.errors import TpsdError

LIVES = 6  # of one journal: then a new one begins, so that a judgement stays a matter of milliseconds
ACTIONS = 14  # of one life
GOES_ON = 8  # every so manieth journal that was opened again has to work, too
HONEST = 0.8  # how often a disk that lies does not: one that always did would lose the first thing it was given
ANY = "any"  # an action by luck

SCENARIO = (
    ("take", "claim", "group", "take odd", "settle", "group", "repeat", "deny", "mail"),
    ("take", "reject", "claim", "settle", "house", "order", "take", "claim", "settle", "mail", "close"),
    ("take", "claim", "settle", "enquire", "two days", "take", "probe", "two days", "mail", "two days", "close"),
    ("take", "claim", "two days", "group", "two days"),
)
"""A new journal, one that was cut, two that were closed; everything that can be done to one, every key's whole life."""

SURPRISES = (TpsdError, Contradiction, apsw.Error)


def cuts(seed: int, count: int, sector: int | None = None, *, honest: bool = True) -> Report:
    """At least ``count`` cuts and kills by luck, or Broken. For as long as one likes: memory does not grow."""
    return _run(Cuts(Plan(seed, sector, honest=honest)).by_luck(count))


def every_operation(seed: int, sector: int) -> Report:
    """One scenario cut at each of its disk operations in turn, or Broken."""
    return _run(Cuts(Plan(seed, sector, scenario=True)).scenario())


def replay(plan: Plan, cut: int) -> Report:
    """A run up to one cut, which alone is judged, or Broken."""
    run = Cuts(plan, only=cut)
    return _run(run.scenario() if plan.scenario else run.by_luck(cut))


@dataclass(frozen=True, slots=True)
class Start:
    """Where a life begins. ``allowed``: what its journal may hold, empty where there is none yet."""

    disk: Disk
    ledger: Ledger
    allowed: list[Content]


class Cuts:
    """One run. ``only``: the one cut to judge, besides those from which it goes on."""

    def __init__(self, plan: Plan, only: int | None = None) -> None:
        self._plan = plan
        self._only = only
        self._luck = Random(plan.seed)
        self._report = Report()
        self._working, self._judging = DiskVfs("work"), DiskVfs("judgement")
        self._digest = hashlib.blake2b(digest_size=8)

    async def by_luck(self, count: int) -> Report:
        """Journal after journal."""
        while self._report.cuts + self._report.kills < count:
            await self._world(((ANY,) * ACTIONS,) * LIVES)
        return self._report

    async def scenario(self) -> Report:
        """One journal through SCENARIO."""
        await self._world(SCENARIO)
        return self._report

    async def _world(self, lives: Sequence[Sequence[str]]) -> None:
        sector = self._plan.sector or self._luck.choice([SMALL, LARGE])
        start = Start(new_disk(sector, self._luck.randrange(2**32)), Ledger(), [])
        for actions in lives:
            start = await self._life(start, actions)
        self._search(start.disk)
        self._report.worlds += 1
        self._report.taps += len(start.ledger.told)
        self._report.digest = self._digest.hexdigest()

    async def _life(self, start: Start, actions: Sequence[str]) -> Start:
        cutter = Cutter(self._plan, self._luck, self._report, start.disk, start.ledger)
        with self._watched(cutter):
            life = await Life.begin(self._working, start.disk, self._luck.randbytes)
        try:
            await self._judge_all(cutter.taken(), start.allowed)
            last = await self._work(cutter, life, Work(life, start.ledger, self._luck), actions)
        finally:
            life.abandon()
        self._report.lives += 1
        self._report.commits += len(life.promised) - 1
        return await self._next(self._luck.choice(last), life.promised)

    async def _work(self, cutter: Cutter, life: Life, work: Work, actions: Sequence[str]) -> list[Cut]:
        """A life's actions; the cuts of the last one, or one at its end."""
        cutter.life, last = life, list[Cut]()
        for action in ("start", *actions):
            cutter.doing = work.drawn() if action == ANY else action
            cutter.disk.honest = self._plan.honest or self._luck.random() < HONEST
            with self._watched(cutter):
                await work.do(cutter.doing)
            work.ledger.keys |= keys_on(cutter.disk)
            last = cutter.taken()
            await self._judge_all(last, life.promised)
        self._report.did.update(work.did)
        return last if last and cutter.doing != "close" else [cutter.cut()]

    async def _next(self, cut: Cut, promised: list[Content]) -> Start:
        """A power cut decides what the journal holds; after a kill the disk still has both chances."""
        found = await self._judge(cut, cut.allowed(promised), thoroughly=True)
        for name, content in cut.disk.raw():
            self._digest.update(name.encode() + content)
        return Start(cut.disk, cut.ledger, cut.allowed(promised) if cut.killed else [found])

    async def _judge_all(self, taken: list[Cut], promised: list[Content]) -> None:
        for cut in taken:
            if self._only in {None, cut.number}:
                await self._judge(cut, cut.allowed(promised))

    async def _judge(self, cut: Cut, allowed: list[Content], *, thoroughly: bool = False) -> Content:
        """Open what the cut left, on a copy: the next life may have to do it again."""
        disk, luck = cut.disk.after_kill(), Random(f"judgement {self._plan.seed}/{cut.number}")
        life = None
        try:
            life = await Life.begin(self._judging, disk, luck.randbytes)
            problems = list(judge(life, disk, cut.ledger, allowed, thoroughly=thoroughly))
            if not problems and cut.number % GOES_ON == 0:
                await _go_on(Work(life, cut.ledger.snapshot(), luck))
        except SURPRISES as exc:
            raise broken(self._plan, cut, [f"{type(exc).__name__}: {exc}"]) from exc
        finally:
            if life is not None:
                life.abandon()
        if problems:
            raise broken(self._plan, cut, problems)
        return life.promised[0]

    def _search(self, disk: Disk) -> None:
        found = list(card_numbers(disk)) if self._only is None else []
        if found:
            raise AssertionError(f"seed {self._plan.seed}, journal {self._report.worlds + 1}: {found}")

    @contextmanager
    def _watched(self, cutter: Cutter) -> Iterator[None]:
        sqlites_dice(self._working, self._luck.randbytes)
        try:
            yield
        except SURPRISES as exc:
            raise broken(self._plan, cutter.cut(), [f"while nothing was wrong: {type(exc).__name__}: {exc}"]) from exc


async def _go_on(work: Work) -> None:
    """What was acknowledged gets the same answer, what waits is sent as it was sent, a new tap is taken."""
    for action in ("start", "repeat", "claim", "take"):
        await work.do(action)


def _run(run: Coroutine[Any, Any, Report]) -> Report:
    with keys_on_disks():
        return asyncio.run(run)
