"""Device keys as TPS gives them out (sfey.md 5): what was received, what it opens to, what people see of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from tpsd.domain.time import Micros

BY_HAND = ""  # the terminal of a key that a person gave, for all


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """As received. ``index`` is ``keyIndex``, empty where there was none; ``terminal``: to which it was sent.

    ``id``: by what TPS knows a TTK, empty where that is not said.
    """

    type: str
    format: str
    algorithm: str
    data: str = field(repr=False)
    index: str = ""
    terminal: str = BY_HAND
    id: str = ""


@dataclass(frozen=True, slots=True)
class OpenedKey:
    """A key that opens, with the check value that people compare.

    ``key_id``: by what id TPS knows a TTK, BCD digits; None: not known, so nothing can be encrypted for TPS.
    """

    secret: bytes = field(repr=False)
    check_value: str
    key_id: str | None = None


@dataclass(frozen=True, slots=True)
class AsReceived:
    """A key that is kept as it came, and why no more is made of it."""

    why: str


@dataclass(frozen=True, slots=True)
class KeyToKeep:
    """A key with what was made of it."""

    key: DeviceKey
    made: OpenedKey | AsReceived


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key as people see it, never its bytes. ``check_value`` None: it is kept as received, for the reason ``why``.

    Times on the wall clock; ``retired_at`` None while it stands. ``refused_at``: TPS refused what was made with it.
    """

    id: int
    type: str
    index: str
    format: str
    algorithm: str
    terminal: str
    check_value: str | None
    why: str
    received_at: Micros
    retired_at: Micros | None = None
    key_id: str | None = None
    refused_at: Micros | None = None


@dataclass(frozen=True, slots=True)
class TokenKeyUse:
    """What still stands under a version of the token key: ``listed`` cards of deny lists, ``journeys`` under way."""

    version: str
    listed: int
    journeys: int


@dataclass(frozen=True, slots=True)
class KeysKept:
    """What became of keys that came: ``new`` ones were sealed, ``known`` ones were there, some of them ``retired``."""

    new: int
    known: int
    retired: int
