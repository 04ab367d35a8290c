"""Chance by name: what is drawn for one thing does not change when something else is added beside it.

A seed found today still draws nearly the same world when a table has grown by a row.
"""

from __future__ import annotations

import random
from collections.abc import Mapping


def chance(*names: object) -> random.Random:
    """A source of its own for a thing of that name."""
    return random.Random(" ".join(str(name) for name in names))


def one_of(weights: Mapping[str, float], *names: object) -> str:
    """One of the rows by weight. Each throws its own dice, so that a new row takes its share and moves no other."""
    return max(weights, key=lambda row: chance(*names, row).random() ** (1 / weights[row]))
