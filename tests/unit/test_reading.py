"""What a card's TLVs say: PAN, expiry, track 2 and the token."""

import pytest

from device.tlv import Tlv, decode
from tests.golden.tlv_samples import S10, S17
from tpsd.domain.card import CardReading, Expiry, Pan
from tpsd.emv.reading import card_token, read_card

VISA = "4761739001010119"
MASTERCARD = "5413330089010012"


def reading(*items: tuple[int, str]) -> CardReading:
    return read_card(tuple(Tlv(tag, bytes.fromhex(value)) for tag, value in items))


def pan_of(card: CardReading) -> str | None:
    return None if card.pan is None else card.pan.reveal()


def test_sample_s10_with_f_nibbles_inside_and_one_pad_at_the_end() -> None:
    card = read_card(decode(S10))
    assert card.track2 is not None
    assert card.track2.reveal() == "4999999999999999D15092FFFFFFFFFFFFFF0"
    assert (pan_of(card), card.expiry, card.masked) == ("4999999999999999", Expiry(2015, 9), "499999******9999")


def test_sample_s17_without_a_pad() -> None:
    card = read_card(decode(S17))
    assert card.track2 is not None
    assert card.track2.reveal() == "4761739001010119D22122011758928889"
    assert (pan_of(card), card.expiry, card.masked) == (VISA, Expiry(2022, 12), "476173******0119")


@pytest.mark.parametrize(
    ("value", "pan"),
    [
        (VISA, VISA),
        ("676700000000004F", "676700000000004"),
        ("6759649826438453FFFF", "6759649826438453"),
        ("6799990100000000019F", "6799990100000000019"),
        ("FFFFFFFFFFFFFFFF", None),
        ("", None),
        ("47617390F1010119", None),
        ("5413CCCCCCCC1513", None),
        ("12345678901F", None),
        ("00000000000000000000", None),
    ],
)
def test_the_pan_of_5a(value: str, pan: str | None) -> None:
    assert pan_of(reading((0x5A, value))) == pan


@pytest.mark.parametrize(
    ("value", "pan", "expiry"),
    [
        (f"{VISA}D2812", VISA, Expiry(2028, 12)),
        (f"{VISA}D2812F", VISA, Expiry(2028, 12)),
        (f"{VISA}D28122011758928889", VISA, Expiry(2028, 12)),
        (f"{VISA}D2813", VISA, None),
        (f"{VISA}D2800", VISA, None),
        (f"{VISA}D28", VISA, None),
        (f"{VISA}D28F2", VISA, None),
        (f"{VISA}D", VISA, None),
        (f"{VISA}", VISA, None),
        (f"D2812{VISA}", None, Expiry(2028, 12)),
        ("5413CCCCCCCC1513D2012CCCCCCCCCCCCCCC", None, Expiry(2020, 12)),
        ("F", None, None),
    ],
)
def test_track_2(value: str, pan: str | None, expiry: Expiry | None) -> None:
    padded = value if len(value) % 2 == 0 else f"{value}F"
    card = reading((0x57, padded))
    assert (pan_of(card), card.expiry) == (pan, expiry)
    assert (card.masked is None) == (pan is None)


def test_the_named_tags_win_over_track_2() -> None:
    card = reading((0x57, f"{VISA}D2812F"), (0x5A, MASTERCARD), (0x5F24, "301130"))
    assert (pan_of(card), card.expiry) == (MASTERCARD, Expiry(2030, 11))


def test_a_damaged_named_tag_falls_back_to_track_2() -> None:
    card = reading((0x5A, "5413CCCCCCCC1513"), (0x5F24, "209901"), (0x57, f"{VISA}D2812F"))
    assert (pan_of(card), card.expiry) == (VISA, Expiry(2028, 12))


@pytest.mark.parametrize("value", ["", "28", "2813", "2800", "FFFF", "28A1"])
def test_a_damaged_expiry_is_none(value: str) -> None:
    assert reading((0x5F24, value)).expiry is None


def test_templates_are_searched_and_the_first_one_found_counts() -> None:
    inner = Tlv.template(0x70, (Tlv(0x5A, bytes.fromhex(VISA)),))
    card = read_card((Tlv.template(0x77, (inner,)), Tlv(0x5A, bytes.fromhex(MASTERCARD))))
    assert pan_of(card) == VISA


def test_nothing_is_read_of_nothing() -> None:
    assert read_card(()) == CardReading()
    assert reading((0x9F26, "E120C07356EA3DD8")) == CardReading()


@pytest.mark.parametrize(
    ("expiry", "year", "month", "past"),
    [
        (Expiry(2028, 12), 2028, 12, False),
        (Expiry(2028, 12), 2029, 1, True),
        (Expiry(2028, 1), 2028, 2, True),
        (Expiry(2028, 2), 2028, 1, False),
        (Expiry(2028, 12), 2027, 12, False),
        (Expiry(2099, 12), 2099, 12, False),
    ],
)
def test_a_card_is_good_to_the_end_of_its_month(expiry: Expiry, year: int, month: int, past: bool) -> None:
    assert expiry.is_past(year, month) is past


def test_the_token_of_sfey() -> None:
    # sfey.md 5
    token = card_token(bytes(range(32)), Pan("4111111111111111"))
    assert token == "0622241201382a45912fb22828b3f7db5153cf2072722a73ded22623ea79abc9"


def test_a_token_depends_on_key_and_number() -> None:
    tokens = {card_token(key, Pan(pan)) for key in (bytes(32), bytes(range(32))) for pan in (VISA, MASTERCARD)}
    assert len(tokens) == 4
