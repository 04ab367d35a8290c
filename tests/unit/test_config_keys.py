"""Key files: what is read, what is refused, and that no content is in any message."""

from __future__ import annotations

from pathlib import Path

import pytest

from tpsd.config import exposed, read_hex_key, read_password, read_ttk
from tpsd.errors import ConfigError

KEY = bytes(range(32))


def key_file(folder: Path, content: str | bytes, mode: int = 0o600) -> Path:
    path = folder / "key"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


@pytest.mark.parametrize("content", [KEY.hex(), KEY.hex().upper(), f"  {KEY.hex()}\n"])
def test_a_key_is_read(tmp_path: Path, content: str) -> None:
    assert read_hex_key(key_file(tmp_path, content), 32, "SALT", private=True) == KEY


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"has 0 hex digits; it needs 64 \(32 bytes\)"),
        (KEY.hex()[:-2], "has 62 hex digits"),
        (KEY.hex()[:-1], "has 63 hex digits"),
        (KEY.hex() + "00", "has 66 hex digits"),
        ("0x" + KEY.hex()[2:], "is not hex; write 64 hex digits"),
        (KEY.hex()[:32] + "\n" + KEY.hex()[32:], "is not hex"),
        (KEY, "is not hex"),
        (b"\xff" * 32, "is not a key file"),
        ("00" * 4000, "is not a key file"),
    ],
)
def test_anything_else_is_refused_without_its_content(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read_hex_key(key_file(tmp_path, content), 32, "SALT", private=True)
    assert str(caught.value).startswith("SALT")
    assert KEY.hex()[:8] not in str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660, 0o644])
def test_a_file_open_to_others_is_refused_in_production(tmp_path: Path, mode: int) -> None:
    path = key_file(tmp_path, KEY.hex(), mode)
    assert exposed(path)
    with pytest.raises(ConfigError, match=r"is open to other users, which production refuses; chmod 600"):
        read_hex_key(path, 32, "SALT", private=True)
    assert read_hex_key(path, 32, "SALT", private=False) == KEY


def test_a_systemd_credential_may_carry_group_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = key_file(tmp_path, KEY.hex(), 0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert not exposed(path)
    assert read_hex_key(path, 32, "SALT", private=True) == KEY


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert not exposed(tmp_path / "none")
    with pytest.raises(ConfigError, match=r"SALT: .*/none does not exist; create it"):
        read_hex_key(tmp_path / "none", 32, "SALT", private=True)
    with pytest.raises(ConfigError, match=r"SALT: .* cannot be read \(Is a directory\)"):
        read_hex_key(tmp_path, 32, "SALT", private=True)


def test_a_ttk_is_read(tmp_path: Path) -> None:
    ttk = read_ttk(key_file(tmp_path, "000123 000102030405060708090a0b0c0d0e0f\n"), private=True)
    assert (ttk.key_id, ttk.key) == ("000123", bytes(range(16)))
    assert "0a0b" not in repr(ttk)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("000102030405060708090a0b0c0d0e0f", "is not '<key id> <key>'"),
        ("123 000102030405060708090a0b0c0d0e0f", "even number of digits"),
        ("0A 000102030405060708090a0b0c0d0e0f", "even number of digits"),
        ("01 00010203", "has 8 hex digits; it needs 32"),
        ("01 zz0102030405060708090a0b0c0d0e0f", "is not hex"),
        ("01 000102030405060708090a0b0c0d0e0f x", "is not '<key id> <key>'"),
    ],
)
def test_a_bad_ttk_is_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read_ttk(key_file(tmp_path, content), private=True)
    assert "0001020304" not in str(caught.value)


def test_a_password_is_one_line(tmp_path: Path) -> None:
    assert read_password(key_file(tmp_path, " correct horse \n"), private=True) == "correct horse"
    for content in ("", "\n", "correct\nhorse"):
        with pytest.raises(ConfigError, match=r"the database's password in .* is not one line; write it so") as caught:
            read_password(key_file(tmp_path, content), private=True)
        assert "horse" not in str(caught.value)
