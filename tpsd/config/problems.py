"""One thing wrong with the configuration, and how it is put to a person."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from schemas.config import Configuration

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """``key`` from the top of the file (``("lanes", 0, "port")``); ``remedy``: what to do about ``what``."""

    key: KeyPath
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{dotted(self.key)} {self.what}; {self.remedy}"


Rule = Callable[[Configuration], Iterator[Problem]]


def dotted(key: KeyPath) -> str:
    """``lanes[0].port``; list positions count from 0, as in other TOML tools."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "the file"
