"""The journal as a whole: looked through, pruned and copied while it is at work, and restored."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.intake_taps import told_of
from tests.small_files import no_file_beyond
from tests.store.builders import (
    APPROVED,
    NOW,
    TAP_REFUSED,
    TERMINAL,
    TERMINAL_REFUSED,
    after,
    card,
    claim_one,
    closer,
    crashed_asked,
    fail_for_good,
    send,
    settle,
    take,
    take_many,
)
from tests.store.engines import FILES, KEK, Engine, SqliteEngine
from tpsd.domain.audit import AuditDraft
from tpsd.domain.tap import Shown, Told, Verdict
from tpsd.domain.time import DAY, HOUR
from tpsd.domain.upkeep import Pruned, Restored
from tpsd.domain.views import TapFilter
from tpsd.errors import JournalError, NotFoundError, RefusedError
from tpsd.ports import Taken
from tpsd.store.epochs import KeyFolder
from tpsd.store.housekeeping import Keep
from tpsd.store.journal import SqlJournal
from tpsd.store.restoring import Keyring, restore

BY = AuditDraft(NOW, "alice (1000)", "store backup", "before the update")
LATER = after(100 * DAY / 1e6)
EXPIRED = card(expiry="2001")


async def approved(journal: SqlJournal, *counters: int) -> None:
    """Taps that are final."""
    for counter in counters:
        await take(journal, counter)
        await send(journal, APPROVED)


async def run(journal: SqlJournal, days: int) -> int:
    """Let days of running time pass; how many taps were pruned."""
    return sum([(await journal.keep_house(6 * HOUR))["taps_pruned"] for _ in range(4 * days)])


async def audited(journal: SqlJournal) -> list[tuple[str, str, str]]:
    def rows(connection: object) -> list[tuple[str, str, str]]:
        return list(connection.execute("SELECT who, what, subject FROM audit ORDER BY id"))  # type: ignore[attr-defined]

    return await journal._writer.read(rows)


class TestCheck:
    """A whole journal has no findings, whatever it went through."""

    async def test_every_state(self, journal: SqlJournal) -> None:
        assert await journal.upkeep.check() == []
        await approved(journal, 1)
        await take(journal, 2)
        await send(journal, TAP_REFUSED)
        await take(journal, 3, card=EXPIRED)
        await take(journal, None, fault="no tap id")
        await take(journal, 4)
        await fail_for_good(journal)
        await take(journal, 5)
        await send(journal, TERMINAL_REFUSED)
        await take(journal, 6, serial="VAL00099")
        await claim_one(journal)
        assert await journal.upkeep.check() == []

    async def test_after_a_crash(self, engine: Engine, journal: SqlJournal) -> None:
        await take(journal)
        await claim_one(journal)
        copy = engine.after_sigkill()
        again = await copy.open()
        assert isinstance(again, SqlJournal)
        assert await again.upkeep.check() == []
        await again.close()

    async def test_taps_go_on_meanwhile_and_after(self, engine: Engine, journal: SqlJournal) -> None:
        await take_many(journal, range(1, 101))
        findings, *taken = await asyncio.gather(
            journal.upkeep.check(), *(take(journal, counter) for counter in range(101, 201))
        )
        assert findings == []
        assert len(taken) == 100
        assert (await journal.totals()).taps == 200
        assert await journal.upkeep.check() == []

    async def test_a_lost_key_is_found(self, engine: Engine, journal: SqlJournal) -> None:
        engine.lose_key(1)
        (finding,) = await journal.upkeep.check()
        assert (finding.rule, finding.count, finding.examples) == ("key_missing", 1, ("epoch 1",))


class TestPrune:
    """What is final and old goes; the answer to its repeat does not."""

    async def test_a_repeat_still_gets_the_same_verdict_and_sends_nothing(self, journal: SqlJournal) -> None:
        await approved(journal, 1)
        await take(journal, 2, card=EXPIRED)
        await approved(journal, 3)
        assert await journal.upkeep.prune(90 * DAY, LATER, BY) == Pruned(after(10 * DAY / 1e6), taps=2)
        with pytest.raises(NotFoundError):
            await journal.story("1")
        again = await take(journal, 1, now=LATER)
        assert again == Taken(1, Told(Verdict.ACCEPTED, "ok"), new=False)
        assert (await take(journal, 2, now=LATER, card=EXPIRED)).told == Told(Verdict.DENIED, "expired")
        assert await journal.claim(LATER, 10) == []
        assert await journal.upkeep.check() == []

    async def test_other_content_under_a_pruned_identity_is_a_new_tap_and_an_alarm(self, journal: SqlJournal) -> None:
        await approved(journal, 1, 2)
        await journal.upkeep.prune(90 * DAY, LATER, BY)
        taken = await take(journal, 1, content=b" of a swapped board", now=LATER)
        assert (taken.new, taken.noticed, taken.number) == (True, True, 3)

    async def test_an_unnamed_tap_is_known_too(self, journal: SqlJournal) -> None:
        first = await take(journal, None, fault="no tap id")
        await approved(journal, 1)
        assert (await journal.upkeep.prune(90 * DAY, LATER, BY)).taps == 1
        again = await take(journal, None, fault="no tap id", now=LATER)
        assert again == Taken(first.number, first.told, new=False)

    async def test_what_was_shown_changes_nothing_but_is_told_once(self, journal: SqlJournal) -> None:
        await approved(journal, 1)
        await take(journal, 2, card=EXPIRED)
        await approved(journal, 3)
        await journal.upkeep.prune(90 * DAY, LATER, BY)
        away = await take(journal, 1, now=LATER, shown=Shown.TURNED_AWAY)
        assert (told_of(away).verdict, away.new, away.noticed) == (Verdict.ACCEPTED, False, True)
        assert not (await take(journal, 1, now=LATER, shown=Shown.TURNED_AWAY)).noticed
        let_in = await take(journal, 2, now=LATER, card=EXPIRED, shown=Shown.LET_IN)
        assert (told_of(let_in).verdict, let_in.noticed) == (Verdict.DENIED, True)
        assert await journal.claim(LATER, 10) == []
        assert await journal.close_windows(after(101 * DAY / 1e6), closer(LATER)) == 2

    async def test_unfinished_taps_stay(self, journal: SqlJournal) -> None:
        await take(journal, 1)
        await fail_for_good(journal)
        await take(journal, 2)
        await send(journal, TERMINAL_REFUSED)
        await take(journal, 3, serial="VAL00099")
        await take(journal, 4, card=EXPIRED)
        await take(journal, 5, now=LATER, card=EXPIRED)
        assert (await journal.upkeep.prune(90 * DAY, LATER, BY)).taps == 1
        assert [row.number for row in await journal.taps(TapFilter())] == [5, 3, 2, 1]

    async def test_a_notice_that_was_not_mailed_yet_keeps_its_tap(self, journal: SqlJournal) -> None:
        await take(journal, 1)
        await send(journal, TAP_REFUSED)
        await approved(journal, 2)
        assert (await journal.upkeep.prune(90 * DAY, LATER, BY)).taps == 0
        assert await journal.close_windows(after(3600), closer(after(3600))) == 1
        assert (await journal.upkeep.prune(90 * DAY, LATER, BY)).taps == 1
        (mail,) = await journal.mails_due(after(7200), 10)
        await journal.mail_accepted(mail.id, after(7200))
        assert (await journal.upkeep.prune(90 * DAY, LATER, BY)).mails == 1
        assert await journal.upkeep.check() == []

    async def test_no_number_is_given_twice(self, journal: SqlJournal) -> None:
        await approved(journal, 1, 2)
        await journal.upkeep.prune(90 * DAY, LATER, BY)
        assert [row.number for row in await journal.taps(TapFilter())] == [2]
        assert (await take(journal, 3, now=LATER)).number == 3

    async def test_only_counted(self, journal: SqlJournal) -> None:
        await approved(journal, 1, 2)
        assert (await journal.upkeep.prune(90 * DAY, LATER, BY, dry=True)).taps == 1
        assert len(await journal.taps(TapFilter())) == 2
        assert await audited(journal) == []

    async def test_by_hand_it_is_audited_and_never_of_today(self, journal: SqlJournal) -> None:
        await journal.upkeep.prune(90 * DAY, LATER, BY)
        assert await audited(journal) == [("alice (1000)", "store backup", "90 days")]
        with pytest.raises(RefusedError, match="give a day or more"):
            await journal.upkeep.prune(DAY - 1, LATER, BY)

    async def test_many_go_in_slices(self, journal: SqlJournal) -> None:
        await take_many(journal, range(1, 181), card=EXPIRED)
        assert (await journal.upkeep.prune(2 * DAY, LATER, BY)).taps == 179
        assert len(await journal.taps(TapFilter(limit=300))) == 1
        assert not (await take(journal, 77, card=EXPIRED)).new


class TestRetention:
    """By itself the house prunes in running time, so that a clock that steps cannot empty the journal."""

    async def test_by_running_time_and_by_date(self, engine: Engine) -> None:
        journal = await engine.open(keep=Keep(retention_us=10 * DAY))
        assert isinstance(journal, SqlJournal)
        await approved(journal, 1, 2)
        assert await run(journal, 12) == 0, "by the schedule clock they are fresh"
        await take(journal, 3, now=LATER, card=EXPIRED)
        assert await run(journal, 1) == 2
        assert [row.number for row in await journal.taps(TapFilter())] == [3]
        await journal.close()

    async def test_a_clock_that_stepped_by_years_prunes_nothing(self, engine: Engine) -> None:
        journal = await engine.open(keep=Keep(retention_us=10 * DAY))
        assert isinstance(journal, SqlJournal)
        await approved(journal, 1, 2)
        await take(journal, 3, now=after(40 * 365 * DAY / 1e6), card=EXPIRED)
        assert await run(journal, 8) == 0
        await journal.close()

    async def test_identities_go_after_400_days_of_running(self, engine: Engine) -> None:
        journal = await engine.open(keep=Keep(retention_us=10 * DAY))
        assert isinstance(journal, SqlJournal)
        await approved(journal, 1, 2)
        await take(journal, 3, now=LATER, card=EXPIRED)
        assert await run(journal, 12) == 2
        for _ in range(387):
            await journal.keep_house(DAY)
        assert not (await take(journal, 1, now=LATER)).new
        for _ in range(3):
            await journal.keep_house(DAY)
        assert (await take(journal, 1, now=LATER)).new
        await journal.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "elsewhere"


@FILES
class TestBackup:
    """A copy of what was committed, marked so that nobody runs it."""

    async def test_it_is_private_marked_and_whole(self, engine: Engine, journal: SqlJournal, folder: Path) -> None:
        await take_many(journal, range(1, 301))
        await send_one(journal)
        done = await journal.upkeep.backup(folder / "today", BY)
        assert (done.file, done.unfinished) == (str(folder / "today"), {"pending": 299})
        assert [entry.name for entry in folder.iterdir()] == ["today"]
        assert (folder / "today").stat().st_mode & 0o777 == 0o600
        assert done.bytes == (folder / "today").stat().st_size
        assert await audited(journal) == [("alice (1000)", "store backup", str(folder / "today"))]

    async def test_taps_go_on_meanwhile_and_are_in_it(self, engine: Engine, journal: SqlJournal, folder: Path) -> None:
        await take_many(journal, range(1, 301))
        _, *taken = await asyncio.gather(
            journal.upkeep.backup(folder / "today", BY), *(take(journal, counter) for counter in range(301, 401))
        )
        assert len(taken) == 100
        await journal.close()
        found = bring_back(engine, folder / "today", folder / "journal.db")
        assert 300 <= found.taps <= 400

    async def test_what_stands_there_is_left_alone(self, journal: SqlJournal, folder: Path) -> None:
        (folder / "today").write_text("precious")
        with pytest.raises(RefusedError, match="is there already"):
            await journal.upkeep.backup(folder / "today", BY)
        with pytest.raises(RefusedError, match="cannot be made"):
            await journal.upkeep.backup(folder / "none" / "today", BY)
        assert (folder / "today").read_text() == "precious"

    async def test_nobody_can_run_it(self, engine: SqliteEngine, journal: SqlJournal, folder: Path) -> None:
        await journal.upkeep.backup(folder / "today", BY)
        await journal.close()
        engine.path.unlink()
        (folder / "today").rename(engine.path)
        with pytest.raises(JournalError, match="is a backup"):
            await engine.open()


@pytest.mark.parametrize("engine", ["postgres-16"], indirect=True)
async def test_a_backup_of_a_database_is_its_servers(journal: SqlJournal, folder: Path) -> None:
    with pytest.raises(RefusedError, match="pg_dump or pg_basebackup"):
        await journal.upkeep.backup(folder / "today", BY)
    assert list(folder.iterdir()) == []


async def send_one(journal: SqlJournal) -> None:
    (claimed,) = await journal.claim(NOW, 1)
    await settle(journal, claimed, APPROVED)


def bring_back(engine: Engine, source: Path, target: Path, *, force: bool = False, kek: bytes = KEK) -> Restored:
    """Restore with this engine's keys."""
    assert isinstance(engine, SqliteEngine)
    by = AuditDraft(LATER, "alice (1000)", "store restore", "the disk died")
    return restore(source, target, Keyring(kek, KeyFolder(engine.key_folder)), by, force=force)


@FILES
class TestRestore:
    """A backup in the journal's place: what could still be sent is in doubt, and a person hears of it."""

    async def backed_up(self, engine: SqliteEngine, journal: SqlJournal, folder: Path) -> Path:
        """One tap of every kind; the journal is closed and gone."""
        await approved(journal, 1)
        await take(journal, 2)
        await fail_for_good(journal)
        await take(journal, 3)
        await send(journal, TERMINAL_REFUSED)
        await take(journal, 4, serial="VAL00099")
        await claim_one(journal)
        await take(journal, 5, serial="VAL00098")
        await journal.close_windows(after(30 * 3600), closer(after(30 * 3600)))
        await journal.upkeep.backup(folder / "today", BY)
        await journal.close()
        engine.path.unlink()
        return folder / "today"

    async def test_nothing_is_sent_by_itself(self, engine: SqliteEngine, journal: SqlJournal, folder: Path) -> None:
        source = await self.backed_up(engine, journal, folder)
        found = bring_back(engine, source, engine.path)
        assert (found.taps, found.in_doubt, found.bodies_kept, found.bodies_lost) == (5, 3, 4, 0)
        assert source.exists()
        again = await engine.open()
        done = await again.recover(LATER, ["common"], lambda claimed: pytest.fail("no attempt is open"), crashed_asked)
        assert done["attempts_ended_unknown"] == done["freed_with_credential"] == 0
        assert await again.claim(after(1e9), 10) == []
        rows = {row.number: row for row in await again.taps(TapFilter())}
        assert [rows[number].state for number in range(1, 6)] == [
            "approved",
            "permanently_failed",
            "in_doubt",
            "in_doubt",
            "in_doubt",
        ]
        assert [rows[number].cause for number in (3, 4, 5)] == ["restored"] * 3
        assert all(rows[number].may_have_charged for number in (2, 3, 4, 5))
        assert await again.upkeep.check() == []
        assert (await audited(again))[-1] == ("alice (1000)", "store restore", str(source))
        assert await again.close_windows(after(200 * DAY / 1e6), closer(LATER)) == 1
        (mail,) = [mail for mail in await again.mails_due(after(1e9), 10) if "in_doubt/restored" in mail.message_id]
        assert mail.subject.startswith("3 taps")
        assert not (await take(again, 5, serial="VAL00098")).new
        await again.close()

    async def test_new_taps_of_a_terminal_that_was_held_are_sent(
        self, engine: SqliteEngine, journal: SqlJournal, folder: Path
    ) -> None:
        bring_back(engine, await self.backed_up(engine, journal, folder), engine.path)
        again = await engine.open()
        await take(again, 77)
        assert (await claim_one(again)).terminal == TERMINAL
        await again.close()

    async def test_bodies_whose_key_was_destroyed_meanwhile(
        self, engine: SqliteEngine, journal: SqlJournal, folder: Path
    ) -> None:
        source = await self.backed_up(engine, journal, folder)
        engine.lose_key(1)
        found = bring_back(engine, source, engine.path)
        assert (found.bodies_kept, found.bodies_lost, len(found.lost)) == (0, 4, 4)
        again = await engine.open()
        (row, *_) = await again.taps(TapFilter(state="in_doubt"))
        assert not (await again.story(str(row.number))).body_kept
        assert await again.upkeep.check() == []
        await take(again, 99)
        assert (await claim_one(again)).body
        await again.close()

    async def test_a_journal_that_stands_there_is_set_aside_only_when_forced(
        self, engine: SqliteEngine, journal: SqlJournal, folder: Path
    ) -> None:
        await approved(journal, 1)
        await journal.upkeep.backup(folder / "today", BY)
        await approved(journal, 2)
        crashed = engine.after_sigkill()
        await journal.close()
        with pytest.raises(RefusedError, match="--force sets it aside"):
            bring_back(engine, folder / "today", crashed.path)
        assert (await story_of(crashed, 2)) == "approved"
        crashed = engine.after_sigkill()
        found = bring_back(engine, folder / "today", crashed.path, force=True)
        assert found.set_aside == f"{crashed.path}.before-restore-1"
        assert Path(found.set_aside).exists()
        found = bring_back(engine, folder / "today", crashed.path, force=True)
        assert found.set_aside == f"{crashed.path}.before-restore-2", "what was set aside before is not lost"
        again = await crashed.open()
        assert len(await again.taps(TapFilter())) == 1
        await again.close()

    async def test_while_a_daemon_runs(self, engine: SqliteEngine, journal: SqlJournal, folder: Path) -> None:
        await journal.upkeep.backup(folder / "today", BY)
        with pytest.raises(JournalError, match="is in use by process"):
            bring_back(engine, folder / "today", engine.path, force=True)

    async def test_another_kek(self, engine: SqliteEngine, journal: SqlJournal, folder: Path) -> None:
        await journal.upkeep.backup(folder / "today", BY)
        with pytest.raises(RefusedError, match="the kek_file is not the one"):
            bring_back(engine, folder / "today", folder / "journal.db", kek=bytes(32))
        assert sorted(entry.name for entry in folder.iterdir()) == ["journal.db.lock", "today"]

    async def test_what_is_no_backup(self, engine: SqliteEngine, journal: SqlJournal, folder: Path) -> None:
        await journal.close()
        (folder / "text").write_text("no such thing" * 100)
        for source, words in (
            (engine.path, "is a journal"),
            (folder / "text", "is no backup"),
            (folder / "none", "No such file"),
        ):
            with pytest.raises(RefusedError, match=words):
                bring_back(engine, source, folder / "journal.db")

    async def test_a_backup_with_a_value_that_cannot_be(
        self, engine: SqliteEngine, journal: SqlJournal, folder: Path
    ) -> None:
        await approved(journal, 1)
        await journal.upkeep.backup(folder / "today", BY)
        with closing(sqlite3.connect(folder / "today")) as backup, backup:
            backup.execute("PRAGMA ignore_check_constraints = ON")
            backup.execute("UPDATE authorisation SET amount = -amount")
        with pytest.raises(JournalError, match=r"is damaged \(CHECK constraint failed.*take an older backup"):
            bring_back(engine, folder / "today", folder / "journal.db")
        assert not (folder / "journal.db").exists()

    async def test_without_room_the_journal_that_stands_there_stays(
        self, engine: SqliteEngine, journal: SqlJournal, folder: Path
    ) -> None:
        await approved(journal, 1)
        await journal.upkeep.backup(folder / "today", BY)
        await approved(journal, 2)
        await journal.close()
        with no_file_beyond(4096), pytest.raises(JournalError, match=r"\(File too large\): nothing was restored"):
            bring_back(engine, folder / "today", engine.path, force=True)
        with (folder / "today").open("r+b") as backup:
            backup.truncate(shutil.disk_usage(folder).free)  # a hole: it takes no room itself
        with pytest.raises(RefusedError, match=r"MiB free and needs .* MiB: make room"):
            bring_back(engine, folder / "today", engine.path, force=True)
        assert [entry.name for entry in engine.path.parent.iterdir() if "restor" in entry.name] == []
        assert await story_of(engine, 2) == "approved"

    async def test_a_damaged_backup(self, engine: SqliteEngine, journal: SqlJournal, folder: Path) -> None:
        await take_many(journal, range(1, 101))
        await journal.upkeep.backup(folder / "today", BY)
        content = bytearray((folder / "today").read_bytes())
        content[8 * 4096 : 12 * 4096] = bytes(4 * 4096)
        (folder / "today").write_bytes(content)
        with pytest.raises(JournalError, match="take an older backup"):
            bring_back(engine, folder / "today", folder / "journal.db")
        assert not (folder / "journal.db").exists()


async def story_of(engine: Engine, number: int) -> str | None:
    journal = await engine.open()
    try:
        return (await journal.story(str(number))).tap.state
    finally:
        await journal.close()
