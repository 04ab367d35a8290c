"""Runs many cuts, or one again: ``python -m tests.power --seed 7 --cuts 50000``, ``… --seed 7 --cut 812``."""

from __future__ import annotations

import argparse
import time

from tests.power.cuts import cuts, replay
from tests.power.report import Plan


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.power", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sector", type=int, choices=[512, 4096])
    parser.add_argument("--cuts", type=int, default=1000, help="how many, by luck")
    parser.add_argument("--cut", type=int, help="replay this one")
    parser.add_argument("--lying", action="store_true", help="on a disk that lies about flush now and then")
    parser.add_argument("--scenario", action="store_true", help="of the scenario that is cut at every operation")
    parser.add_argument("--quiet", action="store_true", help="say nothing that differs from run to run")
    args = parser.parse_args()
    began = time.monotonic()
    if args.cut is None:
        report = cuts(args.seed, args.cuts, args.sector, honest=not args.lying)
    else:
        report = replay(Plan(args.seed, args.sector, honest=not args.lying, scenario=args.scenario), args.cut)
    took = "" if args.quiet else f", in {time.monotonic() - began:.1f} s"
    print(f"{report}{took}; digest {report.digest}")


if __name__ == "__main__":
    main()
