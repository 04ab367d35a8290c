"""What TPS knows of a terminal, asked with one harmless GET before its lane opens; path and places are assumed."""

from __future__ import annotations

from typing import Final

from tpsd.domain.outcome import Exchange
from tpsd.domain.preflight import TerminalSaid
from tpsd.sfey.client import Raw, TpsClient
from tpsd.sfey.messages import read_terminal, terminal
from tpsd.sfey.updates import Terminal
from tpsd.sfey.wire import DEVICE_V1, Profile

TERMINAL_BYTES_MAX: Final = 16_384  # bytes: a terminal's facts are under 1 KiB; more is somebody else's page


async def ask_about(line: TpsClient, asking: Terminal, profile: Profile = DEVICE_V1) -> TerminalSaid | Exchange:
    """What TPS says of ``asking``, under its own credential; never raises for what TPS or the network does."""
    path = terminal(profile, asking.serial, asking.type_name)
    came = await line.fetch(asking.credential, path, TERMINAL_BYTES_MAX)
    return read_terminal(came.http, came.headers, came.body or b"", profile) if isinstance(came, Raw) else came
