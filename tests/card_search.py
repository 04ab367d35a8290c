"""Looking for known card numbers in bytes of any kind: logs, mails, database pages, JSON.

A number is looked for in every form in which this program or a library of it could write one down.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping


def forms(pan: str) -> Mapping[str, bytes]:
    """What a PAN looks like, by the form's name."""
    packed = bytes.fromhex(pan[: len(pan) // 2 * 2])  # an odd number's last digit shares its byte with the padding
    plain = pan.encode()
    found = {
        "digits, as BCD in hex too": plain,
        "groups of four": b" ".join(plain[at : at + 4] for at in range(0, len(plain), 4)),
        "groups with dashes": b"-".join(plain[at : at + 4] for at in range(0, len(plain), 4)),
        "UTF-16": pan.encode("utf-16-le"),
        "BCD": packed,
        "BCD with escapes": "".join(f"\\x{byte:02x}" for byte in packed).encode(),
        "BCD, spaced hex": packed.hex(" ").encode(),
        "BCD as a list of numbers": ", ".join(str(byte) for byte in packed).encode(),
        "BCD as Python shows bytes": repr(packed)[2:-1].encode(),
    }
    for shift in range(3):
        found[f"digits in Base64, shifted {shift}"] = _base64_core(plain, shift)
        found[f"BCD in Base64, shifted {shift}"] = _base64_core(packed, shift)
    return found


def findings(name: str, data: bytes, pans: Iterable[str]) -> list[str]:
    """Which numbers stand in the data, masked, and in which form."""
    return [
        f"{name}: {pan[:6]}…{pan[-4:]} as {form}"
        for pan in pans
        for form, needle in forms(pan).items()
        if needle in data
    ]


def _base64_core(data: bytes, shift: int) -> bytes:
    """The characters of ``data`` in Base64 that do not depend on the ``shift`` bytes before nor on what follows."""
    text = base64.b64encode(bytes(shift) + data)
    whole = (shift + len(data)) * 8 // 6
    return text[-(-shift * 8 // 6) : whole]
