"""The cells of the matrix: where on the way to TPS what happens, and what the first send must be called for it.

A deferred tap's verdict is out before it is sent; a realtime tap's is TPS's answer, and it is sent once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from device.vl1.codes import TapKind
from schemas.values import TIMEOUT_SECONDS_MAX
from tests.faults.proxy import Proxy, Way
from tests.faults.toxics import (
    Bandwidth,
    Blackhole,
    Latency,
    LimitData,
    PastFirstRecord,
    Reset,
    Slicer,
    SlowClose,
    Toxic,
)
from tpsd.domain.tap import Timing

PATIENT_SECONDS = 10.0  # the client's time-out where an answer must come: a busy machine may take its time
IMPATIENT_SECONDS = 3.0  # where none may come: still enough for a handshake that is in nobody's way
LATE_SECONDS = 3.4
assert LATE_SECONDS > IMPATIENT_SECONDS


class Phase(Enum):
    """What is hit."""

    CONNECT = "connect"  # SYN, and the client's first bytes
    SERVER = "TLS, server's flight"
    CLIENT = "TLS, client's flight"  # in TLS 1.3 the client may send its request in the same breath
    REQUEST = "request"
    RESPONSE = "response"


class Sent(Enum):
    """Under which credential: one that was answered before, or one that sends its probe first, which is hit."""

    PROVEN = "proven"
    FIRST = "first"


HARMS: Final[Mapping[str, tuple[Toxic, ...]]] = {
    "latency": (Latency(0.05, jitter=0.03),),
    "blackhole": (Blackhole(),),
    "reset": (Reset(),),
    "slow close": (LimitData(100), SlowClose(0.3)),
    "limit": (LimitData(100),),
    "slice": (Slicer(60, pause=0.002, variation=40),),
    "bandwidth": (Bandwidth(20_000.0),),
    "late": (Latency(LATE_SECONDS),),
    "starved": (Bandwidth(50.0),),
}
"""Toxiproxy's seven, and two of them beyond the client's time-out."""

SILENT: Final = frozenset({"blackhole", "late", "starved"})

PORTS: Final[Mapping[str, Callable[[Proxy], None]]] = {
    "latency": lambda proxy: proxy.deafen(0.2),
    "blackhole": lambda proxy: proxy.deafen(),
    "reset": lambda proxy: proxy.refuse(),
}
"""What happens to the SYN itself; everything else while connecting happens to the first bytes behind it."""

APPROVED: Final = "action.000"

_TABLE: Final = {
    (Phase.CONNECT, Sent.PROVEN): "yes connect_timeout connect tls tls yes yes connect_timeout connect_timeout",
    (Phase.SERVER, Sent.PROVEN): "yes connect_timeout tls tls tls yes yes connect_timeout connect_timeout",
    (Phase.CLIENT, Sent.PROVEN): "yes timeout closed closed closed yes yes timeout timeout",
    (Phase.REQUEST, Sent.PROVEN): "yes timeout closed closed closed yes yes timeout timeout",
    (Phase.RESPONSE, Sent.PROVEN): "yes timeout closed closed closed yes yes timeout timeout",
    (Phase.CONNECT, Sent.FIRST): "yes connect_timeout connect tls tls yes yes connect_timeout connect_timeout",
    (Phase.SERVER, Sent.FIRST): "yes connect_timeout tls tls tls yes yes connect_timeout connect_timeout",
    (Phase.CLIENT, Sent.FIRST): "yes probe probe probe probe yes yes probe probe",
}
"""The cause of the first attempt, column by column of HARMS; ``yes`` is TPS's own."""

OUTCOMES: Final[Mapping[str, str]] = {
    APPROVED: "approved",
    "connect": "not_sent",
    "connect_timeout": "not_sent",
    "tls": "not_sent",
    "probe": "not_sent",
    "busy": "not_sent",
    "timeout": "unknown",
    "closed": "unknown",
}
"""The class of each cause: only of ``not_sent`` may nobody ever have been charged."""

KINDS: Final[Mapping[Timing, TapKind]] = {Timing.DEFERRED: TapKind.MTT, Timing.REALTIME: TapKind.RETAIL_PAYMENT}

LANES: Final[Mapping[Timing, Mapping[str, Any]]] = {
    Timing.DEFERRED: {"timing": "deferred", "kind": "MTT"},
    Timing.REALTIME: {"timing": "realtime", "kind": "RETAIL_PAYMENT", "verdict_seconds": TIMEOUT_SECONDS_MAX},
}
"""The lane that a timing's taps come in on; its passenger waits longer than any send here may take."""

ENDS: Final[Mapping[Timing, Mapping[str, str]]] = {
    Timing.DEFERRED: {"approved": "approved", "not_sent": "pending", "unknown": "pending"},
    Timing.REALTIME: {"approved": "approved", "not_sent": "failed", "unknown": "in_doubt"},
}
"""The state that each outcome of the first send leaves. What is pending then is sent again."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One of them. ``cause`` and ``outcome`` are the first attempt's."""

    phase: Phase
    harm: str
    sent: Sent
    timing: Timing
    cause: str

    @property
    def outcome(self) -> str:
        return OUTCOMES[self.cause]

    @property
    def is_silent(self) -> bool:
        """Whether the client's patience decides when it ends."""
        return self.harm in SILENT

    @property
    def timeout_seconds(self) -> float:
        return IMPATIENT_SECONDS if self.is_silent else PATIENT_SECONDS

    @property
    def first_met(self) -> tuple[Way, int] | None:
        """Which piece of bytes meets the harm first; None where that is the SYN."""
        match self.phase:
            case Phase.CONNECT if self.harm in PORTS:
                return None
            case Phase.SERVER | Phase.RESPONSE:
                return Way.DOWN, 1
            case Phase.CLIENT:
                return Way.UP, 2
            case _:
                return Way.UP, 1

    def begin(self, proxy: Proxy) -> None:
        """From now on it happens."""
        harm = HARMS[self.harm]
        match self.phase:
            case Phase.CONNECT if self.harm in PORTS:
                PORTS[self.harm](proxy)
            case Phase.CONNECT | Phase.REQUEST:
                proxy.poison(Way.UP, *harm)
            case Phase.CLIENT:
                proxy.poison(Way.UP, PastFirstRecord(harm))
            case Phase.SERVER | Phase.RESPONSE:
                proxy.poison(Way.DOWN, *harm)

    def __str__(self) -> str:
        return f"{self.timing.value}-{self.sent.value}-{self.phase.name.lower()}-{self.harm.replace(' ', '-')}"


def cells() -> list[Cell]:
    """All of them."""
    return [
        Cell(phase, harm, sent, timing, _cause(cause, harm, sent, timing))
        for timing in KINDS
        for (phase, sent), row in _TABLE.items()
        for harm, cause in zip(HARMS, row.split(), strict=True)
    ]


def chosen() -> list[Cell]:
    """Those in which a journal may do wrong, since what TPS did is not known, and of each clean outcome one.

    Where bytes merely come in pieces a journal is told nothing else; and what is late is first as silent as a hole.
    """
    return [
        cell
        for cell in cells()
        if (cell.outcome == "unknown" and cell.phase in (Phase.REQUEST, Phase.RESPONSE) and cell.harm in _UNCLEAR)
        or (cell.sent is Sent.PROVEN and (cell.phase, cell.harm) in _CLEAN)
    ]


_UNCLEAR: Final = frozenset({"reset", "limit", "late"})
_CLEAN: Final = frozenset({(Phase.CONNECT, "reset"), (Phase.SERVER, "limit"), (Phase.RESPONSE, "latency")})


def _cause(cause: str, harm: str, sent: Sent, timing: Timing) -> str:
    if timing is Timing.REALTIME and sent is Sent.FIRST and harm in SILENT:
        return "busy"  # probe and request share the time of one send, and nothing of it is left
    return APPROVED if cause == "yes" else cause
