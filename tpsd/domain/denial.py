"""Cards that may not ride, as lists of tokens from sources; no card number is ever among them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tpsd.domain.card import PAN_DIGITS_MAX, PAN_DIGITS_MIN
from tpsd.domain.time import Micros

TOKEN_BYTES = 32  # HMAC-SHA256 (sfey.md 5)
BY_HAND = "hand"  # the source of single entries: a list that is replaced never takes them along
BY_FEED = "tps"  # the source of what TPS's update feed lists; nobody else's

_TOKEN = re.compile(r"[0-9A-Fa-f]{64}")
_SPACED_DIGITS = re.compile(rf"[0-9]([ -]?[0-9]){{{PAN_DIGITS_MIN - 1},{PAN_DIGITS_MAX - 1}}}")
_SOURCE = re.compile(r"[a-z0-9_-]{1,32}")


@dataclass(frozen=True, slots=True)
class NoToken:
    """Why a text is no card token, in words that do not repeat it."""

    what: str


def read_token(text: str) -> bytes | NoToken:
    """The 32 bytes of a token written as 64 hex digits, white space around it allowed."""
    text = text.strip()
    if _TOKEN.fullmatch(text):
        return bytes.fromhex(text)
    if _SPACED_DIGITS.fullmatch(text):
        return NoToken("looks like a card number: never give one, give the card's token")
    return NoToken("is no card token: 64 hex digits are needed")


def is_source(name: str) -> bool:
    """Whether a list may be called so."""
    return _SOURCE.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class DenySource:
    """One source's entries in force under one token key. ``live_at``: when the latest list took effect, wall clock.

    ``token_key``: the version of the token key when the list began, None where none was in force.
    """

    source: str
    tokens: int
    live_at: Micros
    token_key: str | None = None


@dataclass(frozen=True, slots=True)
class DenyTotals:
    """The deny list in numbers. ``version`` counts changes; it stands on the row of every tap it was asked for."""

    version: int | None
    sources: tuple[DenySource, ...]

    @property
    def tokens(self) -> int:
        """Entries of all sources; a card on two lists counts twice."""
        return sum(source.tokens for source in self.sources)


@dataclass(frozen=True, slots=True)
class DenyChange:
    """What a command did: ``changed`` entries came or went of ``asked``; ``version`` is the list's from now on."""

    asked: int
    changed: int
    version: int | None
