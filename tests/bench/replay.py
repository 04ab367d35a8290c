"""A replay of a hundred thousand logged taps: processor time, and the most memory it takes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.measure import Figure, report
from tests.replaying.logs import configuration, day

TAPS = 100_000
MEASURED = """
import re, sys, time
from pathlib import Path
from tpsd.replay import Asked, run

found = run(Asked([Path(sys.argv[1])]))
high = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())
print(found.taps, len(found.differences), time.process_time(), high[1])
"""


def run(_runs: int) -> None:
    """One round: it is long enough. The baseline is the same log read as JSON, line by line."""
    with TemporaryDirectory(prefix="tpsd-bench-") as name:
        log = day(configuration(Path(name)), TAPS).write(Path(name) / "log.jsonl")
        done = subprocess.run([sys.executable, "-c", MEASURED, str(log)], capture_output=True, check=True, text=True)
        taps, differences, seconds, kibibytes = done.stdout.split()
        assert (int(taps), int(differences)) == (TAPS, 0)
        began = time.process_time()
        with log.open() as lines:
            for line in lines:
                json.loads(line)
        bare = time.process_time() - began
    report(
        f"Replay of {TAPS:,} taps",
        [
            Figure("processor time", "s", (float(seconds),)),
            Figure("resident memory at its most", "MiB", (int(kibibytes) / 1024,)),
            Figure("its lines read as JSON", "s", (bare,)),
        ],
    )
