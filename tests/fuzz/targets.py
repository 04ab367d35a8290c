"""What is fuzzed: each target is a function of bytes that raises only where a contract is broken.

The exceptions that a contract declares are caught here; what must hold of every input is asserted here or, where
tests/property says it already, asked there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar
from uuid import UUID

from device.vl1.limits import ENCODED_MAX, PAYLOAD_MAX
from device.vl1.messages import (
    Message,
    MessageError,
    TapMessage,
    decode_message,
    read_tap_number,
    stable_payload,
)
from tests.property import test_answers, test_tlv_properties, test_vl1_decoder_properties
from tests.store.builders import LANE, SALT, report
from tpsd.config import config_digest, effective, load, warnings
from tpsd.core import enquiry
from tpsd.core.intake import CardKeys, Operator, Setting, prepare
from tpsd.core.outcomes import classify
from tpsd.core.retry import DEFAULT_LADDER
from tpsd.domain.outcome import Approved, Declined
from tpsd.errors import ConfigError
from tpsd.sfey.client import ANSWER_BYTES_MAX
from tpsd.sfey.messages import read_answer, transaction
from tpsd.sfey.wire import DEVICE_V1

CORPUS: Final = Path(__file__).parent / "corpus"
CONFIG_BYTES: Final = 16_384  # bytes: 50 lanes; the standard parser of TOML takes quadratic time for dotted keys
CAUSE: Final = re.compile(r"[a-z]+(\.[a-z0-9]+)?")

A = TypeVar("A")
T = TypeVar("T")
E = TypeVar("E", bound=Exception)

_STATUS: Final = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2})\b")


@dataclass(frozen=True, slots=True)
class Target:
    """``run`` raises where a contract is broken. ``limit``: the most bytes that reach it in service."""

    run: Callable[[bytes], None]
    limit: int


def corpus(name: str) -> dict[str, bytes]:
    """The kept inputs of a target by their files' names."""
    return {path.name: path.read_bytes() for path in sorted((CORPUS / name).iterdir())}


def decoder(data: bytes) -> None:
    """VL1's frames, wherever the stream is cut."""
    _oracle(test_vl1_decoder_properties.test_cutting_the_stream_changes_nothing)(data, [len(data) // 3, len(data) // 2])
    _oracle(test_vl1_decoder_properties.test_every_byte_is_a_frame_garbage_a_zero_or_still_held)(data)


def tlv(data: bytes) -> None:
    """BER-TLV, with and without marked lengths."""
    for vendor in (False, True):
        _oracle(test_tlv_properties.test_any_bytes_give_objects_within_the_limits_or_an_offset)(data, vendor)


def message(data: bytes) -> None:
    """The payload of a DATA frame, and what intake makes of a TAP."""
    found = _caught(decode_message, data, MessageError)
    if isinstance(found, MessageError):
        assert found.tap is None or found.tap == read_tap_number(data)
        return
    again = decode_message(found.encode())
    assert decode_message(again.encode()) == again
    assert _without_card(again) == _without_card(found), "only padding between the card's objects may go"
    assert stable_payload(stable_payload(data)) == stable_payload(data)
    if isinstance(found, TapMessage):
        assert read_tap_number(data) == found.tap
        prepare(report(card=found.card, payload=data), LANE, _SETTING, UUID(int=1))


def answer(data: bytes) -> None:
    """An HTTP answer of TPS, status line, headers and body, as far as it is well-formed."""
    http, headers, body = _http(data)
    _oracle(test_answers.test_reading_never_raises)(http, headers, body)
    seen = read_answer(http, headers, body)
    outcome = classify(seen)
    assert CAUSE.fullmatch(outcome.cause), outcome.cause
    assert enquiry.read(seen).outcome == outcome
    if isinstance(outcome, Approved | Declined):
        assert isinstance(json.loads(body.decode("utf-8-sig")), dict), "money is decided by what can be read only"
        assert seen.readable
    if isinstance(outcome, Approved):
        assert http // 100 == 2
        assert seen.approved is not False


def configuration(data: bytes) -> None:
    """The configuration's file."""
    path = Path(_folder().name) / "tpsd.toml"
    path.write_bytes(data)
    config = _caught(load, path, ConfigError)
    if isinstance(config, ConfigError):
        assert str(path) in str(config)
        return
    json.dumps(effective(config))
    assert len(config_digest(config)) == 16
    for problem in warnings(config):
        assert str(problem)


TARGETS: Final[Mapping[str, Target]] = {
    "decoder": Target(decoder, 4 * ENCODED_MAX),
    "tlv": Target(tlv, 4096),
    "message": Target(message, PAYLOAD_MAX),
    "answer": Target(answer, ANSWER_BYTES_MAX),
    "configuration": Target(configuration, CONFIG_BYTES),
}

_SETTING: Final = Setting(
    operator=Operator(1001, 42, "978"),
    keys=CardKeys(SALT),
    ladder=DEFAULT_LADDER,
    production=False,
    config_digest="c0ffee",
    serialise=lambda request: transaction(DEVICE_V1, request),
    digest=lambda content: bytes(32),
)


def _caught(call: Callable[[A], T], given: A, declared: type[E]) -> T | E:
    try:
        return call(given)
    except declared as exc:
        return exc


def _without_card(found: Message) -> Message:
    return replace(found, card=()) if isinstance(found, TapMessage) else found


def _http(data: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    status = _STATUS.match(first)
    fields = (line.decode("latin-1").partition(":") for line in lines)
    return int(status[1]) if status else 200, {name: value.strip() for name, _, value in fields}, body


@cache
def _folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="tpsd-fuzz-")


def _oracle(test: Any) -> Callable[..., None]:
    """What a property test asserts of one input."""
    inner: Callable[..., None] = test.hypothesis.inner_test
    return inner
