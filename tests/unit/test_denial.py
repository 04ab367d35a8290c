"""Reading tokens: what is one, and what is refused without being repeated."""

from __future__ import annotations

import pytest

from tpsd.domain.denial import NoToken, is_source, read_token

PAN = "4761739001010119"


@pytest.mark.parametrize("text", ["0a" * 32, "0A" * 32, "  " + "0a" * 32 + "\r\n"])
def test_a_token(text: str) -> None:
    assert read_token(text) == b"\x0a" * 32


@pytest.mark.parametrize("text", [PAN, f" {PAN}\n", "4761 7390 0101 0119", "4761-7390-0101-0119", "378282246310005"])
def test_a_card_number_is_told_what_it_is_and_not_repeated(text: str) -> None:
    refused = read_token(text)
    assert isinstance(refused, NoToken)
    assert "looks like a card number" in refused.what
    assert not any(character.isdigit() for character in refused.what)


@pytest.mark.parametrize("text", ["", "0a" * 31, "0a" * 33, "0g" * 32, "٠" * 64, "0a" * 31 + " 0a", "token", "1" * 20])
def test_anything_else_is_none(text: str) -> None:
    refused = read_token(text)
    assert isinstance(refused, NoToken)
    assert "64 hex digits" in refused.what


def test_sources() -> None:
    assert all(map(is_source, ("file", "feed-2", "a_b", "x" * 32)))
    assert not any(map(is_source, ("", "File", "x" * 33, "a b", "ä", "a\n")))
