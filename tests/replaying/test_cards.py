"""A stand-in card decides what the card decided: from a report to its line and back, everything that counts stays."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from device.tlv import Tlv
from schemas.taplog import LINE
from tests.card_search import findings
from tests.intake_taps import ENCRYPTED, LANE, NOW, VISA, card, report, setting
from tests.taplog.test_recorder import UUID_1
from tpsd.core.candidate import Candidate, CardKeys, Decision, LanePolicy, Setting
from tpsd.core.intake import prepare
from tpsd.domain.tap import Oda, Shown
from tpsd.emv.tapdata import Ttk
from tpsd.ports import Taken
from tpsd.replay.cards import report_of
from tpsd.replay.recorded import RecordedUuids
from tpsd.sfey.messages import transaction
from tpsd.sfey.wire import DEVICE_V1
from tpsd.taplog.guard import masked
from tpsd.taplog.lines import outline_of, tap

OUTLINE = outline_of(DEVICE_V1.fields["tag"])
STAMP = {"v": 1, "life": "x", "n": 1, "at": "2026-11-23T08:15:30.000000Z", "wall": "2026-11-23T08:15:30.000000Z"}


def under(**changes: Any) -> Setting:
    return setting(serialise=lambda request: transaction(DEVICE_V1, request), **changes)


def there_and_back(
    given: Setting, again: Setting, lane: LanePolicy = LANE, **fields: Any
) -> tuple[Candidate, Candidate]:
    """Prepared as it came, and as the log has it."""
    before = replace(prepare(report(**fields), lane, given, UUID_1), digest=bytes(range(32)))
    line = masked(
        tap(before, Taken(1, before.local, True, decision=Decision(before.local)), OUTLINE, can_take_pin=False)
    )
    text = json.dumps({**STAMP, "mono": 1.0, **line})
    LINE.validate_json(text)
    assert findings("the line", text.encode(), [VISA]) == []
    return before, prepare(report_of(json.loads(text)), lane, again, UUID_1)


FIELDS: dict[str, dict[str, Any]] = {
    "clear": {},
    "expired": {"card": card("2610")},
    "in its last month": {"card": card("2611")},
    "of the next century but for the table": {"card": card("9912")},
    "expiry that is none": {"card": card("9999")},
    "no mode around it": {"card": (Tlv(0x57, bytes.fromhex(f"{VISA}D31122011758928889")),)},
    "no number in it": {"card": (Tlv(0xDFFF8401, b"\x00"), Tlv.template(0xFFFF8406, (Tlv(0x57, b"\x12"),)))},
    "encrypted": {"card": ENCRYPTED},
    "mode 03": {"card": (Tlv(0xDFFF8401, b"\x03"), *ENCRYPTED[1:])},
    "mode 02": {
        "card": (
            Tlv(0xDFFF8401, b"\x02"),
            Tlv(0xDFFF8402, b"\x01"),
            Tlv(0xDFFF8403, b"\x01"),
            Tlv(0xDFFF8405, bytes(16)),
        )
    },
    "encrypted, lacking": {"card": ENCRYPTED[:2]},
    "mode unknown": {"card": (Tlv(0xDFFF8401, b"\x07"),)},
    "nothing": {"card": ()},
    "not understood": {"card": (), "fault": "no serial"},
    "oda failed": {"oda": Oda.FAILED},
    "let in": {"shown": Shown.LET_IN, "card": card("2610")},
    "its own token": {"card": ENCRYPTED, "token": "ab" * 32},
    "amount and stop": {"amount": 900, "currency": "978", "stop": "harbour", "where": (("route", "17"),)},
    "another currency": {"amount": 900, "currency": "840"},
    "unnamed": {"boot": None, "counter": None},
    "a kind that is none": {"kind": 0x63},
}


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("production", [False, True])
def test_it_decides_the_same(name: str, production: bool) -> None:
    given, again = under(production=production), under(production=production, keys=CardKeys())
    before, after = there_and_back(given, again, **FIELDS[name])
    for field in ("local", "kind", "amount", "currency", "token", "masked", "tapped_at", "terminal", "zone"):
        assert getattr(after, field) == getattr(before, field), field
    assert (after.draft is None) == (before.draft is None)
    if before.draft is not None and after.draft is not None:
        assert OUTLINE(after.draft.body or b"")[0] == OUTLINE(before.draft.body or b"")[0]


def test_a_key_that_was_there_is_there_again() -> None:
    """In production clear card data goes only where a TTK encrypts it; which one is no matter."""
    ttk = Ttk("01", bytes(16))
    given = under(production=True, keys=CardKeys(bytes(32), Ttk("77", bytes(range(16)))))
    before, after = there_and_back(given, under(production=True, keys=CardKeys(None, ttk)))
    assert before.local.reason == after.local.reason == "ok"
    assert (before.draft is not None, after.draft is not None) == (True, True)


def test_a_realtime_tap_that_was_too_old_is_again() -> None:
    lane = replace(LANE, realtime=True)
    for age in (None, 1, 10_000, 10_001):
        before, after = there_and_back(under(), under(keys=CardKeys()), lane, age_ms=age)
        assert before.local == after.local


def test_what_a_tap_is_called_where_it_was_never_sent() -> None:
    """By its own name and content: twice the same, and never that of another."""

    class Nothing:
        followers: dict[tuple[str, str], list[str]] = {}  # noqa: RUF012
        rebuilt: dict[str, list[str]] = {}  # noqa: RUF012

    uuids = RecordedUuids(Nothing())  # type: ignore[arg-type]
    first, second = report(received_at=NOW), report(counter=18)
    assert uuids.of_tap(first) == uuids.of_tap(first) != uuids.of_tap(second)
    assert uuids.of_tap(report(fingerprint=b"other")) != uuids.of_tap(first)
    uuids.next = UUID_1
    assert uuids.of_tap(second) == UUID_1
