"""Rounds, medians and one way to print them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number: the median of its rounds, with the spread."""

    name: str
    unit: str
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    def line(self) -> str:
        low, high = min(self.rounds), max(self.rounds)
        return (
            f"  {self.name:<58} {self.median:>12,.2f} {self.unit:<8} ({low:,.2f} to {high:,.2f}, n={len(self.rounds)})"
        )


def ratio(name: str, subject: Figure, baseline: Figure) -> str:
    """The median of the pairwise ratios."""
    pairs = [ours / theirs for ours, theirs in zip(subject.rounds, baseline.rounds, strict=True) if theirs]
    return f"  {name:<58} {statistics.median(pairs):>12,.2f} x"


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which that share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    """How many seconds it takes."""
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


def report(title: str, figures: Sequence[Figure], *more: str) -> None:
    """Print one bench."""
    print(f"\n{title}")
    for figure in figures:
        print(figure.line())
    for line in more:
        print(line)
