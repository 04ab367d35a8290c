"""Planted bugs are caught: a few in every run, the places of all."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.planted.bug import Bug
from tests.planted.bugs import BUGS
from tests.planted.harness import ROOT, plant, tried


@pytest.mark.parametrize("bug", [bug for bug in BUGS if bug.always], ids=lambda bug: bug.name)
def test_it_is_caught(bug: Bug) -> None:
    found = tried(bug)
    assert found.caught, found.said


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_its_place_is_still_there(bug: Bug, tmp_path: Path) -> None:
    """A bug that can be planted no more shows nothing; so does one whose tests are gone."""
    (tmp_path / bug.file).parent.mkdir(parents=True)
    shutil.copy(ROOT / bug.file, tmp_path / bug.file)
    plant(bug, tmp_path)
    assert all((ROOT / test).exists() for test in bug.caught_by)


def test_there_are_enough() -> None:
    assert len(BUGS) >= 50
    assert len({bug.name for bug in BUGS}) == len(BUGS)
