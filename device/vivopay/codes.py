"""The numbers of ViVOpay protocol 2 that have names (links.md part 2; ID TECH NEO 2 guide, 2.1.5)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType

SHOW = 0x01  # and the poll mode
ACTIVATE = 0x02
SERIAL = 0x12
CONFIGURATION = 0x03
SET_CONFIGURATION = 0x04


class Status(IntEnum):
    """An answer's status, where the daemon or a reader of its log asks for it."""

    OK = 0x00
    HEADER = 0x01
    UNKNOWN_COMMAND = 0x02
    UNKNOWN_SUB_COMMAND = 0x03
    CRC = 0x04
    PARAMETER = 0x05
    NOT_SUPPORTED = 0x06
    MALFORMED = 0x07
    TIMED_OUT = 0x08
    FAILED = 0x0A
    NOT_ALLOWED = 0x0B
    SUB_COMMAND_NOT_ALLOWED = 0x0C
    OVERFLOW = 0x0D
    USER_INTERFACE = 0x0E
    TAMPERED = 0x1D
    REQUEST_ONLINE = 0x23
    INTERIM = 0x63

    @property
    def words(self) -> str:
        """For people."""
        return _STATUS_WORDS[self]


_STATUS_WORDS: Mapping[Status, str] = MappingProxyType(
    {
        Status.OK: "ok",
        Status.HEADER: "incorrect header",
        Status.UNKNOWN_COMMAND: "unknown command",
        Status.UNKNOWN_SUB_COMMAND: "unknown sub-command",
        Status.CRC: "wrong CRC in the command",
        Status.PARAMETER: "incorrect parameter",
        Status.NOT_SUPPORTED: "parameter not supported",
        Status.MALFORMED: "malformed data",
        Status.TIMED_OUT: "timed out",
        Status.FAILED: "failed",
        Status.NOT_ALLOWED: "command not allowed",
        Status.SUB_COMMAND_NOT_ALLOWED: "sub-command not allowed",
        Status.OVERFLOW: "buffer overflow",
        Status.USER_INTERFACE: "user interface event, more to come",
        Status.TAMPERED: "tampered",
        Status.REQUEST_ONLINE: "request online",
        Status.INTERIM: "interim, more to come",
    }
)

INTERIM = frozenset({Status.INTERIM, Status.USER_INTERFACE})
"""Answers to 02-40 after which another comes."""

COMMAND_NAMES: Mapping[tuple[int, int], str] = MappingProxyType(
    {
        (SHOW, 0x01): "set poll mode",
        (SHOW, 0x02): "user interface",
        (ACTIVATE, 0x40): "activate transaction",
        (CONFIGURATION, 0x02): "get configuration",
        (SET_CONFIGURATION, 0x00): "set configuration",
        (0x05, 0x01): "cancel",
        (SERIAL, 0x01): "get serial number",
        (0x18, 0x01): "ping",
    }
)


def words_of(status: int) -> str:
    """A status for people, with its number."""
    known = f" ({Status(status).words})" if status in set(Status) else ""
    return f"{status:02X}{known}"


class Text(IntEnum):
    """What 01-02 shows: the reader holds the words."""

    WELCOME = 0x00
    PRESENT_CARD = 0x01
    PROCESSING = 0x03
    THANK_YOU = 0x04
    FAIL = 0x05
    USE_CHIP = 0x08
    TRY_AGAIN = 0x09
    ONE_CARD_ONLY = 0x0A
    WAIT = 0x0B


class Beep(IntEnum):
    """What 01-02 lets sound: one to four short ones, or a long one of 200 to 800 ms."""

    NONE = 0x00
    SHORT_1 = 0x01
    SHORT_2 = 0x02
    SHORT_3 = 0x03
    SHORT_4 = 0x04
    LONG_1 = 0x05
    LONG_2 = 0x06
    LONG_3 = 0x07
    LONG_4 = 0x08


class Led(IntEnum):
    """Which lamp 01-02 means."""

    LED_0 = 0x00
    LED_1 = 0x01
    LED_2 = 0x02
    LED_3 = 0x03
    ALL = 0xFF
