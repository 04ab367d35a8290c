"""What a look at one thing says: how it is, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How grave it is."""

    GOOD = "ok"
    DOUBT = "warning"  # it will run; somebody should know
    BAD = "failed"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing looked at. ``found`` says what is so, ``next`` what to do; empty where nothing is to be done."""

    name: str
    state: State
    found: str
    next: str = ""


def good(name: str, found: str) -> Diagnosis:
    """As it should be."""
    return Diagnosis(name, State.GOOD, found)


def doubt(name: str, found: str, do: str) -> Diagnosis:
    """It will run; somebody should know."""
    return Diagnosis(name, State.DOUBT, found, do)


def bad(name: str, found: str, do: str) -> Diagnosis:
    """It will not run, or lose something."""
    return Diagnosis(name, State.BAD, found, do)


def from_error(name: str, text: str, otherwise: str) -> Diagnosis:
    """Of an error for people: what is wrong, and what to do behind its semicolon; without one, ``otherwise``."""
    found, parted, do = text.rpartition("; ")
    return bad(name, found, do) if parted else bad(name, text, otherwise)
