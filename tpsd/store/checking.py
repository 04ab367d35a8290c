"""Whether a journal is whole: SQLite's own checks, and what must hold between rows (design 8). Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from itertools import islice
from pathlib import Path
from urllib.parse import quote

import apsw

from tpsd.domain.upkeep import DAMAGE, Finding
from tpsd.store.connection import Connection
from tpsd.store.queries import Q

EXAMPLES_MAX = 20  # a person reads no more, and a broken file can name every row it has
INTEGRITY_MAX = 100  # SQLite's own default for the faults it lists before it stops

RULES: dict[str, str] = {
    "attempt_open": "a send without an end whose tap is not being sent",
    "sending_unattempted": "a tap is being sent and no send is under way",
    "attempt_number": "the number of sends is not that of the last one",
    "doubt_forgotten": "a tap is called clean after a send that may have been charged",
    "final_unsettled": "a final tap without the time of its end, or a time and no end",
    "resting_undated": "a resting tap without the running time it rests since: its card data would never go",
    "final_sealed": "card data of a final tap is still there",
    "pending_bodiless": "a tap waits for its send and its body is gone",
    "sealed_ownerless": "sealed card data that belongs to nothing",
    "sealed_keyless": "sealed card data under an epoch whose key was destroyed",
    "epochs_open": "not one epoch is open for new card data",
    "authorisation_tapless": "an authorisation that no tap led to",
    "tap_undecided": "a tap without a verdict about which TPS is not being asked",
    "journey_astray": "a journey whose check-in or check-out is not what its state says",
    "identity_doubled": "a tap stands both whole and pruned",
    "notice_unheard": "a notice that no mail window will tell of",
}
"""The names of the queries ``check_…``, and what a row of each means."""


def examine(connection: apsw.Connection, keys: Collection[int] | None = None) -> list[Finding]:
    """Everything that is wrong; empty for a whole journal. ``keys``: the epochs whose key file stands, if known."""
    return [*_integrity(connection), *_foreign_keys(connection), *contradictions(connection, keys)]


def contradictions(connection: Connection, keys: Collection[int] | None = None) -> list[Finding]:
    """What rows say against one another, on whatever engine, and the live epochs of which ``keys`` has none."""
    found: list[Finding] = []
    for rule, what in RULES.items():
        found += _rows(connection, rule, what)
    if keys is not None:
        found += _keys(connection, keys)
    return found


def snapshot(path: Path) -> apsw.Connection:
    """The file as of its last checkpoint, while its writer goes on and makes none meanwhile.

    It is read as a file that does not change: no lock is taken and no write-ahead log is looked at.
    """
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    return apsw.Connection(f"file:{quote(str(path))}?immutable=1", flags=flags)


def _integrity(connection: apsw.Connection) -> Iterator[Finding]:
    return _finding(DAMAGE, "SQLite finds the file damaged", lambda: _faults(connection))


def _faults(connection: apsw.Connection) -> Iterator[str]:
    for (text,) in connection.execute(f"PRAGMA integrity_check({INTEGRITY_MAX})"):
        if text != "ok":
            yield from str(text).splitlines()


def _foreign_keys(connection: apsw.Connection) -> Iterator[Finding]:
    def rows() -> Iterator[str]:
        for table, number, parent, _ in connection.execute("PRAGMA foreign_key_check"):
            yield f"{table} row {number if number is not None else '?'} names a {parent} that is not there"

    return _finding("foreign_key", "a row refers to one that is not there", rows)


def _rows(connection: Connection, rule: str, what: str) -> Iterator[Finding]:
    return _finding(rule, what, lambda: (str(row[0]) for row in connection.execute(Q[f"check_{rule}"])))


def _keys(connection: Connection, keys: Collection[int]) -> Iterator[Finding]:
    def missing() -> Iterator[str]:
        for number, *_ in connection.execute(Q["live_epochs"]):
            if number not in keys:
                yield f"epoch {number}"

    return _finding("key_missing", "an epoch's key file is not in epoch_dir", missing)


def _finding(rule: str, what: str, rows: Callable[[], Iterator[str]]) -> Iterator[Finding]:
    try:
        rest = rows()
        examples = tuple(islice(rest, EXAMPLES_MAX))
        count = len(examples) + sum(1 for _ in rest)
    except apsw.Error as exc:
        yield Finding(rule, "cannot be looked at: the file is damaged", 1, (f"{type(exc).__name__}: {exc}",))
        return
    if count:
        yield Finding(rule, what, count, examples)
