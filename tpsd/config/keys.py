"""Reading key files. A key's content never stands in an error, a repr or a log."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from schemas.config import Configuration
from tpsd.core.device_keys import EXCHANGE_KEY_SIZES, KEY_ID
from tpsd.emv.tapdata import Ttk
from tpsd.errors import ConfigError

KEY_FILE_BYTES_MAX = 4096  # bytes: no key file has more; a wrong path may name anything
TTK_BYTES = 16  # AES-128 (sfey.md 3, mode 01)

_HEX = re.compile(r"[0-9A-Fa-f]*")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750 2.1
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def read_hex_key(path: Path, size: int, what: str, *, private: bool) -> bytes:
    """The key of ``size`` bytes that the file holds as hex on one line.

    ``what`` names the key in errors; ``private`` refuses a file open to other users. Raises ConfigError.
    """
    return _key(_read(path, what, private=private), path, size, what)


def exchange_key(config: Configuration) -> bytes | None:
    """The configured key-exchange key. Raises ConfigError."""
    path = config.keys.exchange_key_file
    return None if path is None else read_exchange_key(path, private=config.mode == "production")


def read_exchange_key(path: Path, *, private: bool) -> bytes:
    """The key-exchange key: hex on one line, of a length that AES has. Raises ConfigError."""
    what = "the key-exchange key"
    text = _read(path, what, private=private)
    size = len(text) // 2
    if size not in EXCHANGE_KEY_SIZES:
        raise ConfigError(f"{what} in {path} has {len(text)} hex digits; an AES key has 32, 48 or 64")
    return _key(text, path, size, what)


def read_ttk(path: Path, *, private: bool) -> Ttk:
    """The TTK: ``<key id as BCD digits> <32 hex digits>`` on one line. Raises ConfigError."""
    what = "the TTK"
    parts = _read(path, what, private=private).split()
    if len(parts) != 2 or not KEY_ID.fullmatch(parts[0]):
        raise ConfigError(
            f"{what} in {path} is not '<key id> <key>'; write the key id as an even number of digits"
            f" (at most 20), a space, and {2 * TTK_BYTES} hex digits"
        )
    return Ttk(parts[0], _key(parts[1], path, TTK_BYTES, what))


def read_token(path: Path, *, private: bool) -> str:
    """The bearer token that the file holds on one line. Raises ConfigError."""
    token = _read(path, "the AFC token", private=private)
    if not _TOKEN.fullmatch(token):
        raise ConfigError(f"the AFC token in {path} is not one word of letters, digits, -._~+/ and =; write it so")
    return token


def read_password(path: Path, *, private: bool) -> str:
    """The database role's password, which the file holds on one line. Raises ConfigError."""
    password = _read(path, "the database's password", private=private)
    if not password or "\n" in password:
        raise ConfigError(f"the database's password in {path} is not one line; write it so")
    return password


def exposed(path: Path) -> bool:
    """Whether other users may use the file; False where it does not exist.

    systemd's credentials are exempt: they carry the mask of an access list in their group bits.
    """
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if credentials and path.is_relative_to(credentials):
        return False
    try:
        return bool(path.stat().st_mode & _OTHERS)
    except OSError:
        return False


def _read(path: Path, what: str, *, private: bool) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(KEY_FILE_BYTES_MAX + 1)
    except FileNotFoundError as exc:
        raise ConfigError(f"{what}: {path} does not exist; create it with mode 0600") from exc
    except OSError as exc:
        raise ConfigError(f"{what}: {path} cannot be read ({exc.strerror}); check the path and its owner") from exc
    if private and exposed(path):
        raise ConfigError(f"{what}: {path} is open to other users, which production refuses; chmod 600 {path}")
    if len(content) > KEY_FILE_BYTES_MAX or not content.isascii():
        raise ConfigError(f"{what}: {path} is not a key file (long or binary); it holds one line of ASCII")
    return content.decode("ascii").strip()


def _key(text: str, path: Path, size: int, what: str) -> bytes:
    if not _HEX.fullmatch(text):
        raise ConfigError(f"{what} in {path} is not hex; write {2 * size} hex digits on one line")
    if len(text) != 2 * size:
        raise ConfigError(f"{what} in {path} has {len(text)} hex digits; it needs {2 * size} ({size} bytes)")
    return bytes.fromhex(text)
