"""One seed, one run, one report; and when it fails, the smallest run that still does."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass, field

import structlog

from tests.sim.plan import Plan
from tests.sim.seeding import drawn
from tests.sim.world import World
from tpsd.replay.loop import virtual_loop


@dataclass(slots=True)
class Report:
    """What a run came to. ``failure`` None: nothing was found against it.

    Counts of authorisations by ``states`` and by the ``ways`` they went, of ``journeys`` by their states, and of what
    the mail server ``stumbled`` at.
    """

    seed: int
    digest: str = ""
    failure: str | None = None
    details: str = ""
    taps: int = 0
    lives: int = 0
    requests: int = 0
    mails: int = 0
    steps: int = 0
    simulated_seconds: float = 0.0
    seconds: float = 0.0  # of the processor
    states: dict[str, int] = field(default_factory=dict)
    journeys: dict[str, int] = field(default_factory=dict)
    ways: dict[str, int] = field(default_factory=dict)
    stumbled: dict[str, int] = field(default_factory=dict)
    trace: list[str] = field(default_factory=list)

    @property
    def command(self) -> str:
        """How to see it again."""
        return f"python -m tests.sim {self.seed} --trace"


def run(seed: int) -> Report:
    """The run of a seed."""
    return played(drawn(seed))


def played(plan: Plan) -> Report:
    """The run of a plan."""
    began = time.process_time()
    report = Report(plan.seed)
    loop = virtual_loop(plan.seed, plan.steps_max)
    before = structlog.get_config()
    world: World | None = None

    async def main() -> None:
        nonlocal world
        world = World(plan, loop)
        structlog.configure(processors=[world.logged], cache_logger_on_first_use=False)
        await world.run()

    try:
        loop.run_until_complete(main())
    except BaseException as exc:
        if isinstance(exc, KeyboardInterrupt):
            raise
        report.failure = f"{type(exc).__name__}: {exc}"
        report.details = "".join(traceback.format_exception(exc))
    finally:
        structlog.configure(**before)
        if world is not None:
            _fill(report, world)
            world.close()
    report.seconds = time.process_time() - began
    return report


def _fill(report: Report, world: World) -> None:
    report.digest = world.trace.digest
    report.trace = world.trace.lines
    report.taps = sum(len(door.taps) for door in world.doors)
    report.lives = world.lives
    report.requests = len(world.ledger.requests())
    report.mails = len(world.mailbox.taken)
    report.stumbled = dict(world.mailbox.stumbled)
    report.steps = world.loop.steps
    report.simulated_seconds = world.loop.time() - world.began
    report.states = _counted(world, "SELECT state, count(*) FROM authorisation GROUP BY state ORDER BY state")
    report.journeys = _counted(world, "SELECT state, count(*) FROM journey GROUP BY state ORDER BY state")
    report.ways = _counted(world, _WAYS)


def _counted(world: World, sql: str) -> dict[str, int]:
    return {str(name): int(count) for name, count in world.eye.rows(sql)}


_WAYS = """
SELECT CASE WHEN a.cause = 'paid_before' THEN 'paid before'
            WHEN EXISTS (SELECT 1 FROM attempt t WHERE t.uuid = a.uuid AND t.reason = 'hand') THEN 'by hand ' || a.type
            WHEN a.timing = 'deferred' AND a.initial_uuid IS NOT NULL THEN 'unasked ' || a.type
            ELSE a.timing || ' ' || a.type END AS way, count(*)
FROM authorisation a GROUP BY way ORDER BY way
"""
