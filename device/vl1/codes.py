"""The numbers in VL1's messages that have names (links.md "Messages")."""

from __future__ import annotations

from enum import IntEnum


class MessageNumber(IntEnum):
    """The first byte of a DATA payload."""

    TAP = 0x01
    TAP_KEPT = 0x02
    VERDICT = 0x03
    STATUS = 0x04
    CONFIG = 0x05


class TapKind(IntEnum):
    """``DF8A03``."""

    LANE = 0x00
    MTT = 0x01
    KFT_DEFERRED = 0x02
    KFT_REALTIME = 0x03
    RETAIL_PAYMENT = 0x04
    CHECK_IN = 0x05
    CHECK_OUT = 0x06
    CHECK_IN_OR_OUT = 0x07


class Oda(IntEnum):
    """``DF8A07``: the result of offline data authentication (EMV Book 2)."""

    NOT_DONE = 0x00
    GOOD = 0x01
    FAILED = 0x02


class Shown(IntEnum):
    """``DF8A0A``: what the passenger has been shown so far."""

    NOTHING = 0x00
    LET_IN = 0x01
    TURNED_AWAY = 0x02


class VerdictCode(IntEnum):
    """``DF8A21``."""

    ACCEPTED = 0x01
    DENIED = 0x02
    TRY_AGAIN = 0x03
    INSERT_CARD = 0x04
    CHECKED_IN = 0x05
    CHECKED_OUT = 0x06
    CHECK_OUT_AGAIN = 0x07
    CHECK_OUT_FAILED = 0x08
    ALREADY_TAPPED = 0x09
    OUT_OF_SERVICE = 0x0A


ACCEPTING = frozenset({VerdictCode.ACCEPTED, VerdictCode.CHECKED_IN, VerdictCode.CHECKED_OUT})
"""The verdicts on which a passenger may travel."""


class Light(IntEnum):
    """``DF8A24``."""

    OFF = 0x00
    GREEN = 0x01
    RED = 0x02
    AMBER = 0x03


class StatusState(IntEnum):
    """``DF8A31``."""

    READY = 0x00
    TAMPER = 0x01
    READER_FAULT = 0x02
    OUT_OF_SERVICE = 0x03
