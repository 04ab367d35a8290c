"""What can befall the way to the database, and where: at which COMMIT, before or after it, or from beginning to end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.faults.proxy import Way
from tests.faults.toxics import Bandwidth, Blackhole, Latency, Reset, Slicer, Toxic
from tpsd.domain.tap import Timing

COMMIT = b"COMMIT\x00"  # the client's word for it, and the server's when it is done
ANY = b""

CUT: Final[tuple[Toxic, ...]] = (Reset(),)
HALF_OPEN: Final[tuple[Toxic, ...]] = (Blackhole(),)


@dataclass(frozen=True, slots=True)
class Harm:
    """``way`` fails at the ``count``-th piece with ``word`` in it; None: both do, and nothing is lost."""

    name: str
    then: tuple[Toxic, ...]
    way: Way | None = None
    word: bytes = ANY
    count: int = 1

    def __str__(self) -> str:
        return self.name


def at_commit(count: int, way: Way, name: str, then: tuple[Toxic, ...]) -> Harm:
    """A COMMIT that is never heard of, or one that is done and nobody hears it."""
    return Harm(f"{name} {'before' if way is Way.UP else 'after'} commit {count}", then, way, COMMIT, count)


SLOW: Final = (
    Harm("latency", (Latency(0.02, jitter=0.01),)),
    Harm("slices", (Slicer(150, pause=0.001, variation=140),)),
    Harm("slow bytes", (Bandwidth(30_000.0),)),
)
CUTS: Final[dict[Timing, tuple[Harm, ...]]] = {
    Timing.DEFERRED: (
        *(at_commit(count, way, "cut", CUT) for count in (1, 2, 3) for way in Way),
        Harm("cut in a transaction", CUT, Way.UP, ANY, 5),
        Harm("cut in an answer", CUT, Way.DOWN, ANY, 9),
    ),
    Timing.REALTIME: (
        *(at_commit(count, way, "cut", CUT) for count in (1, 2) for way in Way),
        Harm("cut in an answer", CUT, Way.DOWN, ANY, 4),
    ),
}
SILENT: Final[dict[Timing, tuple[Harm, ...]]] = {
    Timing.DEFERRED: (at_commit(1, Way.UP, "half-open", HALF_OPEN), at_commit(3, Way.DOWN, "half-open", HALF_OPEN)),
    Timing.REALTIME: (at_commit(1, Way.DOWN, "half-open", HALF_OPEN), at_commit(2, Way.UP, "half-open", HALF_OPEN)),
}
"""One for each daemon: a statement without an answer ends after its time alone."""
