"""What a run of power cuts did, and what it says when a journal did not survive one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from tests.power.disk import Disk
from tests.power.ledger import Ledger
from tests.power.life import Content


@dataclass(frozen=True, slots=True)
class Cut:
    """What the power left. ``promised``: how much of ``Life.promised`` there was by then, 0 while opening."""

    number: int
    operation: int
    disk: Disk
    ledger: Ledger
    promised: int
    killed: bool
    doing: str
    trace: tuple[str, ...]

    def allowed(self, promised: list[Content]) -> list[Content]:
        """What the journal may hold: what was promised last, or with it what was being committed."""
        return promised[max(self.promised - 1, 0) : self.promised + 1] if self.promised else promised


@dataclass(frozen=True, slots=True)
class Plan:
    """What makes a run: the same plan, the same run. ``scenario``: one journal cut at every operation, not by luck."""

    seed: int
    sector: int | None = None  # None: by luck
    honest: bool = True
    scenario: bool = False

    def command(self, cut: int) -> str:
        """What replays a cut and judges it."""
        words = ["python -m tests.power", f"--seed {self.seed}", f"--cut {cut}"]
        words += [f"--sector {self.sector}"] if self.sector else []
        words += ["--lying"] if not self.honest else []
        words += ["--scenario"] if self.scenario else []
        return " ".join(words)


@dataclass(slots=True)
class Report:
    """The figures. ``digest``: the same for the same plan, in any process."""

    cuts: int = 0
    kills: int = 0
    lives: int = 0
    worlds: int = 0
    operations: int = 0
    commits: int = 0
    taps: int = 0
    did: Counter[str] = field(default_factory=Counter)
    digest: str = ""

    def __add__(self, other: Report) -> Report:
        """Both together, under the digest of both."""
        added = {each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)}
        return Report(**added)

    def __str__(self) -> str:
        return (
            f"{self.cuts} power cuts and {self.kills} kills in {self.lives} lives of {self.worlds} journals: "
            f"{self.operations} disk operations, {self.commits} commits, {self.taps} taps told"
        )


class Broken(AssertionError):  # noqa: N818 - what the journal is
    """Something that must hold does not. Its text says how to see it again."""

    def __init__(self, text: str, problems: tuple[str, ...]) -> None:
        super().__init__(text, problems)
        self.text = text
        self.problems = problems

    def __str__(self) -> str:
        return self.text


def broken(plan: Plan, cut: Cut, problems: Sequence[str]) -> Broken:
    """What to say of a cut that was not survived."""
    what = "the process was killed" if cut.killed else "the power was cut"
    lines = [
        *problems[:8],
        f"after {what} at disk operation {cut.operation} while: {cut.doing}",
        f"replay: {plan.command(cut.number)}",
        "the last operations before it:",
        *(f"  {line}" for line in cut.trace),
    ]
    return Broken("\n".join(lines), tuple(problems))
