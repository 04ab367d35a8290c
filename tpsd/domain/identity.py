"""A terminal's identity at Sfey by HCV (sfey.md 5): its key pair, the code a person types, and what TPS gave for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from tpsd.domain.device_key import DeviceKey
from tpsd.domain.time import Micros


class IdentityState(Enum):
    """How far a registration has come."""

    DESCRIBED = "described"  # key pair and request are made; TPS has not taken them yet
    AWAITING = "awaiting activation"  # TPS has the request; a person types the code into Payments Manager
    ACTIVE = "active"  # certificates came, and lead to the root


@dataclass(frozen=True, slots=True)
class Described:
    """A new key pair with its request for certificates, both DER. ``code``: the request's HCV, ``ddd-ddd``."""

    terminal: str
    code: str
    request: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Issued:
    """What TPS gave, verified. The chains are PEM, its own certificate first in each; ``ends`` is the earliest.

    ``keys``: the terminal's device keys, where the answer has some.
    """

    key_chain: bytes
    signer_chain: bytes
    ends: Micros
    company_id: int | None = None
    terminal_id: str | None = None
    timezone: str | None = None
    currency: str | None = None
    keys: tuple[DeviceKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Awaiting:
    """TPS has the request, and nobody has typed the code."""


@dataclass(frozen=True, slots=True)
class NotIssued:
    """Why nothing came of it, and what to do."""

    why: str


Answered = Issued | Awaiting | NotIssued


@dataclass(frozen=True, slots=True)
class Identity:
    """A lane's identity as people see it. Times on the wall clock."""

    lane: str
    terminal: str
    state: IdentityState
    code: str
    described_at: Micros
    active_at: Micros | None = None
    ends: Micros | None = None
    company_id: int | None = None
    terminal_id: str | None = None
    timezone: str | None = None
    currency: str | None = None
