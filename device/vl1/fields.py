"""The typed fields of VL1's messages: from TLVs and back, with the width of each checked.

It knows widths and characters, not meanings. No error holds a value.
"""

from __future__ import annotations

from collections.abc import Iterable

from device.tlv import Tlv, find


class FieldError(ValueError):
    """A field is missing, doubled, or not of the form that links.md gives it; the text names the tag only."""

    def __init__(self, tag: int, what: str) -> None:
        self.tag = tag
        super().__init__(f"{tag:02X} {what}")


class Fields:
    """Reads known fields out of one level of TLVs. What nobody asks for is ignored."""

    def __init__(self, items: tuple[Tlv, ...]) -> None:
        self._items = items

    def octets(self, tag: int, size: int | None = None) -> bytes | None:
        """The value, of exactly ``size`` bytes if given; None if the tag is absent."""
        item = find(self._items, tag)
        if item is None:
            return None
        # Two amounts in one tap: nobody can say which one the passenger saw.
        if sum(other.tag == tag for other in self._items) > 1:
            raise FieldError(tag, "stands twice")
        if size is not None and len(item.value) != size:
            raise FieldError(tag, f"must have {size} bytes, has {len(item.value)}")
        return item.value

    def number(self, tag: int, size: int) -> int | None:
        """An unsigned big-endian number of ``size`` bytes."""
        value = self.octets(tag, size)
        return None if value is None else int.from_bytes(value, "big")

    def number_up_to(self, tag: int, highest: int) -> int | None:
        """A number of one byte, at most ``highest``."""
        number = self.number(tag, 1)
        if number is not None and number > highest:
            raise FieldError(tag, f"must be at most {highest:02X}")
        return number

    def text(self, tag: int, limit: int, *, newlines: int = 0) -> str | None:
        """UTF-8 of at most ``limit`` bytes, printable but for so many newlines."""
        value = self.octets(tag)
        if value is None:
            return None
        if len(value) > limit:
            raise FieldError(tag, f"must have at most {limit} bytes, has {len(value)}")
        try:
            text = value.decode("utf-8")
        except UnicodeDecodeError:
            raise FieldError(tag, "is not UTF-8") from None  # the cause would hold the value
        if not is_showable(text, newlines):
            raise FieldError(tag, "holds a control character")
        return text

    def digits(self, tag: int, size: int, count: int) -> str | None:
        """BCD in ``size`` bytes with leading zeros, as ``count`` digits."""
        value = self.octets(tag, size)
        if value is None:
            return None
        digits = value.hex()
        if not digits.isdecimal() or digits[:-count].strip("0"):
            raise FieldError(tag, f"is not BCD of {count} digits")
        return digits[-count:]

    def children(self, tag: int) -> Fields | None:
        """The fields inside a template."""
        if self.octets(tag) is None:
            return None
        return Fields(tuple(child for item in self._items if item.tag == tag for child in item.children or ()))


class FieldList:
    """Collects fields for encoding, in order; None leaves one out. Raises FieldError for what does not fit."""

    def __init__(self) -> None:
        self.items: list[Tlv] = []

    def octets(self, tag: int, value: bytes | None, size: int | None = None) -> None:
        """A value as it is, of exactly ``size`` bytes if given."""
        if value is None:
            return
        if size is not None and len(value) != size:
            raise FieldError(tag, f"must have {size} bytes, has {len(value)}")
        self.items.append(Tlv(tag, value))

    def number(self, tag: int, value: int | None, size: int) -> None:
        """An unsigned big-endian number of ``size`` bytes."""
        if value is None:
            return
        if not 0 <= value < 1 << 8 * size:
            raise FieldError(tag, f"must be a number of {size} bytes")
        self.items.append(Tlv(tag, value.to_bytes(size, "big")))

    def text(self, tag: int, value: str | None, limit: int, *, newlines: int = 0) -> None:
        """UTF-8 of at most ``limit`` bytes, printable but for so many newlines."""
        if value is None:
            return
        encoded = value.encode()
        if len(encoded) > limit or not is_showable(value, newlines):
            raise FieldError(tag, f"must be at most {limit} bytes of printable UTF-8")
        self.items.append(Tlv(tag, encoded))

    def digits(self, tag: int, value: str | None, size: int) -> None:
        """Decimal digits as BCD in ``size`` bytes with leading zeros."""
        if value is None:
            return
        if not (value.isascii() and value.isdecimal() and len(value) <= 2 * size):
            raise FieldError(tag, f"must be at most {2 * size} digits")
        self.items.append(Tlv(tag, bytes.fromhex(value.zfill(2 * size))))

    def template(self, tag: int, children: Iterable[Tlv]) -> None:
        """A template, left out if nothing is in it."""
        parts = tuple(children)
        if parts:
            self.items.append(Tlv.template(tag, parts))


def is_showable(text: str, newlines: int = 0) -> bool:
    """Whether a screen or a log line can take it: printable, with at most so many newlines."""
    return text.count("\n") <= newlines and text.replace("\n", "").isprintable()


def clipped(text: str, limit: int, *, newlines: int = 1) -> str:
    """The text as a field of ``limit`` bytes takes it: cut between characters, no control characters."""
    lines = text.split("\n", newlines)
    clean = "\n".join("".join(c if c.isprintable() else " " for c in line) for line in lines)
    return clean.encode()[:limit].decode(errors="ignore")
