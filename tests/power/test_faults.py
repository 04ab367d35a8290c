"""No disk fault at any operation loses what was acknowledged; what fails for good closes the journal, room returns."""

from __future__ import annotations

import pytest

from tests.power.faults import STEPS, Faults
from tests.power.files import LARGE, SMALL

SPARSE = {"making": 5}
"""Of these steps every so manieth case: hundreds of writes that nobody has been promised anything of."""


@pytest.mark.parametrize("step", STEPS)
async def test_a_fault_at_every_operation(step: str) -> None:
    figures = await Faults(1, SMALL if len(step) % 2 else LARGE).run([step], every=SPARSE.get(step, 1))
    print(figures)
    kinds = set(figures.faults)
    assert {"EIO write", "ENOSPC write", "SHORT write", "EIO sync"} <= kinds, kinds
    assert {"EIO read", "EIO truncate"} <= kinds or step not in {"opening", "closing"}
    if step != "closing":
        assert figures.did["closed it"]
        assert figures.did["passed"]
    if step == "house":
        assert {"EIO create", "ENOSPC create", "EIO unlink", "EIO sync folder"} <= kinds, "where keys are kept, too"
