"""Device keys as Sfey writes them: JSON objects to values. The text of a key never stands in an error."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from tpsd.domain.device_key import BY_HAND, DeviceKey
from tpsd.errors import ConfigError
from tpsd.sfey.wire import DEVICE_V1, Profile, pick

KEYS_MAX: Final = 1000  # in one answer, as many records as TPS may give; a terminal has a dozen
_OPTIONAL: Final = frozenset({"algorithm", "index", "id"})
_NUMBERS: Final = frozenset({"index", "id"})
_NAME_CHARACTERS_MAX: Final = 64  # of a type, a format, an algorithm
_INDEX_CHARACTERS_MAX: Final = 64  # of an index: an IV has 32
_DATA_CHARACTERS_MAX: Final = 16_384  # of a key's data: a certificate of RSA-4096 has 2,700 in Base64


def read_key(found: object, profile: Profile = DEVICE_V1, terminal: str = BY_HAND) -> DeviceKey | str:
    """A key; or what is wrong with it, in a word. Unknown fields are ignored."""
    words = profile.keys
    texts = {name: pick(found, words[name]) for name in ("type", "format", "algorithm", "data", "index", "id")}
    for name, number in texts.items():
        if name in _NUMBERS and isinstance(number, int) and not isinstance(number, bool):
            texts[name] = str(number)
    limits = {"data": _DATA_CHARACTERS_MAX, "index": _INDEX_CHARACTERS_MAX}
    given: dict[str, str] = {}
    for name, found_text in texts.items():
        text = "" if found_text is None and name in _OPTIONAL else found_text
        if not isinstance(text, str) or not (text or name in _OPTIONAL):
            return f"{words[name]} is missing or no text"
        if len(text) > limits.get(name, _NAME_CHARACTERS_MAX) or not text.isprintable():
            return f"{words[name]} is too long or holds control characters"
        given[name] = text
    return DeviceKey(
        given["type"], given["format"], given["algorithm"], given["data"], given["index"], terminal, given["id"]
    )


def read_keys(document: str, profile: Profile = DEVICE_V1) -> list[DeviceKey]:
    """The keys of a file: one object or a list of them. Raises ConfigError naming the first that cannot be read."""
    try:
        root = json.loads(document)
    except (ValueError, RecursionError):
        raise ConfigError("it is not JSON; write the key objects as Sfey gives them, one or a list") from None
    found = root if isinstance(root, list) else [root]
    if not 1 <= len(found) <= KEYS_MAX:
        raise ConfigError(f"it holds {len(found)} keys; 1 to {KEYS_MAX} can be taken")
    keys = []
    for number, one in enumerate(found, start=1):
        key = read_key(one, profile)
        if isinstance(key, str):
            raise ConfigError(f"key {number}: {key}; write it as Sfey gives it")
        keys.append(key)
    return keys


def read_key_list(found: object, profile: Profile, terminal: str) -> list[DeviceKey] | str:
    """The keys of a list in an answer to a terminal, none where there is no list; or what is wrong, in a word."""
    listed = [] if found is None else found
    if not isinstance(listed, list) or len(listed) > KEYS_MAX:
        return f"they are no list of at most {KEYS_MAX}"
    keys = []
    for one in listed:
        key = read_key(one, profile, terminal)
        if isinstance(key, str):
            return key
        keys.append(key)
    return keys


def read_key_page(body: bytes, terminal: str, profile: Profile = DEVICE_V1) -> list[DeviceKey] | str:
    """The keys of an update's page; or what is wrong with it, in a word. One bad record makes the whole page bad."""
    words = profile.updates
    try:
        root = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return "page.json"
    records = pick(root, words["records"])
    if not isinstance(records, list) or len(records) > KEYS_MAX:
        return "page.json"
    if pick(root, words["complete"]) is False:
        return "page.more"
    return _read_records(records, terminal, profile)


def _read_records(records: Iterable[object], terminal: str, profile: Profile) -> list[DeviceKey] | str:
    """What inserts or changes a key; what strikes one retires nothing, which is a person's to do."""
    words = profile.updates
    comes = (words["insert"], words["update"])
    coming = [
        record
        for record in records
        if pick(record, words["type"]) == words["device_key"] and pick(record, words["action"]) in comes
    ]
    keys = read_key_list(coming, profile, terminal)
    return "record.key" if isinstance(keys, str) else keys
