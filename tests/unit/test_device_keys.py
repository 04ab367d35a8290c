"""Device keys: what opens and to what, what is kept as received and why, and what of a file or a page is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tpsd.config.keys import read_exchange_key
from tpsd.core.device_keys import CHECK_BYTES, check_value, prepared
from tpsd.domain.device_key import AsReceived, DeviceKey, OpenedKey
from tpsd.errors import ConfigError
from tpsd.sfey.device_keys import KEYS_MAX, read_key_page, read_keys

SECRET = {"SALT": bytes(range(32)), "TTK": bytes(range(16))}
EXCHANGE = bytes(range(50, 66))
IV = bytes(range(16, 32))


def wrapped(secret: bytes, iv: bytes = bytes(16)) -> str:
    encryptor = Cipher(algorithms.AES(EXCHANGE), modes.CBC(iv)).encryptor()
    return (encryptor.update(secret) + encryptor.finalize()).hex()


def plain(kind: str) -> DeviceKey:
    return DeviceKey(kind, "PLAIN", "", SECRET[kind].hex(), "3")


def under_exchange_key(kind: str) -> DeviceKey:
    return DeviceKey(kind, "AES", "", wrapped(SECRET[kind]))


@pytest.mark.parametrize("kind", SECRET)
@pytest.mark.parametrize("exchange_key", [EXCHANGE, None], ids=["with an exchange key", "without"])
def test_plain_keys_open(kind: str, exchange_key: bytes | None) -> None:
    made = prepared(plain(kind), exchange_key).made
    assert made == OpenedKey(SECRET[kind], check_value(kind, SECRET[kind]))


@pytest.mark.parametrize("kind", SECRET)
def test_keys_under_the_exchange_key_open_with_an_iv_of_zeros_or_their_index(kind: str) -> None:
    key = under_exchange_key(kind)
    assert prepared(key, EXCHANGE).made == OpenedKey(SECRET[kind], check_value(kind, SECRET[kind]))
    key = replace(key, data=wrapped(SECRET[kind], IV), index=IV.hex().upper())
    assert prepared(key, EXCHANGE).made == OpenedKey(SECRET[kind], check_value(kind, SECRET[kind]))


def test_check_values_are_the_published_ones() -> None:
    zeros = bytes(16)
    assert check_value("TTK", zeros) == "763CBC", "CMAC of a block of zeros under AES-128 of zeros"
    assert (
        check_value("SALT", zeros)
        == "B613679A0814D9EC772F95D778C35FC5FF1697C493715653C6C712144292C5AD"[: 2 * CHECK_BYTES]
    ), "HMAC-SHA256 of nothing under no key, whose padding is zeros"


def test_another_exchange_key_shows_in_the_check_value_alone() -> None:
    made = prepared(under_exchange_key("TTK"), bytes(16)).made
    assert isinstance(made, OpenedKey)
    assert made.check_value != check_value("TTK", SECRET["TTK"])


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (under_exchange_key("SALT"), "no key-exchange key is configured"),
        (DeviceKey("SALT", "TR34", "HMAC-SHA256", "anything"), "TR-34 profile is not public"),
        (DeviceKey("SALT", "AES", "RIDANGO", "00" * 32), "RIDANGO is named by Sfey and not published"),
        (DeviceKey("IPEK", "AES", "DUKPT-AES", "00" * 16), "initial DUKPT keys"),
        (DeviceKey("TMS_SECRET", "PLAIN", "SECRET", "00" * 16), "terminal management"),
        (DeviceKey("TMS_CACRT", "X509", "RSA", "MII="), "terminal management"),
        (DeviceKey("NEW", "PLAIN", "", "00"), "type NEW in format PLAIN"),
        (DeviceKey("TTK", "X509", "", "00"), "type TTK in format X509"),
        (replace(plain("SALT"), algorithm="HMAC-SHA512"), "the algorithm HMAC-SHA512 of a SALT is unknown"),
        (replace(plain("SALT"), data="00" * 16), "is not 64 hex digits"),
        (replace(plain("TTK"), data="no hex"), "is not 32 hex digits"),
    ],
)
def test_what_is_kept_as_received_says_why(key: DeviceKey, why: str) -> None:
    made = prepared(key, None).made
    assert isinstance(made, AsReceived)
    assert why in made.why
    assert key.data not in made.why


def test_an_index_that_is_no_iv() -> None:
    made = prepared(replace(under_exchange_key("TTK"), index="7"), EXCHANGE).made
    assert made == AsReceived("its keyIndex is not the 32 hex digits of an IV; ask Sfey for it again")


def test_no_key_prints_itself() -> None:
    ready = prepared(plain("TTK"), None)
    assert SECRET["TTK"].hex() not in repr(ready)
    assert repr(SECRET["TTK"])[2:-1] not in repr(ready)


def written(**changes: object) -> dict[str, object]:
    given = {"keyTypeName": "TTK", "keyDataFormat": "PLAIN", "keyData": "00" * 16, "keyIndex": 3, "later": "ignored"}
    return {name: value for name, value in (given | changes).items() if value is not None}


def test_a_file_holds_one_key_or_several() -> None:
    assert read_keys(json.dumps(written())) == [DeviceKey("TTK", "PLAIN", "", "00" * 16, "3")]
    several = [written(), written(keyIndex=None, algorithm="AES")]
    assert [(key.index, key.algorithm) for key in read_keys(json.dumps(several))] == [("3", ""), ("", "AES")]


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("{", "is not JSON"),
        ("[]", "it holds 0 keys"),
        (json.dumps([written()] * (KEYS_MAX + 1)), f"it holds {KEYS_MAX + 1} keys"),
        ("3", "key 1: keyTypeName is missing"),
        (json.dumps([written(), written(keyData=None)]), "key 2: keyData is missing"),
        (json.dumps(written(keyTypeName="T" * 65)), "keyTypeName is too long"),
        (json.dumps(written(keyDataFormat="A\n")), "keyDataFormat is too long or holds control characters"),
        (json.dumps(written(keyIndex=True)), "keyIndex is missing or no text"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_a_file_that_is_refused(document: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_keys(document)
    assert why in str(caught.value)


def page(*records: dict[str, object], **changes: object) -> bytes:
    return json.dumps({"records": records, "updateComplete": True, **changes}).encode()


def record(**changes: object) -> dict[str, object]:
    return {"recordType": "DEVICE_KEY", "action": "INSERT", **written(**changes)}


def test_a_page_of_keys() -> None:
    struck = record() | {"action": "DELETE"}
    other: dict[str, object] = {"recordType": "DENY_LIST", "action": "INSERT"}
    keys = read_key_page(page(record(), struck, other), "GATE-X1:VAL1")
    assert keys == [DeviceKey("TTK", "PLAIN", "", "00" * 16, "3", "GATE-X1:VAL1")]
    assert read_key_page(page(record(keyData=None)), "T") == "record.key"
    assert read_key_page(page(record(), updateComplete=False), "T") == "page.more"
    assert read_key_page(b"<html>", "T") == "page.json"
    assert read_key_page(b"[]", "T") == "page.json"


@pytest.mark.parametrize("size", [16, 24, 32])
def test_exchange_keys_of_every_length(tmp_path: Path, size: int) -> None:
    file = tmp_path / "exchange.hex"
    file.write_text("ab" * size + "\n")
    assert read_exchange_key(file, private=False) == b"\xab" * size


@pytest.mark.parametrize(("text", "why"), [("ab" * 20, "an AES key has 32, 48 or 64"), ("zz" * 16, "is not hex")])
def test_exchange_keys_that_are_none(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "exchange.hex"
    file.write_text(text)
    with pytest.raises(ConfigError, match=why):
        read_exchange_key(file, private=False)
