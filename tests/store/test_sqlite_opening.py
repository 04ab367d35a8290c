"""What an SQLite journal refuses to open, and the words it does so with."""

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from tests.store.builders import APPROVED, claim_one, fail_for_good, send, take, take_many
from tests.store.engines import IDENTITY, KEK, SqliteEngine
from tpsd.domain.time import HOUR
from tpsd.errors import JournalError
from tpsd.store import migrations, opening
from tpsd.store.epochs import KeyFolder
from tpsd.store.migrations import Migration
from tpsd.store.sqlite import Secrets, SqliteJournal


@pytest.fixture
def engine(tmp_path: Path) -> SqliteEngine:
    return SqliteEngine(tmp_path / "engine", inline=True)


@pytest.fixture
async def closed(engine: SqliteEngine) -> SqliteEngine:
    """An engine whose journal holds some taps and is closed."""
    journal = await engine.open()
    await take_many(journal, range(1, 21))
    await journal.close()
    return engine


def direct(engine: SqliteEngine, sql: str) -> None:
    """Change the file behind the journal's back."""
    with sqlite3.connect(engine.path) as connection:
        connection.execute(sql)
    connection.close()


async def test_a_folder_that_is_not_there(engine: SqliteEngine) -> None:
    engine.path.parent.rmdir()
    with pytest.raises(JournalError, match=r"no folder: make it, or correct \[store\] url"):
        await engine.open()


async def test_a_folder_in_the_journals_place(engine: SqliteEngine) -> None:
    engine.path.mkdir()
    with pytest.raises(JournalError, match="cannot be read"):
        await engine.open()


async def test_a_link_to_a_disk_that_is_not_there(engine: SqliteEngine) -> None:
    engine.path.symlink_to(engine.folder / "unplugged" / "journal.db")
    for _ in range(2):
        with pytest.raises(JournalError, match=r"journal\.db cannot be opened: .*No such file or directory"):
            await engine.open()
    (engine.folder / "unplugged").mkdir()
    journal = await engine.open()
    assert (await take(journal)).new
    await journal.close()


async def test_a_lock_that_cannot_be_made(engine: SqliteEngine) -> None:
    engine.path.with_name("journal.db.lock").mkdir()
    with pytest.raises(JournalError, match=r"journal\.db\.lock cannot be made: Is a directory"):
        await engine.open()


def test_a_folder_that_cannot_be_flushed(engine: SqliteEngine) -> None:
    def fails(folder: Path) -> None:
        raise OSError(errno.EIO, "Input/output error", str(folder))

    with pytest.raises(JournalError, match=r"cannot be flushed \(Input/output error\): look at the disk's health"):
        opening.connect(engine.path, sync=fails)
    opening.connect(engine.path).close()


def test_a_file_system_that_cannot_hold_a_journal() -> None:
    with pytest.raises(JournalError, match="did not take journal_mode=WAL: this file system cannot hold a journal"):
        opening.connect(Path("/anywhere"), vfs="memdb")


async def test_files_are_private(closed: SqliteEngine) -> None:
    journal = await closed.open()
    await take(journal, 99)
    for path in closed.path.parent.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path
    for path in closed.key_folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path
    assert closed.key_folder.stat().st_mode & 0o777 == 0o700
    await journal.close()


async def test_the_settings_that_make_a_commit_durable_are_on(closed: SqliteEngine) -> None:
    connection = opening.connect(closed.path)
    settings = {
        name: connection.pragma(name) for name in ("journal_mode", "synchronous", "secure_delete", "foreign_keys")
    }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1, "foreign_keys": 1}
    assert connection.pragma("locking_mode") == "exclusive"
    assert connection.pragma("application_id") == 0x74707364
    assert not closed.path.with_name("journal.db-shm").exists()
    connection.close()


@pytest.mark.parametrize("inline", [True, False])
async def test_a_second_daemon_is_refused_with_the_first_ones_pid(tmp_path: Path, inline: bool) -> None:
    engine = SqliteEngine(tmp_path / "engine", inline=inline)
    first = await engine.open()
    with pytest.raises(JournalError, match=f"in use by process {os.getpid()}"):
        await engine.open()
    assert (await take(first)).new
    await first.close()
    again = await engine.open()
    await again.close()


async def test_a_refused_open_lets_go_of_the_lock(closed: SqliteEngine) -> None:
    for _ in range(3):
        with pytest.raises(JournalError, match="kek_file"):
            await closed.open(kek=bytes(32))
    journal = await closed.open()
    await journal.close()


async def test_another_program_holding_the_file_is_named_as_such(closed: SqliteEngine) -> None:
    other = apsw.Connection(str(closed.path))
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(JournalError, match="in use by another process"):
        await closed.open()
    other.close()


async def test_a_text_file_is_no_journal(engine: SqliteEngine) -> None:
    engine.path.write_text("tpsd's journal should have stood here\n" * 10)
    with pytest.raises(JournalError, match="damaged or no SQLite file"):
        await engine.open()
    assert engine.path.read_text().startswith("tpsd's journal")


async def test_a_short_file_is_no_journal(engine: SqliteEngine) -> None:
    engine.path.write_bytes(b"SQLite format 3\x00")
    with pytest.raises(JournalError, match="damaged or no SQLite file"):
        await engine.open()


async def test_an_empty_file_becomes_a_journal(engine: SqliteEngine) -> None:
    engine.path.touch(0o600)
    journal = await engine.open()
    assert (await take(journal)).new
    await journal.close()


async def test_zeros_are_no_journal(engine: SqliteEngine) -> None:
    engine.path.write_bytes(bytes(4096))
    with pytest.raises(JournalError, match="damaged"):
        await engine.open()


async def test_another_programs_database_is_refused_and_left_alone(engine: SqliteEngine) -> None:
    direct(engine, "CREATE TABLE places (name TEXT)")
    before = engine.path.read_bytes()
    with pytest.raises(JournalError, match="another program"):
        await engine.open()
    assert engine.path.read_bytes() == before


async def test_a_marked_backup_is_refused_and_the_restore_named(closed: SqliteEngine) -> None:
    direct(closed, f"PRAGMA application_id = {0x74707362}")
    with pytest.raises(JournalError, match=r"is a backup, .*tpsd store restore"):
        await closed.open()


async def test_a_newer_schema_is_refused(closed: SqliteEngine) -> None:
    direct(closed, "INSERT INTO migration VALUES (9, 'fares', 'digest', 9)")
    with pytest.raises(
        JournalError, match=r"schema 9 \(fares\), which this version .* may not read: run the newer tpsd"
    ):
        await closed.open()


async def test_a_newer_schema_that_older_code_may_read_opens(closed: SqliteEngine) -> None:
    direct(closed, "INSERT INTO migration VALUES (9, 'fares', 'digest', 1)")
    journal = await closed.open()
    assert (await take(journal, 99)).new
    await journal.close()


async def test_a_changed_migration_is_refused(closed: SqliteEngine) -> None:
    direct(closed, "UPDATE migration SET digest = 'other' WHERE number = 1")
    with pytest.raises(JournalError, match="0001_journal was changed after it was applied"):
        await closed.open()


def test_migrations_go_up_one_by_one_and_once(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "some.db"))
    one = Migration(1, "one", "CREATE TABLE a (x)", "d1", 1)
    two = Migration(2, "two", "CREATE TABLE b (x); CREATE TABLE c (x)", "d2", 1)
    assert migrations.apply(connection, (one,)) == ["one"]
    assert migrations.apply(connection, (one, two)) == ["two"]
    assert migrations.apply(connection, (one, two)) == []
    connection.close()


def test_a_migration_that_fails_leaves_nothing_of_itself(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "some.db"))
    bad = Migration(1, "bad", "CREATE TABLE a (x); CREATE TABLE a (x)", "d1", 1)
    with pytest.raises(apsw.SQLError):
        migrations.apply(connection, (bad,))
    assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'a'").get == 0
    assert migrations.apply(connection, (Migration(1, "good", "CREATE TABLE a (x)", "d1", 1),)) == ["good"]
    connection.close()


def test_every_migration_says_who_may_still_read_it() -> None:
    known = migrations.known("sqlite")
    assert [migration.number for migration in known] == list(range(1, len(known) + 1))
    assert all(1 <= migration.oldest <= migration.number for migration in known)


def cut_in_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def zero_a_page(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(4096))


def garble_the_schema(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(100)
        file.write(os.urandom(3000))


def garble_every_page_but_the_first(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        for page in range(1, size // 4096):
            file.seek(page * 4096)
            file.write(b"\xff" * 64)


@pytest.mark.parametrize("damage", [cut_in_half, zero_a_page, garble_the_schema, garble_every_page_but_the_first])
@pytest.mark.parametrize("inline", [True, False])
async def test_a_damaged_file_is_refused_with_clear_words(
    tmp_path: Path, damage: Callable[[Path], None], inline: bool
) -> None:
    engine = SqliteEngine(tmp_path / "engine", inline=inline)
    journal = await engine.open()
    await take_many(journal, range(1, 21))
    await journal.close()
    damage(engine.path)
    with pytest.raises(JournalError, match=r"damaged .*restore a backup with 'tpsd store restore'"):
        await engine.open()


async def test_a_flipped_byte_in_a_sealed_body_fails_that_row_alone(closed: SqliteEngine) -> None:
    direct(closed, "UPDATE sealed SET data = zeroblob(length(data)) WHERE purpose = 'body' AND rowid = 1")
    journal = await closed.open()
    assert len(await journal.claim(claimable := (await journal.next_due()), 100)) == 19  # type: ignore[arg-type]
    assert claimable is not None
    assert (await journal.totals()).states == {"permanently_failed": 1, "sending": 19}
    await journal.close()


async def test_a_damaged_wrapped_key_does_not_stop_the_epochs_end(closed: SqliteEngine) -> None:
    direct(closed, "UPDATE sealed SET wrapped_key = zeroblob(60) WHERE purpose = 'body' AND rowid = 1")
    journal = await closed.open()
    done = [await journal.keep_house(HOUR) for _ in range(72)]
    assert sum(one["rows_rewrapped"] for one in done) == 39
    assert sum(one["keys_destroyed"] for one in done) == 1
    due = await journal.next_due()
    assert due is not None
    assert len(await journal.claim(due, 100)) == 19
    await journal.close()


async def test_the_file_that_power_left_while_it_was_made_is_made_again(engine: SqliteEngine) -> None:
    # Zeros of a page that was allocated and never written, and the journal that says how long the file was: 0.
    header = bytes.fromhex("d9d505f920a163d7") + bytes(4) + bytes(4) + bytes(4) + (4096).to_bytes(4, "big")
    engine.path.write_bytes(bytes(4096))
    engine.path.with_name("journal.db-journal").write_bytes(header + (4096).to_bytes(4, "big") + bytes(4068))
    journal = await engine.open()
    assert (await take(journal)).new
    await journal.close()


async def test_another_programs_database_with_its_own_journal_beside_is_refused_too(engine: SqliteEngine) -> None:
    direct(engine, "CREATE TABLE places (name TEXT)")
    engine.path.with_name("journal.db-journal").write_bytes(bytes(512))  # as SQLite leaves one that is kept
    before = engine.path.read_bytes()
    with pytest.raises(JournalError, match="another program"):
        await engine.open()
    assert engine.path.read_bytes() == before


@pytest.mark.parametrize("log", ["journal.db-journal", "journal.db-wal"])
async def test_a_text_file_with_a_log_beside_is_no_journal(engine: SqliteEngine, log: str) -> None:
    engine.path.write_text("tpsd's journal should have stood here\n" * 10)
    engine.path.with_name(log).write_bytes(b"")
    with pytest.raises(JournalError, match="is damaged"):
        await engine.open()


async def test_another_journals_epoch_folder_is_refused_and_survives(closed: SqliteEngine, tmp_path: Path) -> None:
    other = tmp_path / "other" / "journal.db"
    other.parent.mkdir()
    before = {path.name: path.read_bytes() for path in closed.key_folder.iterdir()}
    with pytest.raises(JournalError, match="each journal needs an epoch_dir of its own"):
        await SqliteJournal.open(other, IDENTITY, Secrets(KEK, KeyFolder(closed.key_folder)), inline=True)
    assert {path.name: path.read_bytes() for path in closed.key_folder.iterdir()} == before
    journal = await closed.open()
    await journal.close()


@pytest.mark.parametrize("left", [b"", bytes(30), bytes(64), b"torn", b"garbage." * 8])
async def test_what_a_crash_left_of_a_key_is_swept(closed: SqliteEngine, left: bytes) -> None:
    (closed.key_folder / "epoch-00000007.key").write_bytes(left)
    journal = await closed.open()
    assert closed.epoch_keys() == [1]
    await journal.close()


async def test_a_damaged_epoch_key_is_refused(closed: SqliteEngine) -> None:
    path = closed.key_folder / "epoch-00000001.key"
    stored = path.read_bytes()
    path.write_bytes(stored[:40] + bytes([stored[40] ^ 1]) + stored[41:])
    with pytest.raises(JournalError, match=r"epoch 1 of journal .* does not open"):
        await closed.open()


async def test_a_shelf_that_refuses_keeps_the_old_epoch_going(engine: SqliteEngine) -> None:
    journal = await engine.open()
    await take(journal, 1)
    for _ in range(23):
        await journal.keep_house(HOUR)
    shutil.move(engine.key_folder, engine.key_folder.with_name("elsewhere"))
    with pytest.raises(JournalError, match="it is tried again"):
        await journal.keep_house(HOUR)
    await take(journal, 2)
    shutil.move(engine.key_folder.with_name("elsewhere"), engine.key_folder)
    assert (await journal.keep_house(1))["epochs_begun"] == 1
    await send_both(journal)
    await journal.close()


async def send_both(journal: SqliteJournal) -> None:
    due = await journal.next_due()
    assert due is not None
    assert all(claimed.body for claimed in await journal.claim(due, 10))


async def test_the_write_ahead_log_is_emptied_at_a_clean_end(closed: SqliteEngine) -> None:
    assert not closed.path.with_name("journal.db-wal").exists()


async def test_many_generations_of_one_file(engine: SqliteEngine) -> None:
    for generation in range(5):
        journal = await engine.open()
        await take(journal, generation)
        await (send(journal, APPROVED) if generation % 2 else fail_for_good(journal))
        await journal.close()
    journal = await engine.open()
    assert (await journal.totals()).states == {"approved": 2, "permanently_failed": 3}
    with pytest.raises(ValueError, match="not enough values"):
        await claim_one(journal)
    await journal.close()
