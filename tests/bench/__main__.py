"""``python -m tests.bench [NAME…] [--runs N]``."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from pathlib import Path

from tests.bench import (
    claims,
    decoder,
    denylist,
    drain,
    feed,
    journal,
    memory,
    path,
    reader,
    realtime,
    replay,
    spool,
    start,
    tlv,
    verdict,
    writes,
)
from tpsd.log import configure

BENCHES = {
    "tlv": tlv.run,
    "decoder": decoder.run,
    "journal": journal.run,
    "denylist": denylist.run,
    "feed": feed.run,
    "verdict": verdict.run,
    "reader": reader.run,
    "path": path.run,
    "realtime": realtime.run,
    "drain": drain.run,
    "spool": spool.run,
    "claims": claims.run,
    "start": start.run,
    "memory": memory.run,
    "writes": writes.run,
    "replay": replay.run,
}


def main() -> int:
    """Run the named benches, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHES))
    parser.add_argument("--runs", type=int, default=5, help="rounds a figure (5)")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in BENCHES]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    # The daemon's log costs what it costs in service, but is not read here.
    with Path(os.devnull).open("w") as nowhere:
        configure("info", json=True, stream=nowhere)
        print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}")
        for name in arguments.names or BENCHES:
            BENCHES[name](arguments.runs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
