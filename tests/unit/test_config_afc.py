"""The keys by which TPS is asked: what is read, refused and warned about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from schemas.config import Configuration
from tests.configurations import changed, production, values, write
from tpsd.config import doubt, effective, load, read_token, warnings
from tpsd.core.doubt import HORIZON_US, DoubtPolicy
from tpsd.domain.time import HOUR
from tpsd.errors import ConfigError

AFC = "https://tps.example.org/afc-api/v3"


def loaded(folder: Path, sfey: dict[str, Any], **others: Any) -> Configuration:
    return load(write(folder, changed(values(folder), {"sfey": sfey, **others})))


def token_file(folder: Path, content: str, mode: int = 0o600) -> Path:
    path = folder / "token"
    path.write_text(content)
    path.chmod(mode)
    return path


def test_without_an_afc_api_nobody_is_asked_and_the_horizon_is_36_h(tmp_path: Path) -> None:
    assert doubt(loaded(tmp_path, {})) == DoubtPolicy(HORIZON_US, enquires=False) == DoubtPolicy()


def test_with_one_rows_are_asked_about(tmp_path: Path) -> None:
    config = loaded(tmp_path, {"afc_base_url": AFC}, retry={"idempotency_horizon_hours": 48})
    assert doubt(config) == DoubtPolicy(48 * HOUR, enquires=True)


@pytest.mark.parametrize("content", ["abc.DEF-123_~+/==", "  abc\n"])
def test_a_token_is_one_word(tmp_path: Path, content: str) -> None:
    assert read_token(token_file(tmp_path, content), private=True) == content.strip()


@pytest.mark.parametrize(
    "content", ["", "\n", "two words", "Bearer abc", "a\nb", "a\r\nX-Other: b", 'a"b', "a=b", "x" * 5000]
)
def test_anything_else_is_refused_and_not_shown(tmp_path: Path, content: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_token(token_file(tmp_path, content), private=True)
    assert content.strip() not in str(refused.value) or not content.strip()
    assert str(tmp_path) in str(refused.value)


def test_a_token_open_to_others_is_refused_in_production_and_warned_about_before(tmp_path: Path) -> None:
    path = token_file(tmp_path, "abc", 0o640)
    assert read_token(path, private=False) == "abc"
    with pytest.raises(ConfigError, match="open to other users"):
        read_token(path, private=True)
    config = loaded(tmp_path, {"afc_base_url": AFC, "afc_token_file": str(path)})
    assert any("afc_token_file" in str(doubt) and "chmod 600" in str(doubt) for doubt in warnings(config))


def test_a_token_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none does not exist"):
        read_token(tmp_path / "none", private=False)


def test_a_token_in_place_of_its_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="looks like the key itself"):
        loaded(tmp_path, {"afc_base_url": AFC, "afc_token_file": "ab" * 32})


@pytest.mark.parametrize(
    ("sfey", "words"),
    [
        ({"afc_token_file": "token"}, "is set and afc_base_url is not"),
        ({"afc_base_url": AFC}, "has neither a token nor a certificate"),
    ],
)
def test_half_of_it_is_warned_about(tmp_path: Path, sfey: dict[str, Any], words: str) -> None:
    assert any(words in str(doubt) for doubt in warnings(loaded(tmp_path, sfey)))


def test_both_are_not(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    token_file(tmp_path, "abc")
    found = warnings(loaded(tmp_path, {"afc_base_url": AFC, "afc_token_file": "token"}))
    assert not any("afc" in str(doubt) for doubt in found)
    assert not any("afc" in str(doubt) for doubt in warnings(load(write(tmp_path, production(tmp_path)))))


def test_the_token_itself_is_never_shown(tmp_path: Path) -> None:
    path = token_file(tmp_path, "very-secret")
    config = loaded(tmp_path, {"afc_base_url": AFC, "afc_token_file": str(path)})
    assert "very-secret" not in repr(config) + str(effective(config))
    assert effective(config)["sfey"]["afc_token_file"] == str(path)
