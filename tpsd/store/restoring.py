"""A backup back in a journal's place, with no daemon running (design 4).

What the backup calls unfinished may have been sent and charged since it was made, by a journal that is lost. So
nothing in it may be sent by itself: every row that works is in doubt, and so is every held one, which a canary or a
credential that came back would free.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import apsw

from tpsd.core.notices import cause_key, open_episode
from tpsd.domain.audit import AuditDraft
from tpsd.domain.journey import JourneyState
from tpsd.domain.notice import NoticeDraft, NoticeKind
from tpsd.domain.time import Micros
from tpsd.domain.upkeep import Restored
from tpsd.errors import JournalError, RefusedError, SealError
from tpsd.store import audit, housekeeping, migrations, opening
from tpsd.store.commits import insert_notices
from tpsd.store.copying import SPARE_BYTES, sync
from tpsd.store.epochs import EpochKeys, KeyShelf
from tpsd.store.queries import Q
from tpsd.store.seal import Sealed, unseal, unwrap

CAUSE = "restored"
LOST_NAMED_MAX = 20  # a person reads no more; the count says how many there are
_SUFFIXES = ("", "-wal", "-journal")


@dataclass(frozen=True, slots=True)
class Keyring:
    """The key-encryption key and the epoch folder the backup's journal was used with."""

    kek: bytes
    shelf: KeyShelf


def restore(source: Path, target: Path, keys: Keyring, by: AuditDraft, *, force: bool = False) -> Restored:
    """Put ``source`` in ``target``'s place; what stood there is set aside under another name.

    ``by.at`` stamps everything written. Raises RefusedError or JournalError; then the target stands as it was.
    """
    _refuse_what_is_no_backup(source)
    lock = opening.lock(target)
    fresh = target.with_name(f".{target.name}.restoring")
    try:
        if not force and target.exists() and target.stat().st_size:
            raise RefusedError(f"{target} is there: it may hold taps the backup lacks; --force sets it aside")
        try:
            _copy(source, fresh)
            found = _make_fit(fresh, source, keys, by)
            aside = _set_aside(target)
            fresh.replace(target)
            sync(target.parent)
        except OSError as exc:
            raise JournalError(f"{target} cannot be written ({exc.strerror}): nothing was restored") from exc
    finally:
        fresh.unlink(missing_ok=True)
        lock.release()
    return found(str(target), None if aside is None else str(aside))


def unmark(copy: Path) -> None:
    """Let a copy that ``tpsd store backup`` made be opened as a journal; another file is left. Raises JournalError."""
    try:
        connection = apsw.Connection(str(copy))
        try:
            if connection.pragma("application_id") == opening.BACKUP_ID:
                connection.pragma("application_id", opening.APPLICATION_ID)
        finally:
            connection.close()
    except apsw.Error as exc:
        raise JournalError(f"{copy} cannot be written ({type(exc).__name__}: {exc}): make room beside it") from exc


def _refuse_what_is_no_backup(source: Path) -> None:
    try:
        with source.open("rb") as file:
            application = opening.application_id(file.read(opening.HEADER_BYTES))
    except OSError as exc:
        raise RefusedError(f"{source} cannot be read: {exc.strerror}") from exc
    if application == opening.APPLICATION_ID:
        raise RefusedError(f"{source} is a journal and no backup of one: 'tpsd store backup' makes backups")
    if application != opening.BACKUP_ID:
        raise RefusedError(f"{source} is no backup of a tpsd journal: name a file that 'tpsd store backup' made")


def _copy(source: Path, fresh: Path) -> None:
    needed, free = source.stat().st_size + SPARE_BYTES, shutil.disk_usage(fresh.parent).free
    if free < needed:
        raise RefusedError(f"{fresh.parent} has {free >> 20} MiB free and needs {needed >> 20} MiB: make room")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "wb") as copy, source.open("rb") as backup:
        shutil.copyfileobj(backup, copy, 1 << 20)


def _make_fit(fresh: Path, source: Path, keys: Keyring, by: AuditDraft) -> Callable[[str, str | None], Restored]:
    """Turn the copy into a journal that may be run; what it holds, still without its names."""
    try:
        connection = apsw.Connection(str(fresh))
        try:
            connection.pragma("journal_mode", "MEMORY")  # a copy that does not come to its end is thrown away
            connection.pragma("synchronous", "OFF")  # synced once, below
            connection.pragma("secure_delete", "ON")
            verdict = connection.pragma("integrity_check")
            if verdict != "ok":
                raise JournalError(f"{source} is damaged ({opening.in_words(verdict)}): take an older backup")
            migrations.apply(connection, migrations.known("sqlite"))
            with connection:
                lost = _lose_unopened(connection, keys)
                in_doubt = _rest(connection, by, source)
            taps, bodies = connection.execute(Q["count_taps"]).get, connection.execute(Q["count_bodies"]).get
            connection.pragma("application_id", opening.APPLICATION_ID)
        finally:
            connection.close()
    except apsw.Error as exc:
        raise JournalError(f"{source} cannot be restored ({type(exc).__name__}: {exc}): take an older backup") from exc
    sync(fresh)

    def named(journal: str, aside: str | None) -> Restored:
        named = tuple(lost[:LOST_NAMED_MAX])
        return Restored(str(source), journal, taps, in_doubt, bodies, len(lost), named, aside)

    return named


def _lose_unopened(connection: apsw.Connection, keys: Keyring) -> list[str]:
    """Erase what no key opens any more, and close its epochs; whose it was."""
    journal = str(connection.execute(Q["get_meta"], ("journal_id",)).get)
    wrapped = bytes(connection.execute(Q["get_meta"], ("digest_key",)).get)
    try:
        unwrap(keys.kek, wrapped, f"digest key of journal {journal}")
    except SealError as exc:
        raise RefusedError("the kek_file is not the one this backup's journal was made with: give that one") from exc
    epochs = EpochKeys(keys.shelf, keys.kek, journal)
    opened = set()
    ran = housekeeping.read_ran(connection)
    for epoch in housekeeping.live_epochs(connection):
        try:
            epochs.open(epoch.number)
            opened.add(epoch.number)
        except SealError:
            connection.execute(Q["lose_epoch"], (ran, epoch.number))
    gone = []
    for owner, purpose, epoch, *box in connection.execute(Q["sealed_all"]):
        try:
            unseal(epochs.key(epoch), owner, purpose, Sealed(epoch, *box))
        except SealError:
            gone.append((owner, purpose, epoch))
    for part in gone:
        connection.execute(Q["erase_part"], part)
    return sorted({owner for owner, _, _ in gone})


def _rest(connection: apsw.Connection, by: AuditDraft, source: Path) -> int:
    """Every row that could still be sent by itself is in doubt, each with its notice; how many."""
    now: Micros = by.at
    notice = NoticeDraft(
        NoticeKind.IN_DOUBT,
        cause_key(NoticeKind.IN_DOUBT, CAUSE),
        "unfinished in the backup: it may have been sent since",
    )
    connection.execute(Q["restore_attempts"], (now,))
    connection.execute(Q["restore_notices"], (notice.kind.value, notice.cause, notice.detail, now))
    connection.execute(Q["restore_working"], (housekeeping.read_ran(connection),))
    in_doubt = connection.changes()
    if in_doubt:
        window = open_episode(notice, now)
        bindings = (notice.kind.value, notice.cause, window.step, window.opened_at, window.closes_at)
        connection.execute(Q["open_episode"], bindings)
    for query in ("restore_failed", "restore_realtime", "restore_holds", "restore_outages", "decide_restored"):
        connection.execute(Q[query])
    _end_journeys(connection, now)
    audit.write(connection, by, str(source))
    return in_doubt


def _end_journeys(connection: apsw.Connection, now: Micros) -> None:
    """A journey that was open may have been checked out since: no tap may end it any more, and a person is told."""
    for number, check_in in list(connection.execute(Q["restore_journeys"])):
        connection.execute(Q["move_journey"], (JourneyState.EXPIRED.value, now, number))
        words = f"journey {number}: open in the backup; it may have been checked out since"
        notice = NoticeDraft(NoticeKind.JOURNEY, cause_key(NoticeKind.JOURNEY, CAUSE), words)
        insert_notices(connection, (notice,), connection.execute(Q["tap_of_uuid"], (check_in,)).get, check_in, now)


def _set_aside(target: Path) -> Path | None:
    """Give the former journal and its log another name, journal first: alone, its log does no harm."""
    number = 1
    while (aside := target.with_name(f"{target.name}.before-restore-{number}")).exists():
        number += 1
    moved = None
    for suffix in _SUFFIXES:
        part = target.with_name(target.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
            moved = aside
    return moved
