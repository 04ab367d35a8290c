"""Looks for a card number in bytes, in every form that code here could have left it in."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from pathlib import Path


def forms_of(pan: str) -> dict[str, bytes]:
    """Every byte string that betrays the card number, by the name of its form."""
    ascii_digits = pan.encode("ascii")
    packed = bytes.fromhex(pan if len(pan) % 2 == 0 else f"{pan}F")
    found = {
        "ascii": ascii_digits,
        "utf-16-le": pan.encode("utf-16-le"),
        "utf-16-be": pan.encode("utf-16-be"),
        "packed": packed,
        "packed, odd": bytes.fromhex(f"0{pan}" if len(pan) % 2 else f"0{pan}0")[1:-1],
    }
    found["hex of ascii"] = found["ascii"].hex().encode()  # digits only; the hex of packed digits is "ascii"
    for name in ("ascii", "packed", "packed, odd"):
        for at, core in enumerate(_base64_cores(found[name])):
            found[f"base64 of {name} at {at}"] = core
            for again, outer in enumerate(_base64_cores(core)):
                found[f"base64 of base64 of {name} at {at}, {again}"] = outer
    return found


def search(data: bytes, pan: str) -> list[str]:
    """The names of the forms in which the card number stands in ``data``."""
    return [name for name, needle in forms_of(pan).items() if needle in data]


def search_files(places: Iterable[Path], pans: Iterable[str]) -> list[str]:
    """``path: form`` for every find in the files and, with all below them, the folders. Raises if one is missing."""
    pans = tuple(pans)
    return [
        f"{path}: {form}"
        for place in places
        for path in _files(place)
        for pan in pans
        for form in search(path.read_bytes(), pan)
    ]


def _files(place: Path) -> Iterator[Path]:
    if place.is_dir():
        yield from sorted(path for path in place.rglob("*") if path.is_file())
    else:
        place.stat()
        yield place


def _base64_cores(needle: bytes) -> Iterator[bytes]:
    """What every base64 text holds that has the needle at an offset of 0, 1 or 2 bytes into a group of three."""
    for offset in range(3):
        text = base64.b64encode(bytes(offset) + needle)
        yield text[(offset * 8 + 5) // 6 : (offset + len(needle)) * 8 // 6]
