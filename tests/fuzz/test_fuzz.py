"""Kept inputs in every run, inputs made of them, and inputs made of parts: only declared exceptions come out.

The same examples in every run; ``python -m tests.fuzz TARGET`` looks for others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.tlv import Tlv, TlvError, decode, encode
from device.vl1.decoder import Decoder
from device.vl1.frames import Frame
from schemas.config import Configuration, section_of
from tests import configurations
from tests.fuzz.mutations import mutated
from tests.fuzz.targets import CORPUS, TARGETS, corpus
from tests.log_guard import KNOWN
from tests.property.test_tlv_properties import objects
from tpsd.domain.card import Pan
from tpsd.emv.reading import read_card

FILE_BYTES_MAX = 8192
DIGITS = re.compile(rb"(?<![0-9])[3-6][0-9]{12,18}(?![0-9])")

same_each_run = settings(derandomize=True, database=None, deadline=None, max_examples=150)


KEPT = [pytest.param(name, data, id=f"{name}-{file}") for name in TARGETS for file, data in corpus(name).items()]


@pytest.mark.parametrize(("name", "data"), KEPT)
def test_a_kept_input(name: str, data: bytes) -> None:
    TARGETS[name].run(data)


@pytest.mark.parametrize("name", TARGETS)
@same_each_run
@given(data=st.data())
def test_inputs_made_of_the_kept_ones(name: str, data: st.DataObject) -> None:
    TARGETS[name].run(data.draw(mutated(list(corpus(name).values()), TARGETS[name].limit)))


OWN_TAGS = (*range(0xDF8A01, 0xDF8A15), 0xFF8A10, *range(0xDF8A21, 0xDF8A28), *range(0xDF8A31, 0xDF8A45))
CARD_TAGS = (0x57, 0x5A, 0x5F24, 0x9F36, 0xDFFF8401, 0xDFFF8405, 0xDFFF8407)
WIDTHS = st.sampled_from([0, 1, 2, 4, 7, 8, 9, 32])
fields = st.builds(
    Tlv,
    st.sampled_from([tag for tag in OWN_TAGS if tag != 0xFF8A10] + list(CARD_TAGS)),
    WIDTHS.flatmap(lambda size: st.binary(min_size=size, max_size=size))
    | st.text(max_size=33).map(str.encode)
    | st.integers(0, 255).map(lambda number: bytes((number,))),
)
wheres = st.lists(fields, max_size=4).map(lambda inner: Tlv.template(0xFF8A10, inner))
TAP_ID = encode([Tlv(0xDF8A01, bytes((0, 0, 0, 3, 0, 0, 0, 17)))])


@same_each_run
@given(
    number=st.integers(0, 6),
    named=st.booleans(),
    items=st.lists(fields | wheres | objects(marked=False), max_size=10),
)
def test_messages_made_of_fields(number: int, named: bool, items: list[Tlv]) -> None:
    TARGETS["message"].run(bytes((number,)) + (TAP_ID if named else b"") + encode(items))


HEADERS = st.dictionaries(
    st.sampled_from(["Retry-After", "Date", "Content-Type"]),
    st.sampled_from(["120", "-1", "Mon, 23 Nov 2026 08:15:30 GMT", "Mon, 23 Nov 2026 08:15:30", "9" * 400, ""])
    | st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=30),
)
RESULTS = st.fixed_dictionaries(
    {},
    optional={
        "approved": st.sampled_from(["true", "false", "null", '"true"', "1"]),
        "actionCode": st.sampled_from(['"000"', '"002"', '"116"', '"911"', "0", "116", '"9999"', "null"]),
        "amount": st.sampled_from(["125", "-1", "1e3", "9" * 25, '"1"']),
    },
)


@same_each_run
@given(
    http=st.integers(100, 599),
    headers=HEADERS,
    result=RESULTS,
    again=RESULTS,
    system=st.none() | st.sampled_from(["60", "41", "303", '"27"', "-1", "9" * 25]),
)
def test_answers_made_of_fields(
    http: int, headers: dict[str, str], result: dict[str, str], again: dict[str, str], system: str | None
) -> None:
    """Each field may stand twice."""
    inner = ",".join(f'"{name}":{value}' for part in (result, again) for name, value in part.items())
    outer = f'"transactionResultData":{{{inner}}}' + ("" if system is None else f',"systemCode":{system}')
    lines = [f"HTTP/1.1 {http} x", *(f"{name}: {value}" for name, value in headers.items())]
    TARGETS["answer"].run("\r\n".join(lines).encode("latin-1") + f"\r\n\r\n{{{outer}}}".encode())


SCALARS = (
    st.sampled_from(["", "x", "/", "a\0b", "sqlite:///x", "https://h", "socket://h:1", "1" * 40, "smtp://h", "[::1]:9"])
    | st.text(max_size=8)
    | st.integers(-1, 10**6)
    | st.booleans()
)
NAMES = st.sampled_from(["name", "tries", "every_minutes", "field.tag", "field"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=2), max_leaves=4
)
KEYS = [
    (name, key)
    for name in Configuration.model_fields
    if (section := section_of(Configuration, name)) is not None
    for key in (*section.model_fields, "colour")
]


@same_each_run
@given(changes=st.lists(st.tuples(st.sampled_from(KEYS), VALUES), max_size=4))
def test_configurations_with_other_values(changes: list[tuple[tuple[str, str], Any]]) -> None:
    with TemporaryDirectory() as folder:
        given_values = configurations.values(Path(folder))
        for (section, key), value in changes:
            place = given_values["lanes"][0] if section == "lanes" else given_values.setdefault(section, {})
            place[key] = value
        TARGETS["configuration"].run(configurations.write(Path(folder), given_values).read_bytes())


def test_each_target_has_its_corpus() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_kept_inputs_are_small_and_hold_only_test_cards(name: str) -> None:
    known = {Pan(number).masked for number in KNOWN}
    for file, data in corpus(name).items():
        assert len(data) <= FILE_BYTES_MAX, file
        written = [Pan(text.decode()).masked for text in DIGITS.findall(data)]
        read = [read_card(items).masked for items in _objects(name, data)]
        assert {masked for masked in written + read if masked is not None} <= known, file


def _objects(name: str, data: bytes) -> Iterator[tuple[Tlv, ...]]:
    """What of a kept input can be read as TLVs."""
    payloads = {"tlv": [data], "message": [data[1:]]}.get(name, [])
    if name == "decoder":
        payloads = [item.payload[1:] for item in Decoder().feed(data) if isinstance(item, Frame)]
    for payload in payloads:
        with suppress(TlvError):
            yield decode(payload)
