"""What must be true of a journal that was opened again, whatever became of the disk (design 8: I1 to I4, I7)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import apsw

from tests.card_search import findings
from tests.power.disk import Disk
from tests.power.ledger import Ledger
from tests.power.life import KEYS, Content, Life
from tests.store.builders import MASTERCARD, VISA
from tests.store.engines import KEK
from tpsd.errors import SealError
from tpsd.store import checking
from tpsd.store.epochs import EpochKeys
from tpsd.store.seal import WRAPPED_BYTES, Sealed, unseal

FRAGMENT_BYTES = 12
"""What is looked for of a destroyed key: so much of one is not there by chance."""


def judge(
    life: Life, disk: Disk, ledger: Ledger, allowed: Sequence[Content], *, thoroughly: bool = False
) -> Iterator[str]:
    """What is wrong, in words. ``allowed``: what the journal may hold; empty where nothing was promised yet.

    ``thoroughly``: all of the disk is searched for destroyed keys, not only their folder.
    """
    connection, found = life.connection, life.promised[0]
    yield from (str(finding) for finding in checking.examine(connection, life.shelf.numbers()))
    if allowed and found not in allowed:
        yield from (f"not what was committed: {line}" for line in difference(allowed[0], found))
    yield from told(connection, ledger)
    yield from sent(connection, ledger)
    yield from sealed(life, ledger)
    yield from keys(connection, disk, ledger, "" if thoroughly else f"{KEYS}/")


def difference(before: Content, now: Content) -> Iterator[str]:
    """The first row that differs, a table."""
    for name in before:
        was, is_ = set(map(repr, before[name])), set(map(repr, now.get(name, [])))
        yield from (f"{name} lacks {row[:120]}" for row in sorted(was - is_)[:1])
        yield from (f"{name} has {row[:120]}" for row in sorted(is_ - was)[:1])


def told(connection: apsw.Connection, ledger: Ledger) -> Iterator[str]:
    """I1: every tap that was answered is there, once, with that verdict."""
    rows: dict[bytes, list[tuple[int, int, str]]] = {}
    for digest, *row in connection.execute(
        "SELECT digest, id, verdict, reason FROM tap UNION ALL SELECT digest, number, verdict, reason FROM identity"
    ):
        rows.setdefault(digest, []).append((row[0], row[1], row[2]))
    for digest, said in ledger.told.items():
        expected = [(ledger.numbers[digest], int(said.verdict), said.reason)]
        if rows.get(digest) != expected:
            yield f"I1: a tap was told {expected} and stands as {rows.get(digest)}"


def sent(connection: apsw.Connection, ledger: Ledger) -> Iterator[str]:
    """I3, I4: no attempt's number went back, nothing that was final is anything else."""
    for uuid, state, attempt in connection.execute("SELECT uuid, state, attempt FROM authorisation"):
        if attempt < ledger.attempts.get(uuid, 0):
            yield f"I3: {uuid} was sent as number {ledger.attempts[uuid]} and stands at {attempt}"
        if uuid in ledger.final and ledger.final[uuid].value != state:
            yield f"I4: {uuid} was {ledger.final[uuid].value} and is {state}"


def sealed(life: Life, ledger: Ledger) -> Iterator[str]:
    """I2: what is sealed opens and is what was handed in. (That nothing final has any of it, ``examine`` says.)"""
    shelf = EpochKeys(life.shelf, KEK, life.journal.journal_id)
    for (number,) in life.connection.execute("SELECT number FROM epoch WHERE destroyed = 0"):
        shelf.open(number)
    rows = life.connection.execute("SELECT owner, purpose, epoch, wrapped_key, nonce, data FROM sealed")
    for owner, purpose, epoch, *box in rows:
        try:
            plain = unseal(shelf.key(epoch), owner, purpose, Sealed(epoch, *box))
        except SealError as exc:
            yield f"{purpose} of {owner}: {exc}"
            continue
        if plain != ledger.parts.get((owner, purpose)) and plain not in ledger.payloads:
            yield f"I2: {purpose} of {owner} is not what was handed in"


def keys(connection: apsw.Connection, disk: Disk, ledger: Ledger, where: str) -> Iterator[str]:
    """I7: of a destroyed epoch's key nothing is left on the disk, in files whose name begins with ``where``."""
    gone = {number for (number,) in connection.execute("SELECT number FROM epoch WHERE destroyed = 1")}
    pieces = [(number, piece) for number in gone & ledger.keys.keys() for piece in fragments(ledger.keys[number])]
    for name, content in disk.raw():
        if name.startswith(where):
            for number, piece in pieces:
                if piece in content:
                    yield f"I7: a part of the key of epoch {number}, which was destroyed, is in {name}"


def fragments(wrapped: bytes) -> list[bytes]:
    """What a key is known by."""
    return [wrapped[at : at + FRAGMENT_BYTES] for at in range(0, WRAPPED_BYTES, FRAGMENT_BYTES)]


def card_numbers(disk: Disk) -> Iterator[str]:
    """No card number is anywhere on the disk, in any form."""
    for name, content in disk.raw():
        yield from findings(name, content, [VISA, MASTERCARD])
