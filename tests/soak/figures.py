"""What a soak has tried so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DAY_SECONDS: Final = 86_400


@dataclass(slots=True)
class Figures:
    """All of it. ``shared``: writes that had a commit in common in the cut journals; ``networks``: whole matrices."""

    seeds: int = 0
    taps: int = 0
    lives: int = 0
    requests: int = 0
    simulated_seconds: float = 0.0
    cuts: int = 0
    shared: int = 0
    disk_faults: int = 0
    kills: int = 0
    networks: int = 0
    fuzz_seconds: int = 0
    planted: int = 0

    def __str__(self) -> str:
        days = self.simulated_seconds / DAY_SECONDS
        return (
            f"{self.seeds:,} seeds with {self.taps:,} taps, {self.lives:,} lives, {self.requests:,} requests and "
            f"{days:,.0f} simulated days; {self.cuts:,} power cuts among {self.shared:,} writes that shared a commit; "
            f"{self.disk_faults:,} disk faults; {self.kills:,} kills; {self.networks} matrices of network faults; "
            f"{self.fuzz_seconds:,} s of fuzzing; {self.planted} planted bugs caught"
        )

    @property
    def short(self) -> str:
        """For a line of 80 characters, with a bar."""
        faults = self.disk_faults + self.networks
        return f"{self.seeds:,} seeds, {self.cuts:,} cuts, {self.kills:,} kills, {faults:,} faults"
