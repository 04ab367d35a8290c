"""The simulated validator's test cards and its memory of taps."""

from __future__ import annotations

import random

import pytest

from device.tlv import encode, find
from device.vl1 import tap_memory
from device.vl1.cards import CARDS, CLEAR_CARD_DATA, EXPIRED, MODE, SimulatedCard, read
from device.vl1.limits import PAYLOAD_MAX
from device.vl1.messages import TapMessage, TapNumber
from device.vl1.tap_memory import MemoryFullError, StoredTap, TapMemory

TAPPED_AT = 1_790_000_000_000_000  # 2026-09-21 14:13:20 UTC
MASS_TRANSIT = (
    *(0x9A, 0x9C, 0x5F2A, 0x9F1A, 0x9F02, 0x9F03, 0x9F36, 0x82, 0x84, 0x95),
    *(0x9F10, 0x9F26, 0x9F33, 0x9F37, 0x9F27, 0x9F34, 0x5F34, 0x57, 0x5A, 0x5F24),
)


def luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (1 + place % 2)
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


class TestCards:
    @pytest.mark.parametrize("card", [*CARDS, EXPIRED], ids=lambda card: card.name)
    def test_each_reads_as_a_whole_tap(self, card: SimulatedCard) -> None:
        assert luhn(card.pan)
        tlvs = read(card, random.Random(1), amount=250, currency="978", tapped_at=TAPPED_AT, counter=42)
        assert [item.tag for item in tlvs] == [MODE, CLEAR_CARD_DATA]
        assert tlvs[0].value == b"\x00"
        inside = tlvs[1].children
        assert inside is not None
        assert {item.tag for item in inside} == set(MASS_TRANSIT)
        values = {item.tag: item.value.hex().upper() for item in inside}
        assert values[0x57].startswith(f"{card.pan}D{card.expiry}201")
        assert values[0x5A].rstrip("F") == card.pan
        assert values[0x5F24] == card.expiry + "31"
        assert values[0x9A] == "260921"
        assert values[0x9F02] == "000000000250"
        assert values[0x5F2A] == "0978"
        assert values[0x9F36] == "002A"
        assert values[0x84] == card.aid
        message = TapMessage(TapNumber(1, 1), TAPPED_AT, card=tlvs)
        assert len(message.encode()) < PAYLOAD_MAX // 2
        assert card.pan not in repr(card) + repr(tlvs) + repr(message)

    def test_no_two_taps_are_alike(self) -> None:
        rng = random.Random(1)
        taps = {
            encode(read(CARDS[0], rng, amount=250, currency="978", tapped_at=TAPPED_AT, counter=n)) for n in range(50)
        }
        assert len(taps) == 50

    def test_expiry_is_the_last_day_of_its_month(self) -> None:
        card = SimulatedCard("leap", "4761739001010119", "A0000000031010", expiry="2802")
        assert card.expiry_date.hex() == "280229"

    def test_only_the_expired_one_is_expired(self) -> None:
        assert {card.expiry for card in CARDS} == {"3112"}
        assert EXPIRED.expiry == "2212"
        (_, clear) = read(EXPIRED, random.Random(1), amount=1, currency="978", tapped_at=0, counter=1)
        date = find(clear.children or (), 0x5F24)
        assert date is not None
        assert date.value.hex() == "221231"


def tap(counter: int, *, live: bool = False) -> StoredTap:
    return StoredTap(TapNumber(1, counter), b"\x01", made_at=0.0, live=live)


class TestMemory:
    def test_live_first_then_due_repeats_then_stored(self) -> None:
        memory = TapMemory(tap(n) for n in range(3))
        first = memory.next_to_send(0.0)
        assert first is not None
        assert first.number == TapNumber(1, 0)
        memory.sent(first, 0.0)
        assert memory.next_to_send(1.9) is None
        live = tap(3, live=True)
        memory.add(live)
        assert memory.next_to_send(5.0) is live
        memory.sent(live, 5.0)
        assert memory.next_to_send(5.0) is first
        memory.sent(first, 5.0)
        assert memory.next_to_send(5.0) is None
        memory.answered(first)
        second = memory.next_to_send(5.0)
        assert second is not None
        assert second.number == TapNumber(1, 1)

    def test_a_tap_answered_before_its_turn_is_passed_over(self) -> None:
        memory = TapMemory(tap(n) for n in range(4))
        for counter in (1, 2):
            early = memory.get(TapNumber(1, counter))
            assert early is not None
            memory.answered(early)
        first = memory.next_to_send(0.0)
        assert first is not None
        memory.sent(first, 0.0)
        memory.answered(first)
        last = memory.next_to_send(0.0)
        assert last is not None
        assert last.number == TapNumber(1, 3)

    def test_it_is_bounded(self) -> None:
        memory = TapMemory(tap(n) for n in range(tap_memory.TAPS_MAX))
        with pytest.raises(MemoryFullError):
            memory.add(tap(tap_memory.TAPS_MAX))
        assert len(memory) == tap_memory.TAPS_MAX

    def test_one_number_is_one_tap(self) -> None:
        memory = TapMemory([tap(1)])
        with pytest.raises(ValueError, match="1/1 waits"):
            memory.add(tap(1))
