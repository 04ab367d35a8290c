"""The published frames of links.md part 2: who sends each, what it says, and the bytes it is on the wire."""

from __future__ import annotations

import re
from dataclasses import dataclass

from device.vivopay.frames import CrcOrder
from tests.golden.tlv_samples import S01


@dataclass(frozen=True)
class Published:
    """One frame. ``code`` is the sub-command of a command, the status of an answer."""

    wire: str
    is_command: bool
    command: int
    code: int
    data: str = ""

    @property
    def octets(self) -> bytes:
        return bytes.fromhex(re.sub(r"\s", "", self.wire))

    @property
    def order(self) -> CrcOrder:
        return CrcOrder.LOW_FIRST if self.is_command else CrcOrder.HIGH_FIRST


HEADER = "5669564F746563683200"
PLAIN_VISA = (
    "01DFEE260201009F3901079F100706011A2380400457134999999999999999D15092FFFFFFFFFFFFFF0F820220009F3602028F9F2608FFFFFFFFFFFFFFFF"
    "9F6C0210009F02060000000002505F2A0208409A032607019C0100FFEE0104DF300100"
)
SERIAL = "3633305A3030303030310000000000"
ACTIVATE = "1E 9C0100 9F0206000000000100 9F0306000000000000 DFEF370107 DFEF3C03010060"

FRAMES = {
    "ping": Published(f"{HEADER} 18 01 0000 B3CD", True, 0x18, 0x01),
    "ping answered": Published(f"{HEADER} 18 00 0000 FA83", False, 0x18, 0x00),
    "poll on demand": Published(f"{HEADER} 01 01 0001 01 D734", True, 0x01, 0x01, "01"),
    "get serial number": Published(f"{HEADER} 12 01 0000 18A5", True, 0x12, 0x01),
    "serial number": Published(f"{HEADER} 12 00 000F {SERIAL} 94BC", False, 0x12, 0x00, SERIAL),
    "activate": Published(f"{HEADER} 02 40 0022 {ACTIVATE} 18D1", True, 0x02, 0x40, ACTIVATE),
    "get light sensor": Published(f"{HEADER} 83 50 0000 CD7C", True, 0x83, 0x50),
    "light sensor": Published(f"{HEADER} 83 00 0002 E101 0D25", False, 0x83, 0x00, "E101"),
    "pass-through answered": Published(f"{HEADER} 2C 00 0000 1C9B", False, 0x2C, 0x00),
    "plain Visa": Published(f"{HEADER} 02 23 0061 {PLAIN_VISA} E70F", False, 0x02, 0x23, PLAIN_VISA),
    "encrypted Mastercard": Published(f"{HEADER} 02 23 0221 E1 {S01.hex()} 88E2", False, 0x02, 0x23, f"E1 {S01.hex()}"),
}
