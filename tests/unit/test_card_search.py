"""The search that other tests rely on finds what was planted."""

import base64
from pathlib import Path

import pytest

from tests.card_search import findings, findings_in_files, forms

PAN = "4761739001010119"
ODD = "676700000000004"


@pytest.mark.parametrize("pan", [PAN, ODD])
@pytest.mark.parametrize("before", [b"", b"x", b"xy", b"xyz"])
def test_a_planted_number_is_found_in_base64_at_every_offset(pan: str, before: bytes) -> None:
    for raw in (pan.encode(), bytes.fromhex(pan if len(pan) % 2 == 0 else f"{pan}F")):
        text = base64.b64encode(before + raw + b"tail")
        assert any("in Base64, " in found for found in findings("x", b"{" + text + b"}", [pan]))
        twice = base64.b64encode(b'{"t":"' + text + b'"}')
        assert any("in Base64 twice" in found for found in findings("x", twice, [pan]))


@pytest.mark.parametrize("pan", [PAN, ODD])
def test_every_form_is_found_and_another_number_is_not(pan: str) -> None:
    for name, needle in forms(pan).items():
        assert f"x: {pan[:6]}…{pan[-4:]} as {name}" in findings("x", b"\x00before" + needle + b"after\xff", [pan])
    assert findings("x", b"4111111111111111 and 476173******0119", [pan]) == []


def test_a_number_that_begins_in_the_middle_of_a_byte_is_found() -> None:
    assert findings("x", bytes.fromhex(f"1{PAN}D"), [PAN]) == ["x: 476173…0119 as BCD, shifted half a byte"]


def test_folders_are_searched_and_a_missing_file_is_no_clean_one(tmp_path: Path) -> None:
    log = tmp_path / "below" / "log"
    log.parent.mkdir()
    log.write_text(f"card {PAN}")
    assert findings_in_files([tmp_path], [PAN]) == [f"{log}: 476173…0119 as digits, as BCD in hex too"]
    with pytest.raises(FileNotFoundError):
        findings_in_files([tmp_path / "nothing"], [PAN])
