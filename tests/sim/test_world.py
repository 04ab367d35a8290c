"""Seeds: whole worlds in virtual time, each drawn, run and judged."""

from __future__ import annotations

import pytest

from tests.sim.run import run


@pytest.mark.parametrize("seed", range(1, 4))
def test_a_seed_keeps_every_invariant(seed: int) -> None:
    report = run(seed)
    assert report.failure is None, report.details
