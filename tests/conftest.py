"""What all tests share: no card number may be in a log, property tests do not depend on chance or on load, where
folders are asked for, two processes share their files, and who wants a PostgreSQL server gets one of its process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

from tests.cluster import Cluster
from tests.cores import CORES
from tests.store.databases import Databases

pytest_plugins = ("tests.log_guard",)

settings.register_profile(
    "steady", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("steady")

LONGEST: Final = (
    "sim/test_world.py",
    "kill/test_kill.py",
    "kill/test_fleet.py",
    "faults/test_matrix.py",
    "faults/test_database.py",
    "power/test_cuts.py",
    "power/test_faults.py",
    "planted/test_planted.py",
)
"""Files of more than half a minute, the longest first: begun last, one would run alone at the end."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """None for single files, which are done before a second process has begun."""
    return CORES if any(Path(asked.partition("::")[0]).is_dir() for asked in config.args) else 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; all others in their order."""
    here = Path(__file__).parent
    ranks = {here / name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))


@pytest.fixture(scope="session")
def databases() -> Iterator[Callable[[int], Databases]]:
    """The PostgreSQL server of a version, started when the first test wants it."""
    started = []

    @cache
    def of(major: int) -> Databases:
        cluster = Cluster(major)
        started.append(cluster)
        return Databases(cluster)

    yield of
    for cluster in started:
        cluster.stop()
