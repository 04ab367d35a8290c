"""Disk faults: each kind at each operation of a step in turn, and what must be true after every one.

A step is run once without a fault, so that it is known what each of its commits would have written; then again from
the same disk, with the same dice, for each operation and fault. Whatever came of it, the power goes; at once, or, every
other time, after the next process has opened what the kernel shows and has worked on it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from random import Random

import apsw
import pytest

from tests.power.disk import Disk
from tests.power.files import LOOKING, SMALL, Fault, Op, Watch
from tests.power.judge import judge
from tests.power.keyfiles import keys_on_disks
from tests.power.ledger import Ledger
from tests.power.life import JOURNAL, Content, Life, keys_on, new_disk
from tests.power.vfs import DiskVfs
from tests.power.work import Work
from tpsd.errors import JournalError, SealError, TpsdError

KINDS = {
    Op.WRITE: (Fault.EIO, Fault.ENOSPC, Fault.SHORT),
    Op.CREATE: (Fault.EIO, Fault.ENOSPC),
}
"""What can go wrong with what; with anything else only EIO."""

HISTORY = (
    "take", "take", "take", "claim", "settle", "settle", "house", "take", "take", "claim", "settle", "two days",
    "take", "claim", "settle", "mail", "take", "repeat", "take",
)  # fmt: skip
"""How the journal came to be in which every step begins: some of everything waits."""

STEPS = {
    "making": (),
    "opening": (),
    "taps": ("take", "repeat"),
    "sends": ("claim", "settle", "claim"),
    "mails": ("mail",),
    "house": ("two days",),
    "hand": ("order", "deny"),
    "closing": ("take", "close"),
    "groups": ("claim", "group", "group"),  # taps, one that is undone alone, answers and a claim in one commit
}

REFUSALS = (JournalError, SealError)

CLOSED = "the journal stays closed until tpsd starts again"
"""What a journal says whose disk failed."""


def faults(seed: int, sector: int, step: str, every: int = 1) -> Figures:
    """All cases of a step, or every so manieth; Wrong when one was not survived."""
    with keys_on_disks():
        return asyncio.run(Faults(seed, sector).run([step], every))


class Wrong(AssertionError):  # noqa: N818 - what the journal did
    """A fault was not survived."""


@dataclass(frozen=True, slots=True)
class Case:
    """One fault, at this operation of the step, counted from 1."""

    step: str
    operation: int
    op: Op
    path: str
    fault: Fault

    def __str__(self) -> str:
        return f"{self.fault.name} at operation {self.operation} of step {self.step!r} ({self.op.value} {self.path})"

    def watch(self) -> Watch:
        """What does it. A short write is the last one that there is room for."""
        turns = count(1)

        def turn(op: Op, _path: str) -> Fault | None:
            at = next(turns) - self.operation
            full = at == 1 and self.fault is Fault.SHORT and op is Op.WRITE
            return self.fault if at == 0 else Fault.ENOSPC if full else None

        return turn

    @property
    def breaks(self) -> bool:
        """Whether the journal must close for good if it saw it: not for want of room, and not where keys are kept."""
        return self.fault is Fault.EIO and self.path.startswith(JOURNAL)


@dataclass(frozen=True, slots=True)
class Base:
    """Where every step begins."""

    disk: Disk
    ledger: Ledger


@dataclass(slots=True)
class Figures:
    """The faults by kind, and what they did to the journal: nothing, passed by themselves, closed it for good.

    ``shared``: writes of the step that have a commit in common; ``undone``: of these, such as fail without any fault.
    """

    faults: Counter[str] = field(default_factory=Counter)
    did: Counter[str] = field(default_factory=Counter)
    shared: int = 0
    undone: int = 0

    def __add__(self, other: Figures) -> Figures:
        """Both together."""
        shared, undone = self.shared + other.shared, self.undone + other.undone
        return Figures(self.faults + other.faults, self.did + other.did, shared, undone)


class Trial:
    """A process that does a step on a disk, with the same dice each time."""

    def __init__(self, vfs: DiskVfs, disk: Disk, base: Base, seed: str) -> None:
        self._vfs = vfs
        self._luck = Random(seed)
        self._life: Life | None = None
        self._work: Work | None = None
        self.disk = disk
        self.ledger = base.ledger.snapshot()

    async def begin(self) -> None:
        """Open the journal and do what a start does."""
        self._life = await Life.begin(self._vfs, self.disk, self._luck.randbytes)
        self._work = Work(self._life, self.ledger, self._luck)
        await self._work.do("start")

    async def act(self, actions: Iterable[str]) -> None:
        """What comes after the start."""
        assert self._work is not None
        for action in actions:
            await self._work.do(action)

    def shared(self) -> tuple[int, int]:
        """How many of its writes had a commit in common, and how many of these failed."""
        assert self._work is not None
        return self._work.did["shared"], self._work.did["undone"]

    async def stays_closed(self) -> None:
        """Nothing is written any more, and whoever asks hears why."""
        if self._work is None:
            return
        written: list[Op] = []
        self.disk.watch = lambda op, _path: None if op in LOOKING else written.append(op)
        for action in ("probe", "take"):
            with pytest.raises(JournalError, match=CLOSED):
                await self._work.do(action)
        self.disk.watch = None
        assert written == []

    async def goes_on(self, actions: Iterable[str]) -> None:
        """As if nothing had happened, in the same process; where it was not even opened, in the next."""
        if self._work is None:
            await self.begin()
        await self.act(["probe", *actions] if "close" not in actions else ["probe"])

    def end(self) -> list[Content]:
        """The process is gone; what it promised, nothing if its journal did not open."""
        if self._life is None:
            return []
        self._life.abandon()
        return self._life.promised


def _some(cases: list[Case], every: int) -> list[Case]:
    """Every so manieth, and the first of each kind, so that none is left out by chance."""
    firsts: dict[tuple[Fault, Op], Case] = {}
    for case in cases:
        firsts.setdefault((case.fault, case.op), case)
    return [case for number, case in enumerate(cases) if number % every == 0 or case in firsts.values()]


class Faults:
    """All faults of some steps, on one journal."""

    def __init__(self, seed: int = 1, sector: int = SMALL) -> None:
        self._seed = seed
        self._sector = sector
        self._vfs = DiskVfs(f"faults of {id(self)}")
        self._base: Base
        self._figures = Figures()

    async def run(self, steps: Iterable[str] = STEPS, every: int = 1) -> Figures:
        """See ``faults``."""
        history = await self._history()
        for step in steps:
            self._base = Base(new_disk(self._sector, self._seed), Ledger()) if step == "making" else history
            cases, clean = await self._cases(step)
            for number, case in enumerate(_some(cases, every)):
                try:
                    did = await self._one(case, clean, restarts=number % 2 == 0)
                except (AssertionError, TpsdError, apsw.Error) as exc:
                    raise Wrong(f"{case}, seed {self._seed}: {type(exc).__name__}: {exc}") from exc
                self._figures.faults[f"{case.fault.name} {case.op.value}"] += 1
                self._figures.did[did] += 1
        return self._figures

    async def _history(self) -> Base:
        disk = new_disk(self._sector, self._seed)
        trial = Trial(self._vfs, disk, Base(disk, Ledger()), f"history of {self._seed}")
        await trial.begin()
        await trial.act(HISTORY)
        trial.ledger.keys |= keys_on(disk)
        base = Base(disk.after_kill(), trial.ledger)
        trial.end()
        return base

    def _trial(self, disk: Disk) -> Trial:
        return Trial(self._vfs, disk, self._base, str(self._seed))

    async def _cases(self, step: str) -> tuple[list[Case], list[Content]]:
        """What can fail in a step, and what the journal holds after each commit if nothing does."""
        seen: list[tuple[Op, str]] = []
        trial = self._trial(self._base.disk.after_kill())
        trial.disk.watch = lambda op, path: seen.append((op, path))
        await trial.begin()
        opened = len(seen) if STEPS[step] else 0
        await trial.act(STEPS[step])
        self._figures.shared, self._figures.undone = trial.shared()
        turns = list(enumerate(seen, 1))[opened:]
        cases = [Case(step, at, *turn, fault) for at, turn in turns for fault in KINDS.get(turn[0], (Fault.EIO,))]
        return cases, trial.end()

    async def _one(self, case: Case, clean: list[Content], *, restarts: bool) -> str:
        trial = self._trial(self._base.disk.after_kill())
        trial.disk.watch = case.watch()
        did = "nothing"
        try:
            await trial.begin()
            await trial.act(STEPS[case.step])
        except REFUSALS:
            did = "closed it" if case.breaks else "passed"
        trial.disk.watch = None
        if did == "closed it":
            await trial.stays_closed()
        elif did == "passed":
            await trial.goes_on(STEPS[case.step])
        promised = trial.end()
        allowed = promised[-1:] or clean[:1] if case.step != "making" else []
        if allowed and did == "closed it":  # what was being committed may stand, unacknowledged
            allowed += clean[max(len(promised), 1) :][:1]
        if restarts:
            await self._restarts(trial.disk.after_kill(), trial.ledger, allowed, Random(str(case)))
        else:
            await self._opened(trial.disk.after_power_cut(Random(str(case))), trial.ledger, allowed)
        return did

    async def _restarts(self, disk: Disk, ledger: Ledger, allowed: list[Content], luck: Random) -> None:
        """The next process finds what it should, and what it then does is durable."""
        life = await self._opened(disk, ledger, allowed, keep=True)
        work = Work(life, ledger.snapshot(), luck)
        for action in ("start", "repeat", "claim", "take"):
            await work.do(action)
        cut = disk.after_power_cut(luck)
        life.abandon()
        await self._opened(cut, work.ledger, life.promised[-1:])

    async def _opened(self, disk: Disk, ledger: Ledger, allowed: list[Content], *, keep: bool = False) -> Life:
        dice = Random(f"next of {self._seed}")  # or the nonce of a key that is gone would come again
        life = await Life.begin(self._vfs, disk, dice.randbytes)
        problems = list(judge(life, disk, ledger, allowed, thoroughly=True))
        if problems or not keep:
            life.abandon()
        assert not problems, "; ".join(problems)
        return life
