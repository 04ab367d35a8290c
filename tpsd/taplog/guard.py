"""No card number in a tap log: masked in every value on the way in, looked for in every line on the way out.

Digits within a UUID, or within the hex of a token or keyed digest, are not a number somebody was given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from tpsd.domain.card import DIGIT_RUN, PAN_DIGITS_MIN, mask_run

_HEX: Final = "[0-9a-fA-F]"
_UUID: Final = rf"(?<!{_HEX}){_HEX}{{8}}-{_HEX}{{4}}-[1-8]{_HEX}{{3}}-[89abAB]{_HEX}{{3}}-{_HEX}{{12}}(?!{_HEX})"
_KEYED: Final = r"(?<![0-9a-z])(?=[0-9]*[a-f])[0-9a-f]{64}(?![0-9a-z])"
_DIGEST: Final = r"(?<![0-9a-z])(?=[0-9]*[a-f])(?:[0-9a-f]{32}|[0-9a-f]{16})(?![0-9a-z])"
_NAMED_OR_DIGITS: Final = re.compile(rf"(?P<named>{_UUID}|{_KEYED}|{_DIGEST})|{DIGIT_RUN}")
_FEWEST: Final = re.compile(DIGIT_RUN)
_PARTS: Final = re.compile(rf"[0-9A-Za-z -]{{{PAN_DIGITS_MIN},}}")
"""What neither a number nor a name goes beyond, so that each part can be looked at alone."""

_BARE: Final = bytes.maketrans(b"0123456789", b"0" * 10)
_ZEROS: Final = b"0" * PAN_DIGITS_MIN  # what any run of that many digits becomes, bare of what spaces it


def masked(value: Any) -> Any:
    """The value, of JSON types, with what could be a card number masked. Raises TypeError for any other type."""
    match value:
        case None | bool():
            return value
        case str():
            return _masked(value)
        case int() | float():
            text = repr(value)
            return value if _masked(text) == text else _masked(text)
        case Mapping():
            return {_masked(key): masked(inner) for key, inner in value.items()}
        case list() | tuple():
            return [masked(inner) for inner in value]
        case _:
            raise TypeError(f"a {type(value).__name__} has no place in a tap log")


def holds_number(line: str) -> bool:
    """Whether a line of a tap log holds what could be a card number; one that was written here never does."""
    if not _may_hold(line):
        return False  # a quick look, since replay has it at every line
    return any(
        found["named"] is None
        for part in _PARTS.findall(line)
        if _may_hold(part)
        for found in _NAMED_OR_DIGITS.finditer(part)
    )


def _may_hold(text: str) -> bool:
    return _ZEROS in text.encode(errors="replace").translate(_BARE, b" -")


def _masked(text: str) -> str:
    if _FEWEST.search(text) is None:
        return text
    return _NAMED_OR_DIGITS.sub(lambda found: found[0] if found["named"] else mask_run(found[0]), text)
