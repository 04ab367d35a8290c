"""What a check finds in an SQLite journal that was damaged behind its back, and what upkeep does when disks fail."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.integration.small_disk import small_disk
from tests.store.builders import APPROVED, NOW, after, card, claim_one, fail_for_good, send, settle, take, take_many
from tests.store.engines import SqliteEngine
from tpsd.domain.audit import AuditDraft
from tpsd.domain.time import DAY
from tpsd.domain.upkeep import Finding
from tpsd.errors import JournalError, JournalUnavailableError, RefusedError
from tpsd.store import checking, copying, housekeeping, opening, pruning
from tpsd.store.commits import Q
from tpsd.store.housekeeping import Keep
from tpsd.store.restoring import unmark
from tpsd.store.sqlite import SqliteJournal
from tpsd.store.upkeep import Upkeep
from tpsd.store.viewing import JournalView

BY = AuditDraft(NOW, "alice (1000)", "store backup", "before the update")


@pytest.fixture
def engine(tmp_path: Path) -> SqliteEngine:
    return SqliteEngine(tmp_path / "engine", inline=False)


@pytest.fixture
async def journal(engine: SqliteEngine) -> AsyncIterator[SqliteJournal]:
    """A journal with one tap approved, one failed for good, one being sent and one denied."""
    journal = await engine.open()
    await take(journal, 1)
    await send(journal, APPROVED)
    await take(journal, 2)
    await fail_for_good(journal)
    await take(journal, 3)
    await claim_one(journal)
    await take(journal, 4, card=card(expiry="2001"))
    try:
        yield journal
    finally:
        await journal.close()


@contextmanager
def tampering(engine: SqliteEngine) -> Iterator[sqlite3.Connection]:
    """The file without any guard."""
    connection = sqlite3.connect(engine.path)
    connection.executescript("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON")
    try:
        with connection:
            yield connection
    finally:
        connection.close()


def looked_at(engine: SqliteEngine) -> list[Finding]:
    view = JournalView(engine.path)
    try:
        return checking.examine(view._connection, engine.epoch_keys())
    finally:
        view.close()


CONTRADICTIONS: dict[str, tuple[str, ...]] = {
    "attempt_open": ("UPDATE attempt SET ended_at = NULL, outcome = NULL WHERE number = 2",),
    "sending_unattempted": (
        "UPDATE attempt SET ended_at = 1, outcome = 'unknown' "
        "WHERE uuid = (SELECT uuid FROM authorisation WHERE state = 'sending')",
    ),
    "attempt_number": ("UPDATE authorisation SET attempt = 7 WHERE state = 'approved'",),
    "doubt_forgotten": ("UPDATE authorisation SET may_have_charged = 0 WHERE state = 'permanently_failed'",),
    "final_unsettled": ("UPDATE authorisation SET settled_at = NULL WHERE state = 'approved'",),
    "resting_undated": ("UPDATE authorisation SET ran_rested = NULL WHERE state = 'permanently_failed'",),
    "final_sealed": (
        "UPDATE sealed SET owner = (SELECT uuid FROM authorisation WHERE state = 'approved') "
        "WHERE owner = (SELECT uuid FROM authorisation WHERE state = 'permanently_failed')",
    ),
    "pending_bodiless": (
        "UPDATE authorisation SET state = 'pending', due = 1, ran_rested = NULL WHERE state = 'permanently_failed'",
        "DELETE FROM sealed WHERE purpose = 'body'",
    ),
    "sealed_ownerless": ("UPDATE sealed SET owner = 'nobody' WHERE purpose = 'body' AND rowid = 1",),
    "sealed_keyless": ("UPDATE epoch SET destroyed = 1, ran_closed = 1", "INSERT INTO epoch VALUES (2, 1, NULL, 0, 0)"),
    "epochs_open": ("INSERT INTO epoch VALUES (2, 1, NULL, 0, 0)",),
    "authorisation_tapless": ("UPDATE tap SET uuid = NULL, disposition = 'denied' WHERE id = 1",),
    "tap_undecided": ("UPDATE tap SET verdict = NULL WHERE id = 1",),
    "journey_astray": (
        "INSERT INTO journey (operator, token, state, check_in, opened_at) "
        "SELECT 1, 'card', 'closed', uuid, 0 FROM authorisation WHERE state = 'approved'",
    ),
    "identity_doubled": (
        "INSERT INTO identity SELECT id, serial, boot, counter, digest, verdict, reason, disposition, 0, 0, NULL, 0, "
        "NULL FROM tap WHERE id = 4",
    ),
    "notice_unheard": ("DELETE FROM episode",),
    "foreign_key": ("DELETE FROM tap WHERE id = 2",),
    "integrity": ("UPDATE tap SET verdict = 77 WHERE id = 4",),
}
"""Every rule with what breaks it."""


def test_every_rule_is_broken_below() -> None:
    assert set(CONTRADICTIONS) == {*checking.RULES, "integrity", "foreign_key"}


@pytest.mark.parametrize("rule", CONTRADICTIONS)
async def test_a_contradiction_is_found(engine: SqliteEngine, journal: SqliteJournal, rule: str) -> None:
    await journal.close()
    assert looked_at(engine) == []
    with tampering(engine) as connection:
        for statement in CONTRADICTIONS[rule]:
            assert connection.execute(
                statement.replace("rowid = 1", "owner = (SELECT min(owner) FROM sealed)")
            ).rowcount
    before = engine.path.read_bytes()
    found = {finding.rule: finding for finding in looked_at(engine)}
    assert found[rule].count >= 1
    assert found[rule].examples
    assert engine.path.read_bytes() == before, "a check changes nothing"


async def test_many_faults_are_counted_and_some_named(engine: SqliteEngine, journal: SqliteJournal) -> None:
    await take_many(journal, range(10, 60))
    await journal.close()
    with tampering(engine) as connection:
        connection.execute("DELETE FROM sealed WHERE purpose = 'body'")
    (finding,) = looked_at(engine)
    assert (finding.rule, finding.count, len(finding.examples)) == ("pending_bodiless", 50, checking.EXAMPLES_MAX)


async def filled(engine: SqliteEngine) -> SqliteJournal:
    """A journal of some megabytes, beyond what SQLite keeps of it in memory."""
    journal = await engine.open()
    for first in range(0, 3000, 500):
        await take_many(journal, range(first, first + 500))
    await journal.close()
    return await engine.open()


def damage(path: Path) -> None:
    """Zeros over pages in the middle, as a dying card leaves them."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 8192 * 4096)
        file.write(bytes(20 * 4096))


async def test_damage_found_by_a_check_lets_nothing_more_be_written(engine: SqliteEngine) -> None:
    journal = await filled(engine)
    damage(engine.path)
    rules = {finding.rule for finding in await journal.upkeep.check()}
    assert "integrity" in rules
    with pytest.raises(JournalError, match="stays closed until tpsd starts again"):
        await take(journal, 9999)
    await journal.close()
    with pytest.raises(JournalError, match=r"is damaged .* restore a backup"):
        await engine.open()


async def test_damage_met_by_a_tap_is_not_written_over(engine: SqliteEngine) -> None:
    journal = await filled(engine)
    size = engine.path.stat().st_size
    with engine.path.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(size - 4096))
    with pytest.raises(JournalError):
        await take_many(journal, range(9000, 9200))
    with pytest.raises(JournalError, match="stays closed until tpsd starts again"):
        await take(journal, 9999)
    await journal.close()


async def test_a_check_lets_no_other_process_in(engine: SqliteEngine, journal: SqliteJournal) -> None:
    """Closing a second connection in one process must not give the first one's locks away."""
    await journal.upkeep.check()
    code = f"import sqlite3; sqlite3.connect({str(engine.path)!r}, timeout=0).execute('SELECT count(*) FROM tap')"
    other = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code], capture_output=True, check=False)
    assert b"database is locked" in other.stderr
    await take(journal, 99)


async def test_a_check_leaves_the_log_bounded(engine: SqliteEngine, journal: SqliteJournal) -> None:
    await journal.upkeep.check()
    for counter in range(1, 41):
        await take_many(journal, range(counter * 100, counter * 100 + 20))
    assert engine.path.with_name("journal.db-wal").stat().st_size < 2 * 1000 * 4096


class BrokenStick(apsw.VFS):
    """A disk beside the journal's: what is written to it fails."""

    NAME = "broken-stick"

    def __init__(self, base: str) -> None:
        self._base = base
        super().__init__(self.NAME, base)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # type: ignore[override]
        return _Stick(self._base, name, flags)


class _Stick(apsw.VFSFile):
    def xWrite(self, data: Any, offset: int) -> None:
        raise apsw.IOError("the stick said so")


async def test_a_backup_to_a_disk_that_fails_hurts_nobody(
    engine: SqliteEngine, journal: SqliteJournal, tmp_path: Path
) -> None:
    await take_many(journal, range(10, 60))
    (tmp_path / "stick").mkdir()
    before = apsw.vfs_names()[0]
    stick = BrokenStick(before)
    apsw.set_default_vfs(stick.NAME)
    try:
        with pytest.raises(JournalError, match="today cannot be written"):
            await journal.upkeep.backup(tmp_path / "stick" / "today", BY)
    finally:
        apsw.set_default_vfs(before)
        apsw.unregister_vfs(stick.NAME)
    assert list((tmp_path / "stick").iterdir()) == []
    assert (await take(journal, 99)).new


async def test_a_backup_that_would_fill_the_disk(engine: SqliteEngine, journal: SqliteJournal, tmp_path: Path) -> None:
    copy = copying.Copy(tmp_path / "today", spare_bytes=2**60)
    with pytest.raises(RefusedError, match=r"MiB free and needs .* use another disk"):
        await journal._writer.read(copy.begin)
    copy.abandon()
    assert not (tmp_path / "today").exists()


@pytest.mark.parametrize("left", [0, 8, 40])
async def test_a_probe_fails_as_long_as_a_tap_may(tmp_path: Path, left: int) -> None:
    with small_disk() as disk:
        journal = await SqliteEngine(tmp_path / "engine", inline=True).open()
        await take(journal, 1)
        await journal.keep_house(1)
        await journal.probe()
        await journal._writer.read(lambda connection: connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE))
        disk.fill(left * 1024)
        for _ in range(3):
            with pytest.raises(JournalUnavailableError):
                await journal.probe()
        disk.capacity = 2**40
        await journal.probe()
        assert (await take(journal, 2)).new
        await journal.close()


def plans(connection: apsw.Connection, query: str, bindings: Any) -> list[str]:
    return [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {Q[query]}", bindings)]


async def test_pruning_never_scans(journal: SqliteJournal) -> None:
    """Every step looks only at the rows it takes; and so do the foreign keys behind its deletes."""
    walk = {"before": 1, "after": 0, "last": 9, "limit": pruning.SLICE}
    queries: dict[str, Any] = {
        "walk_taps": walk,
        "keep_identities": ("[]",),
        "prune_notices_of_taps": ("[]",),
        "prune_taps": ("[]",),
        "authorisations_of_nobody": ("[]",),
        "prune_notices_of_authorisations": ("[]",),
        "prune_attempts": ("[]",),
        "prune_authorisations": ("[]",),
        "prune_identities": (9, 9),
        "prune_notices_of_mails": ("[]",),
        "prune_mails": ("[]",),
    }

    def found(connection: apsw.Connection) -> dict[str, list[str]]:
        return {name: plans(connection, name, bindings) for name, bindings in queries.items()}

    for name, steps in (await journal._writer.read(found)).items():
        scans = [step for step in steps if step.startswith("SCAN")]
        small = ("json_each", "gone", "family", "CONSTANT ROW")  # what is asked about, and the few that follow it
        assert all(any(one in step for one in small) for step in scans), (name, steps)


async def test_repeats_are_looked_up_by_index(journal: SqliteJournal) -> None:
    def found(connection: apsw.Connection) -> list[str]:
        named = plans(connection, "taps_of_identity", ("VAL", 1, 1))
        return named + plans(connection, "tap_unnamed", ("VAL", b"x" * 32))

    steps = [step for step in await journal._writer.read(found) if "COMPOUND" not in step and "UNION" not in step]
    assert not [step for step in steps if step.startswith("SCAN")], steps


async def test_a_pruned_row_is_a_tenth(engine: SqliteEngine, tmp_path: Path) -> None:
    """What stays for 400 days is small beside what went."""
    journal = await engine.open()
    await take_many(journal, range(1, 501))
    while claims := await journal.claim(NOW, 100):
        for claimed in claims:
            await settle(journal, claimed, APPROVED)
    await journal.upkeep.backup(tmp_path / "before", BY)
    await journal.upkeep.prune(DAY, after(10 * 86_400), BY)
    await journal._writer.read(lambda connection: connection.execute("VACUUM") and None)
    await journal.upkeep.backup(tmp_path / "after", BY)
    empty = 200 * 1024
    assert (tmp_path / "after").stat().st_size - empty < (tmp_path / "before").stat().st_size / 3
    await journal.close()


async def test_an_epoch_with_a_row_left_is_never_destroyed(journal: SqliteJournal) -> None:
    """Rows gate it, never age alone."""
    work = journal._writer.write
    assert not await work(lambda connection: housekeeping.retire_epoch(connection, 1)), "it is open"
    await work(lambda connection: connection.execute("UPDATE epoch SET ran_closed = 0") and None)
    assert not await work(lambda connection: housekeeping.retire_epoch(connection, 1)), "bodies are under it"
    await work(lambda connection: connection.execute("DELETE FROM sealed") and None)
    assert await work(lambda connection: housekeeping.retire_epoch(connection, 1))


def test_what_was_not_begun_is_not_copied(tmp_path: Path) -> None:
    copy = copying.Copy(tmp_path / "today")
    with pytest.raises(JournalError, match="was not begun"):
        copy.step()
    with pytest.raises(JournalError, match="was not begun"):
        copy.finish()
    copy.abandon()
    assert list(tmp_path.iterdir()) == []


async def test_only_a_copy_of_ours_becomes_a_journal_again(
    engine: SqliteEngine, journal: SqliteJournal, tmp_path: Path
) -> None:
    await journal.upkeep.backup(tmp_path / "today", BY)
    unmark(tmp_path / "today")
    unmarked = (tmp_path / "today").read_bytes()
    assert opening.application_id(unmarked[: opening.HEADER_BYTES]) == opening.APPLICATION_ID
    unmark(tmp_path / "today")
    assert (tmp_path / "today").read_bytes() == unmarked
    (tmp_path / "text").write_text("no such thing" * 100)
    with pytest.raises(JournalError, match="cannot be written"):
        unmark(tmp_path / "text")
    assert (tmp_path / "text").read_text() == "no such thing" * 100


async def test_a_copy_made_in_slices_has_what_was_written_meanwhile(engine: SqliteEngine, tmp_path: Path) -> None:
    journal = await filled(engine)
    copy = copying.Copy(tmp_path / "today")
    await journal._writer.read(copy.begin)
    a_slice_each = count(0, 0.6 * copying.SLICE_SECONDS).__next__
    slices = 0
    while not await journal._writer.read(lambda connection: copy.step(a_slice_each)):
        slices += 1
        assert (await take(journal, 10_000 + slices)).new
    assert slices > 1
    copy.finish()
    await journal.close()
    with closing(sqlite3.connect(tmp_path / "today")) as copied:
        assert copied.execute("SELECT count(*) FROM tap").fetchone() == (3000 + slices,)
        assert copied.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_a_damaged_journal_has_no_backup(engine: SqliteEngine, journal: SqliteJournal, tmp_path: Path) -> None:
    def tamper(connection: apsw.Connection) -> None:
        connection.execute("PRAGMA ignore_check_constraints = ON; UPDATE tap SET verdict = 11 WHERE counter = 1")

    await journal._writer.write(tamper)
    (tmp_path / "stick").mkdir()
    with pytest.raises(JournalError, match=r"the journal is damaged \(CHECK constraint failed.*so is a copy of it"):
        await journal.upkeep.backup(tmp_path / "stick" / "today", BY)
    assert list((tmp_path / "stick").iterdir()) == []
    await journal.close()
    with pytest.raises(JournalError, match=r"is damaged \(CHECK constraint failed.*restore a backup"):
        await engine.open()


async def test_of_a_closed_journal_there_is_no_backup(journal: SqliteJournal, tmp_path: Path) -> None:
    await journal.close()
    (tmp_path / "stick").mkdir()
    with pytest.raises(JournalError, match="closed"):
        await journal.upkeep.backup(tmp_path / "stick" / "today", BY)
    assert list((tmp_path / "stick").iterdir()) == []


async def test_a_check_that_nobody_waits_for_ends_and_leaves_the_journal_as_it_was(
    engine: SqliteEngine, journal: SqliteJournal
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def keys() -> list[int]:
        begun.set()
        assert go_on.wait(60)
        return engine.epoch_keys()

    check = asyncio.create_task(Upkeep(journal._writer, engine.path, keys).check())
    await asyncio.to_thread(begun.wait, 60)
    check.cancel()
    with pytest.raises(asyncio.CancelledError):
        await check
    go_on.set()
    assert await journal.upkeep.check() == []
    for counter in range(1, 41):
        await take_many(journal, range(counter * 100, counter * 100 + 20))
    assert engine.path.with_name("journal.db-wal").stat().st_size < 2 * 1000 * 4096


async def test_a_key_outlives_the_last_of_more_rows_than_a_minute_wraps_anew(engine: SqliteEngine) -> None:
    journal = await filled(engine)
    await journal.keep_house(housekeeping.EPOCH_US)
    done = await journal.keep_house(housekeeping.REWRAP_AFTER_US)
    moved = done["rows_rewrapped"]
    assert (moved, done["keys_destroyed"]) == (5000, 0)
    assert engine.epoch_keys()[0] == 1, "what is left of its rows needs it"
    done = await journal.keep_house(1)
    assert (done["rows_rewrapped"], done["keys_destroyed"]) == (1000, 1)
    assert 1 not in engine.epoch_keys()
    assert all(claimed.body for claimed in await journal.claim(NOW, 3000))
    assert await journal.upkeep.check() == []
    await journal.close()


async def test_what_may_not_go_yet_does_not_stop_what_may(engine: SqliteEngine) -> None:
    """A round looks at so many taps and no more; the next one begins where it ended."""
    journal = await filled(engine)
    await take_many(journal, range(3000, 5000))
    await take(journal, 9000, card=card(expiry="2001"))
    for _ in range(3):
        await journal.keep_house(DAY)
    await journal.close()
    journal = await engine.open(keep=Keep(retention_us=DAY))
    await take(journal, 9001, now=after(100 * DAY / 1e6))
    assert (await journal.keep_house(1))["taps_pruned"] == 0
    assert (await journal.keep_house(1))["taps_pruned"] == 1
    assert (await journal.totals()).states == {"pending": 5001}
    await journal.close()


async def test_a_sweep_that_a_full_disk_stopped_is_made_before_the_next_list(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "engine", inline=True)
    left = await engine.open()
    cards = b"".join(number.to_bytes(32, "big") for number in range(1000))
    await left.denylist.fill(await left.denylist.begin("file", NOW), cards)
    killed = engine.after_sigkill()
    await left.close()
    with small_disk() as disk:
        journal = await killed.open()
        disk.fill()
        with pytest.raises(JournalUnavailableError):
            await journal.denylist.tidy(10)
        disk.capacity = 2**40
        assert await journal.denylist.tidy(10) == 1000
        assert await journal.denylist.tidy(10) == 0
        await journal.close()
