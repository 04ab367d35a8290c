"""The watch on one life's disk: counts its operations, and takes what a power cut or a kill would leave of it."""

from __future__ import annotations

from collections import deque
from random import Random

from tests.power.disk import Disk
from tests.power.files import LOOKING, Op
from tests.power.ledger import Ledger
from tests.power.life import KEYS, Life
from tests.power.report import Cut, Plan, Report

CHANCE = 0.08  # of a cut at an operation on the journal: about fifty a life
KEYS_CHANCE = 0.5  # at one on an epoch's key: there are only a few in a life
KILLS = 0.15  # the share of cuts that only end the process
TRACE = 12  # kinds of operations told of a failure


class Cutter:
    """Cuts by luck, or at every operation of a plan's scenario. ``doing``: what the life is at, in words."""

    def __init__(self, plan: Plan, luck: Random, report: Report, disk: Disk, ledger: Ledger) -> None:
        self.disk = disk
        self.life: Life | None = None
        self.doing = "opening"
        self._plan = plan
        self._luck = luck
        self._report = report
        self._ledger = ledger
        self._trace: deque[tuple[str, int]] = deque(maxlen=TRACE)
        self._cuts: list[Cut] = []
        disk.watch = self._watch

    def taken(self) -> list[Cut]:
        """The cuts since the last call."""
        taken, self._cuts = self._cuts, []
        return taken

    def cut(self, *, killed: bool = False) -> Cut:
        """What is left if it happens now."""
        report = self._report
        number = report.cuts + report.kills + 1
        if killed:
            report.kills += 1
            disk = self.disk.after_kill()
        else:
            report.cuts += 1
            disk = self.disk.after_power_cut(Random(f"{self._plan.seed}/{number}"))
        promised = 0 if self.life is None else len(self.life.promised)
        trace = tuple(f"{times} × {what}" for what, times in self._trace)
        return Cut(number, report.operations, disk, self._ledger.snapshot(), promised, killed, self.doing, trace)

    def _watch(self, op: Op, path: str) -> None:
        if op in LOOKING:
            return
        if self._plan.scenario:
            self._cuts.append(self.cut())
        elif self._luck.random() < (KEYS_CHANCE if path.startswith(KEYS) else CHANCE):
            self._cuts.append(self.cut(killed=self._luck.random() < KILLS))
        self._report.operations += 1
        what, times = f"{op.value} {path}", 1
        if self._trace and self._trace[-1][0] == what:
            times += self._trace.pop()[1]
        self._trace.append((what, times))
