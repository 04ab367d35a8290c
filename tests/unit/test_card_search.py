"""The search that other tests rely on finds what was planted."""

import base64
from pathlib import Path

import pytest

from tests.card_search import forms_of, search, search_files

PAN = "4761739001010119"
ODD = "6759649826438453"[:15]


@pytest.mark.parametrize("pan", [PAN, ODD])
@pytest.mark.parametrize("before", [b"", b"x", b"xy", b"xyz"])
def test_a_planted_number_is_found_in_base64_at_every_offset(pan: str, before: bytes) -> None:
    for raw in (pan.encode(), bytes.fromhex(pan if len(pan) % 2 == 0 else f"{pan}F")):
        text = base64.b64encode(before + raw + b"tail")
        assert any("base64" in form for form in search(b"{" + text + b"}", pan))
        assert any("base64 of base64" in form for form in search(base64.b64encode(b'{"t":"' + text + b'"}'), pan))


@pytest.mark.parametrize("pan", [PAN, ODD])
def test_every_form_is_found_and_another_number_is_not(pan: str) -> None:
    for name, needle in forms_of(pan).items():
        assert name in search(b"\x00before" + needle + b"after\xff", pan)
    assert search(b"4111111111111111 and 476173******0119", pan) == []


def test_a_number_inside_track_2_at_an_odd_nibble_is_found() -> None:
    assert "packed, odd" in search(bytes.fromhex(f"1{PAN}D"), PAN)


def test_folders_are_searched_and_a_missing_file_is_no_clean_one(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "log").write_text(f"card {PAN}")
    assert search_files([tmp_path], [PAN]) == [f"{tmp_path / 'below' / 'log'}: ascii"]
    with pytest.raises(FileNotFoundError):
        search_files([tmp_path / "nothing"], [PAN])

