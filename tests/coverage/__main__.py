"""``python -m tests.coverage``: line and branch coverage of the packages where a mistake costs money or card data.

All in this process: unit, property and store tests, some of the whole daemon, power cuts, and some simulated worlds.
What is not run is named.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest
from coverage import Coverage

PACKAGES: Final = ("tpsd/core", "tpsd/store", "device")
TESTS: Final = (
    "tests/unit",
    "tests/property",
    "tests/store",
    "tests/sim/test_vl1_conformance.py",
    "tests/sim/test_vl1_sessions.py",
    "tests/sim/test_vl1_taps.py",
    "tests/sim/test_vivopay_reader.py",
    "tests/integration/test_daemon_disk.py",
    "tests/integration/test_daemon_doubts.py",
    "tests/integration/test_daemon_lane_orders.py",
    "tests/integration/test_daemon_readers.py",
    "tests/integration/test_daemon_receipts.py",
    "tests/integration/test_daemon_wounds.py",
    "tests/integration/test_denylist_commands.py",
    "tests/integration/test_store_commands.py",
)
CUTS: Final = 600
WORLDS: Final = range(1, 9)  # seeds
AIM: Final = 95.0  # percent of the branches of each package


def main() -> int:
    """Exit code 1 where a test fails; a package below the aim is only marked."""
    coverage = Coverage(branch=True, source=list(PACKAGES), data_file=None)
    coverage.exclude(r"assert_never\(")  # mypy proves that nothing comes there
    with coverage.collect():
        failed = _run()
    print(_missing(coverage))
    figures = {package: _figures(coverage, package) for package in PACKAGES}
    for package, (lines, branches) in figures.items():
        below = f"  below the aim of {AIM:g}" if branches < AIM else ""
        print(f"{package:12} lines {lines:6.2f} %  branches {branches:6.2f} %{below}")
    return int(failed)


def _run() -> bool:
    """Whether something failed. What is measured is imported here, when it is looked at already."""
    from tests.power.cuts import cuts  # noqa: PLC0415
    from tests.sim.run import run  # noqa: PLC0415

    failed = pytest.main(["-q", "-n", "0", "-p", "no:cacheprovider", *TESTS, *sys.argv[1:]]) != 0
    print(cuts(1, CUTS))
    for seed in WORLDS:
        report = run(seed)
        print(f"world {seed}: {report.failure or 'ok'}")
        failed |= report.failure is not None
    return failed


def _missing(coverage: Coverage) -> str:
    said = io.StringIO()
    coverage.report(show_missing=True, skip_covered=True, file=said)
    return said.getvalue()


def _figures(coverage: Coverage, package: str) -> tuple[float, float]:
    """Percent of lines and of branches."""
    with TemporaryDirectory() as folder:
        told = Path(folder, "coverage.json")
        coverage.json_report(outfile=str(told), include=[f"{package}/*"])
        totals: dict[str, Any] = json.loads(told.read_text(encoding="utf-8"))["totals"]
    return 100 * totals["covered_lines"] / totals["num_statements"], (
        100 * totals["covered_branches"] / totals["num_branches"]
    )


if __name__ == "__main__":
    raise SystemExit(main())
