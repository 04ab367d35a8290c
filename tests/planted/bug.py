"""What a planted bug is: what is changed where, and who must notice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bug:
    """``old`` stands exactly once in ``file``; ``caught_by`` are the tests of which at least one must fail."""

    name: str
    file: str
    old: str
    new: str
    caught_by: tuple[str, ...]
    always: bool = False  # tried in every run of the suite
