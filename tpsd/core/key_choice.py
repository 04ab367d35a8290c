"""Which of the device keys that are kept are used, and which other token keys a card may still be known by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from tpsd.core.device_keys import SALT, TTK
from tpsd.domain.device_key import BY_HAND, DeviceKey, KeyRow
from tpsd.domain.notice import NoticeDraft, NoticeKind

HONOURED_MAX: Final = 3
"""Token keys beside the one in force: the old, the coming, and one that nobody retired; each costs a tap a look-up."""

REFUSALS: Final[Mapping[str, str]] = {"system.39": SALT, "system.20": TTK}
"""What TPS says of a key, and of which type: INVALID_PAN_TOKEN, KEY_NOT_FOUND (sfey.md 4)."""


class UseFed(Enum):
    """When keys that TPS gives a terminal are used by themselves. The values are the configuration's."""

    NEVER = "never"
    WITHOUT_FILE = "without_file"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Choice:
    """``salt``: the row of the token key in force; None: the file's, where there is one.

    ``honoured``: rows of other token keys, ``file_honoured``: the file's is one of them. ``ttks``: by terminal.
    """

    salt: KeyRow | None
    honoured: tuple[KeyRow, ...]
    file_honoured: bool
    ttks: Mapping[str, KeyRow]


def choose(rows: Iterable[KeyRow], use: UseFed, filed: Mapping[str, str]) -> Choice:
    """What is used now. ``filed``: check values of the keys in files, by type.

    Of keys from TPS the one that came last is used, but none that TPS refused; what a person retired is neither used
    nor honoured, from wherever it came.
    """
    rows = list(rows)
    versions = _versions(rows)
    salt = next((row for row in versions if _fed(row, rows) and row.refused_at is None), None)
    if not _takes(use, SALT, filed):
        salt = None
    in_force = filed.get(SALT) if salt is None else salt.check_value
    others = [row for row in versions if row.check_value not in (in_force, filed.get(SALT))]
    retired = any(row.retired_at is not None and row.check_value == filed.get(SALT) for row in rows if row.type == SALT)
    return Choice(
        salt=salt,
        honoured=tuple(others[:HONOURED_MAX]) if in_force is not None else (),
        file_honoured=SALT in filed and in_force != filed[SALT] and not retired,
        ttks=_ttks(rows) if _takes(use, TTK, filed) else {},
    )


def oldest_first(keys: Iterable[DeviceKey]) -> list[DeviceKey]:
    """Keys that came together in the order of their indices, where those count: in format AES one is an IV."""

    def number(key: DeviceKey) -> int:
        counts = key.format != "AES" and key.index.isascii() and key.index.isdigit()
        return int(key.index) if counts else 0

    return sorted(keys, key=number)


def refused(key: KeyRow) -> NoticeDraft:
    """What an operator is told when TPS refuses what is made with a key that it gave itself."""
    code = next(cause for cause, kind in REFUSALS.items() if kind == key.type)
    return NoticeDraft(
        NoticeKind.ALARM,
        f"{NoticeKind.ALARM.value}/device_key.{key.check_value}",
        f"TPS refuses what is made with the {key.type} {key.check_value}, which it gave itself ({code}): that is used"
        " no more; 'tpsd keys list' shows what is in force. Ask Sfey; what is held:"
        f" tpsd release --cause {code}@… --rebuild",
    )


def _takes(use: UseFed, kind: str, filed: Mapping[str, str]) -> bool:
    return use is UseFed.ALWAYS or (use is UseFed.WITHOUT_FILE and kind not in filed)


def _versions(rows: Sequence[KeyRow]) -> list[KeyRow]:
    """One row of each token key that stands, the one that came last first: it is as old as its first row."""
    gone = {row.check_value for row in rows if row.type == SALT and row.retired_at is not None}
    first: dict[str, KeyRow] = {}
    for row in sorted(rows, key=_came):
        if row.type == SALT and row.check_value is not None and row.check_value not in gone:
            first.setdefault(row.check_value, row)
    return list(reversed(first.values()))


def _came(row: KeyRow) -> int:
    return row.id


def _fed(version: KeyRow, rows: Sequence[KeyRow]) -> bool:
    return any(row.type == SALT and row.check_value == version.check_value and row.terminal != BY_HAND for row in rows)


def _ttks(rows: Sequence[KeyRow]) -> dict[str, KeyRow]:
    return {
        row.terminal: row
        for row in sorted(rows, key=_came)
        if row.type == TTK
        and row.terminal != BY_HAND
        and row.retired_at is None
        and row.key_id is not None
        and row.refused_at is None
    }
