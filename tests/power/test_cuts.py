"""No power cut loses what was acknowledged, and on a disk that lies about flush the same test says that one did."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.power.cuts import cuts, every_operation, replay
from tests.power.files import LARGE, SMALL
from tests.power.report import Broken, Plan, Report
from tests.power.work import ACTIONS

BY_LUCK = 480  # cuts and kills a seed, beside those at every operation
DONE = {
    "epochs_begun",
    "rows_rewrapped",
    "keys_destroyed",
    "bodies_warned",
    "taps_erased",
    "taps_pruned",
    "shared",
    "undone",
}


def test_none_of_five_thousand_cuts_loses_what_was_acknowledged() -> None:
    """One scenario cut at each of its operations in turn, on both kinds of disk, and journals cut by luck."""
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        everywhere = [pool.submit(every_operation, 3, sector) for sector in (SMALL, LARGE)]
        by_luck = [pool.submit(cuts, seed, BY_LUCK) for seed in range(1, 5)]
    for report in [one.result() for one in everywhere]:
        print(report)
        assert report.cuts > report.operations > 1500
        assert all(report.did[name] for name in {*ACTIONS, *DONE, "close"}), report.did
    for report in [one.result() for one in by_luck]:
        print(report)
        assert report.kills > 30
        assert report.lives > 10
    total = sum((one.result() for one in [*everywhere, *by_luck]), Report())
    print(total)
    assert total.cuts >= 5_000


def test_a_disk_that_lies_about_flush_is_found_out() -> None:
    """The control: a test that always passes could not have failed."""
    lost: list[str] = []
    for seed in range(12):
        with pytest.raises(Broken) as caught:
            cuts(seed, 500, honest=False)
        lost += caught.value.problems
    for loss in ("I1: a tap was told", "I3: ", "not what was committed: "):
        assert any(problem.startswith(loss) for problem in lost), (loss, lost)


def test_a_failure_says_how_to_see_it_again() -> None:
    with pytest.raises(Broken) as caught:
        cuts(1, 200, SMALL, honest=False)
    text = str(caught.value)
    command = re.search(
        r"^replay: python -m tests\.power --seed 1 --cut (\d+) --sector 512 --lying$", text, re.MULTILINE
    )
    assert command is not None, text
    assert re.search(r"^  \d+ × (sync|write) /power-test/", text, re.MULTILINE)
    with pytest.raises(Broken) as again:
        replay(Plan(1, SMALL, honest=False), int(command[1]))
    assert again.value.problems == caught.value.problems


def test_the_same_seed_is_the_same_run_in_any_process() -> None:
    command = [sys.executable, "-m", "tests.power", "--seed", "3", "--cuts", "60", "--quiet"]
    runs = [
        subprocess.Popen(command, env=os.environ | {"PYTHONHASHSEED": seed}, stdout=subprocess.PIPE, text=True)
        for seed in ("1", "2")
    ]
    one, other = (run.communicate()[0] for run in runs)
    assert "digest" in one
    assert one == other
