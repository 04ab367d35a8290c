"""Seeds: whole worlds in virtual time, each drawn, run and judged. ``python -m tests.sim SEED --trace`` shows one."""

from __future__ import annotations

import os
import subprocess
import sys

from tests import cores
from tests.sim.mail_server import REFUSALS, Stumble, Verb, Way
from tests.sim.run import Report
from tests.sim.seeding import TAPS, drawn
from tests.sim.shrink import command, shrunk
from tests.sim.sweep import kept_seeds, sweep

SEEDS = 300  # three and a half minutes of one core; "python -m tests.sim" goes on
REPLAYED = 50
FEW_TAPS = 12  # for what is run twice

WAYS = {
    "deferred MTT",
    "deferred KFT",
    "realtime KFT",
    "realtime RETAIL_PAYMENT",
    "realtime RETAIL_CHECK_IN",
    "realtime RETAIL_CHECK_OUT",
    "by hand RETAIL_CHECK_OUT",
    "by hand RETAIL_REFUND",
    "unasked RETAIL_CHECK_OUT",
    "unasked RETAIL_REFUND",
    "paid before",
}

STUMBLES = {
    *(str(Stumble(verb, way)) for verb in Verb for way in (*REFUSALS, Way.SILENT)),
    str(Stumble(Verb.END, Way.LOST)),
}

DIGESTS = f"""
from tests.sim.run import played
from tests.sim.seeding import drawn
for seed in range(1, {REPLAYED + 1}):
    print(seed, played(drawn(seed, {FEW_TAPS})).digest)
"""


def test_every_seed_keeps_every_invariant() -> None:
    kept = [seed for seed in kept_seeds() if seed > SEEDS]
    reports = list(sweep([*range(1, SEEDS + 1), *kept], cores.free()))
    failed = [report for report in reports if report.failure is not None]
    assert not failed, told(failed[0])
    assert sum(report.taps for report in reports) == TAPS * len(reports)
    assert sum(report.lives for report in reports) > 2 * SEEDS, "processes die"
    states = {state for report in reports for state in report.states}
    assert states >= {"approved", "declined", "tap_refused", "held", "permanently_failed", "in_doubt", "not_charged"}
    assert {state for report in reports for state in report.journeys} >= {"closed", "expired", "ended_unpaid"}
    assert {way for report in reports for way in report.ways} >= WAYS
    assert {what for report in reports for what in report.stumbled} == STUMBLES


def told(report: Report) -> str:
    """A failure with everything one needs to see it again."""
    smaller = shrunk(drawn(report.seed), report.failure or "")
    lines = [report.details, *report.trace, report.command, f"smaller: {command(smaller)}"]
    return "\n".join(lines)


def test_the_same_seed_is_the_same_run_in_every_process() -> None:
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", DIGESTS],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for hash_seed in ("1", "4242")
    ]
    said = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert len(set(said[0].splitlines())) == REPLAYED
    assert said[0] == said[1]
