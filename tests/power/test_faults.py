"""No disk fault at any operation loses what was acknowledged; what fails for good closes the journal, room returns."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.power.faults import STEPS, Figures, faults
from tests.power.files import LARGE, SMALL

SPARSE = {"making": 5, "groups": 3}
"""Of these steps every so manieth case: hundreds of writes that nobody has been promised anything of, or all alike."""

WRITES = {"EIO write", "ENOSPC write", "SHORT write", "EIO sync"}
EXPECTED = {
    "making": {"EIO create", "EIO truncate"},
    "opening": {"EIO look", "EIO read", "EIO truncate"},
    "house": {"EIO create", "ENOSPC create", "EIO unlink", "EIO sync folder"},  # of the keys
    "closing": {"EIO unlink"},
}


def test_no_fault_at_any_operation_loses_what_was_acknowledged() -> None:
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        running = {
            step: pool.submit(faults, 1, (SMALL, LARGE)[number % 2], step, SPARSE.get(step, 1))
            for number, step in enumerate(STEPS)
        }
    found = {step: one.result() for step, one in running.items()}
    for step, figures in found.items():
        print(f"{step}: {figures}")
        assert WRITES | EXPECTED.get(step, set()) <= set(figures.faults)
    assert found["groups"].shared > found["groups"].undone > 0
    total = sum(found.values(), Figures())
    print(total)
    assert total.did["closed it"] > 200
    assert total.did["passed"] > 200
    assert total.faults.total() > 800
