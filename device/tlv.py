"""BER-TLV as cards, readers and VL1 write it: the one codec.

Source: EMV Book 3 Annex B; ISO/IEC 7816-4 5.2.2 (no indefinite length). The rules beyond them are those of
tlv-samples.md: objects stay in order and may repeat, ``00`` between objects is padding and counted, a tag has
at most four bytes, and ID TECH's marked lengths (links.md part 2) are read only where asked for.

It knows nothing of what a tag means. No error and no repr holds a value: values are card data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, StrEnum
from functools import lru_cache

TAG_BYTES_MAX = 4  # bytes: DFFF8401 and its kin have four (sfey.md 3); longer ones are noise
LENGTH_BYTES_MAX = 4  # bytes: 81 to 84; ISO/IEC 7816-4 has no longer form

RAW_DESPITE_CONSTRUCTED_BIT = frozenset({0xFFEE13, 0xFFEE14, 0xFFEE1F})
"""ID TECH's raw track data and failure record: constructed by their bit, no TLV inside (links.md part 2)."""

_CONSTRUCTED = 0x20
_MORE_TAG_BYTES = 0x1F
_CONTINUES = 0x80


class Form(Enum):
    """How a value stands: as it is, or masked or encrypted by the reader (links.md part 2)."""

    PLAIN = "plain"
    MASKED = "masked"
    ENCRYPTED = "encrypted"


_MARK = {Form.MASKED: 0xA0, Form.ENCRYPTED: 0xC0}


class Reason(StrEnum):
    """What is wrong with the input."""

    TAG_CUT = "the tag is cut"
    TAG_LONG = "the tag is longer than 4 bytes"
    LENGTH_CUT = "the length is missing or cut"
    LENGTH_FORM = "the length octet is not allowed (80 and 85 to FF are not)"
    LENGTH_SIGN = "the 4-byte length has its highest bit set"
    VALUE_CUT = "the length says more than is left"
    DEPTH = "templates are nested too deep"
    COUNT = "too many objects"
    SIZE = "too many bytes"

    @property
    def truncated(self) -> bool:
        """Whether more bytes could have made it good."""
        return self in (Reason.TAG_CUT, Reason.LENGTH_CUT, Reason.VALUE_CUT)


class TlvError(ValueError):
    """The input is not BER-TLV within the limits.

    ``offset`` counts bytes from the start of the outermost input: where the tag begins for a fault of the tag
    or a limit, where the length octets begin for a fault of the length or when the value is cut. ``tag`` is
    what was read of it, None where that is nothing.
    """

    def __init__(self, reason: Reason, offset: int, tag: int | None = None) -> None:
        self.reason = reason
        self.offset = offset
        self.tag = tag
        name = "TLV" if tag is None else f"tag {tag:02X}"
        super().__init__(f"{name} at offset {offset}: {reason.value}")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one input may hold. The defaults fit every protocol spoken here."""

    depth: int = 8  # levels: real cards and readers nest five (a PPSE in E1); recursion must stay bounded
    count: int = 512  # objects: the fullest known answer has 60; a flood of empty ones must stay cheap
    size: int = 4096  # bytes: the most a reader's frame carries (links.md part 2); VL1 carries 1024


LIMITS = Limits()


@dataclass(frozen=True, slots=True, repr=False)
class Tlv:
    """One object. ``children`` is None for a primitive; then ``value`` is all there is.

    A template's ``value`` is its content as it stood, padding included; ``encode`` goes by the children.
    Its repr names tags, lengths and forms, never a value.
    """

    tag: int
    value: bytes = b""
    children: tuple[Tlv, ...] | None = None
    form: Form = Form.PLAIN

    def __repr__(self) -> str:
        inside = "" if self.children is None else f" {{{', '.join(map(repr, self.children))}}}"
        marked = "" if self.form is Form.PLAIN else f" {self.form.value}"
        return f"<Tlv {self.tag:02X}[{len(self.value)}]{marked}{inside}>"

    @classmethod
    def template(cls, tag: int, children: Iterable[Tlv]) -> Tlv:
        """A constructed object with its value filled in, equal to what ``decode`` makes of its encoding."""
        parts = tuple(children)
        return cls(tag, encode(parts), parts)


@dataclass(frozen=True, slots=True)
class Span:
    """Where one object stands: from ``start`` to before ``end``, its value from ``value_at``."""

    tag: int
    start: int
    value_at: int
    end: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """What ``decode_counted`` found; ``padding`` is the number of ``00`` bytes skipped between objects."""

    items: tuple[Tlv, ...]
    padding: int


def decode(data: bytes, *, vendor_lengths: bool = False, limits: Limits = LIMITS) -> tuple[Tlv, ...]:
    """The objects of ``data`` in order. Time and memory are linear in its length. Raises TlvError.

    ``vendor_lengths`` reads a first length octet ``A0+n`` as masked and ``C0+n`` as encrypted.
    """
    return decode_counted(data, vendor_lengths=vendor_lengths, limits=limits).items


def decode_counted(data: bytes, *, vendor_lengths: bool = False, limits: Limits = LIMITS) -> Decoded:
    """As ``decode``, with the padding counted."""
    if len(data) > limits.size:
        raise TlvError(Reason.SIZE, limits.size)
    reader = _Reader(bytes(data), vendor_lengths, limits)
    items = reader.objects(0, len(data), 1)
    return Decoded(items, reader.padding)


def spans(data: bytes, *, vendor_lengths: bool = False, limits: Limits = LIMITS) -> Iterator[Span]:
    """The outermost objects one by one, without a look inside them. Raises TlvError where it goes wrong.

    So what stands before a fault, or around a damaged template, can still be told apart.
    """
    if len(data) > limits.size:
        raise TlvError(Reason.SIZE, limits.size)
    reader = _Reader(bytes(data), vendor_lengths, limits)
    at = 0
    while (at := reader.skip_padding(at, len(data))) < len(data):
        tag, _, value_at, end = reader.head(at, len(data), 1)
        yield Span(tag, at, value_at, end)
        at = end


def encode(items: Iterable[Tlv], *, vendor_lengths: bool = False) -> bytes:
    """The objects in order with the shortest lengths.

    Raises ValueError for a tag that is none, children under a primitive tag, and, unless ``vendor_lengths``,
    a form other than plain: whoever reads the result would not know it from clear data.
    """
    return b"".join(_encode_one(item, vendor_lengths) for item in items)


def find(items: Iterable[Tlv], tag: int) -> Tlv | None:
    """The first object with that tag at this level, or None."""
    return next((item for item in items if item.tag == tag), None)


def walk(items: Iterable[Tlv]) -> Iterator[Tlv]:
    """Every object, a template before its children, in the order of the bytes."""
    for item in items:
        yield item
        if item.children:
            yield from walk(item.children)


def is_constructed(tag: int) -> bool:
    """Whether the tag's value is read as a template."""
    return bool(tag_bytes(tag)[0] & _CONSTRUCTED) and tag not in RAW_DESPITE_CONSTRUCTED_BIT


@lru_cache(maxsize=1024)  # tags, of which a field knows some hundreds: a tap is encoded several times
def tag_bytes(tag: int) -> bytes:
    """The tag as it stands on the wire. Raises ValueError if it is no tag of one to four bytes."""
    if not 0 < tag < 1 << 8 * TAG_BYTES_MAX:
        raise ValueError(f"{tag:X} is not a tag: 1 to {TAG_BYTES_MAX} bytes, not 00")
    raw = tag.to_bytes((tag.bit_length() + 7) // 8, "big")
    wanted = [True] * (len(raw) - 1) + [False]  # whether another byte follows, byte by byte
    follows = [raw[0] & _MORE_TAG_BYTES == _MORE_TAG_BYTES, *(bool(octet & _CONTINUES) for octet in raw[1:])]
    if follows != wanted:
        raise ValueError(f"{tag:X} is not a tag: its continuation bits contradict its length")
    return raw


class _Reader:
    """One pass over one input; it holds the counts that the limits apply to."""

    def __init__(self, data: bytes, vendor_lengths: bool, limits: Limits) -> None:
        self._data = data
        self._vendor = vendor_lengths
        self._limits = limits
        self._count = 0
        self.padding = 0

    def objects(self, start: int, end: int, depth: int) -> tuple[Tlv, ...]:
        items = []
        at = start
        while (at := self.skip_padding(at, end)) < end:
            tag, form, value_at, after = self.head(at, end, depth)
            children = None
            if self._data[at] & _CONSTRUCTED and form is Form.PLAIN and tag not in RAW_DESPITE_CONSTRUCTED_BIT:
                children = self.objects(value_at, after, depth + 1)
            items.append(Tlv(tag, self._data[value_at:after], children, form))
            at = after
        return tuple(items)

    def skip_padding(self, at: int, end: int) -> int:
        while at < end and self._data[at] == 0:
            self.padding += 1
            at += 1
        return at

    def head(self, at: int, end: int, depth: int) -> tuple[int, Form, int, int]:
        """Tag, form, where the value begins and where the object ends."""
        tag, length_at = self._tag(at, end)
        self._count += 1
        if self._count > self._limits.count:
            raise TlvError(Reason.COUNT, at, tag)
        if depth > self._limits.depth:
            raise TlvError(Reason.DEPTH, at, tag)
        form, length, value_at = self._length(tag, length_at, end)
        if value_at + length > end:
            raise TlvError(Reason.VALUE_CUT, length_at, tag)
        return tag, form, value_at, value_at + length

    def _tag(self, at: int, end: int) -> tuple[int, int]:
        tag = self._data[at]
        after = at + 1
        if tag & _MORE_TAG_BYTES != _MORE_TAG_BYTES:
            return tag, after
        while True:
            if after - at == TAG_BYTES_MAX:
                raise TlvError(Reason.TAG_LONG, at, tag)
            if after == end:
                raise TlvError(Reason.TAG_CUT, at, tag)
            octet = self._data[after]
            tag = tag << 8 | octet
            after += 1
            if not octet & _CONTINUES:
                return tag, after

    def _length(self, tag: int, at: int, end: int) -> tuple[Form, int, int]:
        if at == end:
            raise TlvError(Reason.LENGTH_CUT, at, tag)
        first = self._data[at]
        if first < _CONTINUES:
            return Form.PLAIN, first, at + 1
        form, octets = self._long_form(first)
        if not 1 <= octets <= LENGTH_BYTES_MAX:
            raise TlvError(Reason.LENGTH_FORM, at, tag)
        value_at = at + 1 + octets
        if value_at > end:
            raise TlvError(Reason.LENGTH_CUT, at, tag)
        length = int.from_bytes(self._data[at + 1 : value_at], "big")
        if length >> 31:
            raise TlvError(Reason.LENGTH_SIGN, at, tag)
        return form, length, value_at

    def _long_form(self, first: int) -> tuple[Form, int]:
        """The form and the number of length octets; a number out of range means: not allowed."""
        if self._vendor:
            for form, mark in _MARK.items():
                if mark < first <= mark + LENGTH_BYTES_MAX:
                    return form, first - mark
        return Form.PLAIN, first - _CONTINUES


def _encode_one(item: Tlv, vendor_lengths: bool) -> bytes:
    tag = tag_bytes(item.tag)
    if item.form is not Form.PLAIN and not vendor_lengths:
        raise ValueError(f"tag {item.tag:02X} is {item.form.value}: only marked lengths can say so")
    if item.children is None:
        return tag + _encode_length(len(item.value), item.form) + item.value
    if not is_constructed(item.tag) or item.form is not Form.PLAIN:
        raise ValueError(f"tag {item.tag:02X} cannot hold other objects")
    content = encode(item.children, vendor_lengths=vendor_lengths)
    return tag + _encode_length(len(content), item.form) + content


def _encode_length(length: int, form: Form) -> bytes:
    if form is Form.PLAIN and length < _CONTINUES:
        return bytes((length,))
    octets = max(1, (length.bit_length() + 7) // 8)
    return bytes((_MARK.get(form, _CONTINUES) + octets,)) + length.to_bytes(octets, "big")
