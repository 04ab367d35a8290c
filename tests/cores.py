"""The two cores that the suite is written for: how many processes of tests share them, and what a test may start."""

from __future__ import annotations

import os
from typing import Final

CORES: Final = 2  # of the smallest machine on which the whole suite must end within its quarter of an hour


def free() -> int:
    """On how many cores a test may compute: all, or its share where other tests run beside it."""
    return max(1, CORES // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
