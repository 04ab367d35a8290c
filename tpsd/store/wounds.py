"""Contradictions that no crash leaves, found and mended at a start: damage, a bug, a hand in the file.

Only what is safe is done: a row becomes more doubtful and never less, card data goes where nobody can send it any
more, a key stays while something is sealed under it. What cannot be decided so is left to ``checking``.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Final

from tpsd.core.notices import cause_key, open_episode
from tpsd.domain.notice import NoticeDraft, NoticeKind
from tpsd.errors import SealError
from tpsd.store.commits import Stamp, insert_notices
from tpsd.store.connection import Connection
from tpsd.store.epochs import EpochKeys
from tpsd.store.queries import Q
from tpsd.store.writer import Writer

WOUNDS: Final[dict[str, str]] = {
    "epochs_reopened": "card data was sealed under an epoch called destroyed; its key stands and is kept",
    "epochs_closed": "more than one epoch was open, so that some would never have been emptied",
    "attempt_numbers_mended": "the number of sends was lower than that of the last one",
    "attempts_missing": "a send was counted and not kept; it may have been charged",
    "attempts_without_end": "a send without an end, and its tap was not being sent; it may have been charged",
    "doubts_forgotten": "called clean after a send that may have been charged",
    "ends_taken_back": "not final, and had the time of its end; it would have been pruned",
    "rests_dated": "rested since nobody knows when; its card data would never have gone",
    "finals_dated": "final without the time of its end",
    "final_cards_erased": "card data of a final tap was still there",
    "ownerless_cards_erased": "sealed card data that belonged to nothing",
    "unreadable_cards_erased": "its sealed card data cannot be opened: the key was destroyed",
    "identities_dropped": "a tap stood both whole and pruned",
    "windows_opened": "notices that no mail would have told of",
}
"""What a start mends, by the name under which it counts and logs it."""

UNTOLD: Final = frozenset({"attempt_numbers_mended", "finals_dated", "identities_dropped", "windows_opened"})
"""Without consequence for money or card data: the log says so, and no mail."""

Counts = dict[str, int]

_ROW: Final = (
    ("attempt_numbers_mended", "wound_attempt_number"),
    ("attempts_missing", "wound_attempt_missing"),
    ("attempts_without_end", "wound_attempt_open"),
    ("doubts_forgotten", "wound_doubt_forgotten"),
    ("ends_taken_back", "wound_end_taken_back"),
    ("rests_dated", "wound_rest_undated"),
    ("finals_dated", "wound_final_undated"),
)
"""In this order: each leaves to the next what that can mend."""


async def reopen_epochs(writer: Writer, keys: EpochKeys, ran: int) -> Counts:
    """Before any key is swept: an epoch with something sealed under it is live where its key still opens."""
    opened = []
    for number in await writer.read(_epochs_not_live):
        with suppress(SealError):
            keys.open(number)
            opened.append(number)
    return await writer.write(partial(_reopen, opened=opened, ran=ran))


def mend(connection: Connection, stamp: Stamp, found: Counts, *, whole: bool) -> Counts:
    """Mend the rows; every kind of wound with its count, ``found`` (by ``reopen_epochs``) among them, none with 0.

    ``whole``: look at final rows and pruned taps too, which takes time with their number.
    """
    counts = dict(found)
    for name in found:
        _tell(connection, name, None, stamp)
    queries = ("wounded", "wounded_finals") if whole else ("wounded",)
    for uuid in [uuid for query in queries for (uuid,) in connection.execute(Q[query])]:
        _mend_row(connection, uuid, stamp, counts)
    _erase_what_is_nobodys(connection, stamp, counts)
    _erase_what_cannot_be_read(connection, stamp, counts)
    if whole:
        connection.execute(Q["wound_identity_doubled"])
        _count(counts, "identities_dropped", connection.changes())
    _open_windows(connection, stamp, counts)
    return counts


def _epochs_not_live(connection: Connection) -> list[int]:
    return [number for (number,) in connection.execute(Q["wound_epochs"])]


def _reopen(connection: Connection, opened: list[int], ran: int) -> Counts:
    counts: Counts = {}
    for number in opened:
        connection.execute(Q["wound_epoch_reopened"], (number, ran))
    _count(counts, "epochs_reopened", len(opened))
    connection.execute(Q["wound_epochs_open"], (ran,))
    _count(counts, "epochs_closed", connection.changes())
    return counts


def _mend_row(connection: Connection, uuid: str, stamp: Stamp, counts: Counts) -> None:
    done = []
    for name, query in _ROW:
        connection.execute(Q[query], {"uuid": uuid, "at": stamp.at, "ran": stamp.ran})
        if _count(counts, name, connection.changes()):
            done.append(name)
    gravest = next((name for name in done if name not in UNTOLD), None)
    if gravest is not None:
        _tell(connection, gravest, uuid, stamp)


def _erase_what_is_nobodys(connection: Connection, stamp: Stamp, counts: Counts) -> None:
    finals = set()
    for owner, purpose, uuid in list(connection.execute(Q["wound_sealed"])):
        connection.execute(Q["wound_erase"], (owner, purpose))
        _count(counts, "ownerless_cards_erased" if uuid is None else "final_cards_erased", 1)
        finals.add(uuid)
    _tell_each(connection, "ownerless_cards_erased", finals & {None}, stamp)
    _tell_each(connection, "final_cards_erased", finals - {None}, stamp)


def _erase_what_cannot_be_read(connection: Connection, stamp: Stamp, counts: Counts) -> None:
    owners = set()
    for number in _epochs_not_live(connection):
        for owner, purpose, uuid in list(connection.execute(Q["wound_sealed_under"], (number,))):
            connection.execute(Q["wound_erase"], (owner, purpose))
            _count(counts, "unreadable_cards_erased", 1)
            owners.add(uuid)
    _tell_each(connection, "unreadable_cards_erased", owners, stamp)


def _open_windows(connection: Connection, stamp: Stamp, counts: Counts) -> None:
    """By a window like that of a first notice."""
    for kind, cause in list(connection.execute(Q["wound_unheard"])):
        window = open_episode(NoticeDraft(NoticeKind(kind), cause), stamp.at)
        connection.execute(Q["open_episode"], (kind, cause, window.step, window.opened_at, window.closes_at))
        _count(counts, "windows_opened", 1)


def _tell_each(connection: Connection, name: str, uuids: Iterable[str | None], stamp: Stamp) -> None:
    for uuid in sorted(uuids, key=str):
        _tell(connection, name, uuid, stamp)


def _tell(connection: Connection, name: str, uuid: str | None, stamp: Stamp) -> None:
    """An alarm, about a tap where one is concerned."""
    alarm = NoticeDraft(NoticeKind.ALARM, cause_key(NoticeKind.ALARM, "wound"), WOUNDS[name])
    tap = None if uuid is None else connection.execute(Q["tap_of_uuid"], (uuid,)).get
    insert_notices(connection, (alarm,), tap, uuid, stamp.at)


def _count(counts: Counts, name: str, done: int) -> int:
    if done:
        counts[name] = counts.get(name, 0) + done
    return done
