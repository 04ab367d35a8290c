"""Logged taps as a time machine: through the real pipeline on a virtual clock, and what would differ.

from tpsd.replay import replay
for difference in replay([Path("/var/log/tpsd")], changes=["lanes.front.fare=300"]):
    print(difference.aspect, difference.tap, difference.then, difference.now)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tpsd.replay.differences import Aspect, Difference
from tpsd.replay.reading import ReplayError, Skipped
from tpsd.replay.settings import TPS, Asked
from tpsd.replay.world import Result, run

__all__ = ["Asked", "Aspect", "Difference", "ReplayError", "Result", "Skipped", "replay", "run"]


def replay(
    paths: Sequence[Path],
    *,
    tps: TPS = "recorded",
    config: Path | None = None,
    changes: Sequence[str] = (),
    denied: Sequence[bytes] = (),
) -> Iterator[Difference]:
    """The differences between what the tap logs at ``paths`` say happened and what would happen now, in order.

    ``paths`` are files or folders of a tap log (``schemas/taplog.schema.json``). ``tps``: ``recorded`` answers as TPS
    did then, ``simulate`` as the simulator would, by amount. ``config`` is a configuration file instead of the log's;
    ``changes`` are ``KEY=VALUE`` on top of it (``retry.tiers=[{tries=1,every_minutes=5}]``, ``lanes.front.fare=300``).
    ``denied`` are card tokens, 32 bytes each, that a deny list is to hold.

    Nothing is reached: no network, no mail, no journal but a temporary one. The same input gives the same differences
    in the same order. Raises ReplayError where nothing can be replayed; lines that cannot be read are passed over, and
    ``run`` says which.
    """
    yield from run(Asked(paths, tps, config, changes, denied)).differences
