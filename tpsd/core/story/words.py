"""How a story says times, money, causes and spans."""

from __future__ import annotations

from dataclasses import dataclass

from tpsd.core.receipts import Local, cause_words
from tpsd.core.texts import Catalogue
from tpsd.domain.time import DAY, HOUR, MINUTE, SECOND, Micros

_UNITS = ((2 * DAY, DAY, "days"), (2 * HOUR, HOUR, "h"), (2 * MINUTE, MINUTE, "min"), (SECOND, SECOND, "s"))

_MILLISECOND = 1000


@dataclass(frozen=True, slots=True)
class Teller:
    """What telling needs beside the facts: the present, the place's time, and a language's texts."""

    now: Micros
    local: Local
    catalogue: Catalogue

    def when(self, at: Micros) -> str:
        """``at 2026-11-23T09:15:30.123+01:00``."""
        return f"at {self.local(at)}"

    def why(self, cause: str) -> str:
        """A cause and what it means: ``action code 116, the account holds too little. The account behind …``"""
        return f"{cause_words(cause)}. {self.catalogue.operator(cause)}"


def money(amount: int, currency: str) -> str:
    """``2.50 978``, whatever the currency: a tap that was refused for it has a story too."""
    return f"{amount // 100}.{amount % 100:02d} {currency}"


def span(microseconds: int) -> str:
    """``412 ms``, ``15 min``, ``6 h``, ``6.5 days``."""
    for least, unit, name in _UNITS:
        if microseconds >= least:
            return f"{microseconds / unit:.3g} {name}"
    return f"{microseconds / _MILLISECOND:.0f} ms"


def every(microseconds: int) -> str:
    """A tier's pause as the configuration has it: ``360 min``."""
    return f"{microseconds / MINUTE:g} min"


def spelt(name: str) -> str:
    """A journal's word as people write it: ``tap_refused`` is ``tap refused``."""
    return name.replace("_", " ")


def sentence(*parts: str | None) -> str:
    """Sentences behind one another, without those that are not said."""
    return " ".join(part for part in parts if part)
