"""How long people waited, in the two figures that are told of it."""

from __future__ import annotations

from collections.abc import Iterable


def spread(waits: Iterable[float], digits: int) -> dict[str, float | None]:
    """``p50`` and ``p99``, rounded: the value below which that share of them lies; None where nobody waited."""
    ordered = sorted(waits)
    return {
        name: round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], digits) if ordered else None
        for name, share in (("p50", 0.5), ("p99", 0.99))
    }
