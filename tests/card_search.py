"""Looking for known card numbers in bytes of any kind: logs, mails, database pages, JSON.

A number is looked for in every form in which this program or a library of it could write one down.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path


def forms(pan: str) -> Mapping[str, bytes]:
    """What a PAN looks like, by the form's name."""
    packed = bytes.fromhex(pan[: len(pan) // 2 * 2])  # an odd number's last digit shares its byte with the padding
    shifted = bytes.fromhex(f"0{pan}"[: len(pan) // 2 * 2])[1:]  # the digits begin in the lower half of a byte
    plain = pan.encode()
    found = {
        "digits, as BCD in hex too": plain,
        "groups of four": b" ".join(plain[at : at + 4] for at in range(0, len(plain), 4)),
        "groups with dashes": b"-".join(plain[at : at + 4] for at in range(0, len(plain), 4)),
        "UTF-16": pan.encode("utf-16-le"),
        "UTF-16, big end first": pan.encode("utf-16-be"),
        "digits in hex": plain.hex().encode(),
        "BCD": packed,
        "BCD, shifted half a byte": shifted,
        "BCD with escapes": "".join(f"\\x{byte:02x}" for byte in packed).encode(),
        "BCD, spaced hex": packed.hex(" ").encode(),
        "BCD as a list of numbers": ", ".join(str(byte) for byte in packed).encode(),
        "BCD as Python shows bytes": repr(packed)[2:-1].encode(),
    }
    for name, raw in (("digits", plain), ("BCD", packed), ("BCD, shifted half a byte,", shifted)):
        for shift in range(3):
            core = _base64_core(raw, shift)
            found[f"{name} in Base64, shifted {shift}"] = core
            for again in range(3):
                found[f"{name} in Base64 twice, shifted {shift} and {again}"] = _base64_core(core, again)
    return found


def findings(name: str, data: bytes, pans: Iterable[str]) -> list[str]:
    """Which numbers stand in the data, masked, and in which form."""
    return [
        f"{name}: {pan[:6]}…{pan[-4:]} as {form}"
        for pan in pans
        for form, needle in forms(pan).items()
        if needle in data
    ]


def findings_in_files(places: Iterable[Path], pans: Iterable[str]) -> list[str]:
    """The findings in files and, with all below them, in folders. Raises OSError for a place that is not there."""
    pans = tuple(pans)
    return [
        finding
        for place in places
        for path in _files(place)
        for finding in findings(str(path), path.read_bytes(), pans)
    ]


def _files(place: Path) -> Iterator[Path]:
    if place.is_dir():
        yield from sorted(path for path in place.rglob("*") if path.is_file())
    else:
        place.stat()
        yield place


def _base64_core(data: bytes, shift: int) -> bytes:
    """The characters of ``data`` in Base64 that do not depend on the ``shift`` bytes before nor on what follows."""
    text = base64.b64encode(bytes(shift) + data)
    whole = (shift + len(data)) * 8 // 6
    return text[-(-shift * 8 // 6) : whole]
