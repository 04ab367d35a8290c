"""``python -m tests.planted [NAME…]``: every bug, or those whose names hold a word; exit code 1 if one survives."""

from __future__ import annotations

import sys

from rich.progress import Progress

from tests.planted.bugs import BUGS
from tests.planted.harness import tried


def main(words: list[str]) -> int:
    """Try them one after another."""
    chosen = [bug for bug in BUGS if not words or any(word in bug.name for word in words)]
    survivors = []
    with Progress() as progress:
        task = progress.add_task("planted bugs", total=len(chosen))
        for bug in chosen:
            found = tried(bug)
            if not found.caught:
                survivors.append(found)
            progress.console.print(f"{'caught' if found.caught else 'SURVIVED'}: {bug.name}")
            progress.advance(task)
    for found in survivors:
        print(f"\n{found.bug.name}\n{found.said}")
    return 1 if survivors else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
