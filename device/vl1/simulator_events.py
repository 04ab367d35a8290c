"""What the simulated validator tells its owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from device.vl1.codes import Shown
from device.vl1.events import SessionLost, SessionUp
from device.vl1.greeting import HelloAck, TapNumber
from device.vl1.messages import ConfigMessage, VerdictMessage


@dataclass(frozen=True, slots=True)
class TapVerdict:
    """A tap got its VERDICT and left the memory. ``waited``: seconds since the tap, None over a reboot.

    ``shown`` is what the validator had decided by itself before.
    """

    tap: TapNumber
    verdict: VerdictMessage
    waited: float | None
    shown: Shown


@dataclass(frozen=True, slots=True)
class StrayVerdict:
    """A VERDICT for a tap that has one already, or for none; it must agree with the first."""

    verdict: VerdictMessage


@dataclass(frozen=True, slots=True)
class TapKept:
    """TAP_KEPT arrived: the tap is safe and not yet decided."""

    tap: TapNumber


@dataclass(frozen=True, slots=True)
class TapDecided:
    """The validator's own limit passed, and it decided by its setting."""

    tap: TapNumber
    shown: Shown


@dataclass(frozen=True, slots=True)
class ConfigReceived:
    """CONFIG arrived."""

    config: ConfigMessage


@dataclass(frozen=True, slots=True)
class Misunderstood:
    """The daemon sent what a validator cannot understand."""

    what: str


SimulatorEvent: TypeAlias = (
    SessionUp[HelloAck]
    | SessionLost
    | TapVerdict
    | StrayVerdict
    | TapKept
    | TapDecided
    | ConfigReceived
    | Misunderstood
)
