"""A journal that the first release made: opened by this one it keeps every row, and works on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.store.builders import APPROVED, NOW, after, claim_one, closer, settle, take
from tests.store.engines import SqliteEngine
from tests.store.passengers import check_in, check_out, journeys, order_refund, pay, refused, wait_for
from tpsd.domain.tap import Told, Verdict
from tpsd.domain.time import DAY
from tpsd.domain.views import TapFilter
from tpsd.errors import JournalError
from tpsd.ports import Taken
from tpsd.store import migrations, opening
from tpsd.store.viewing import JournalView

FIRST, *LATER = migrations.known("sqlite")
NEW_COLUMNS = {
    "tap": ("delivered", "facts", "made_at", "zone", "token_key"),
    "journey": ("zone", "lane", "token_key"),
    "identity": ("amount",),
    "deny_generation": ("shadow", "token_key"),
}
NEW_TABLES = {
    "deny_feed",
    "deny_feed_ignored",
    "device_key",
    "terminal_identity",
    "feed_parameters",
    "feed_record",
    "spooled",
}

ROWS = """
INSERT INTO ladder VALUES (1, '[[3, 60000000]]'), (2, '[]');
INSERT INTO meta VALUES ('journal_id', 'c0ffee'), ('ran_us', 77), ('clock_shift', 0);
INSERT INTO authorisation (uuid, type, timing, lane, terminal, state, cause, path, credential, amount, currency,
                           body_digest, ladder, attempt, sends, fence, due, may_have_charged, created_at, settled_at,
                           ran_rested, replaced_by, token, enquiries)
VALUES ('aaaa0001-0000-4000-8000-000000000001', 'MTT', 'deferred', 'gate-1', 'GATE-X1:VAL00042', 'approved', NULL, '/p',
        'common', 250, '978', x'01', 1, 1, 1, 1, NULL, 1, :now, :now, NULL, NULL, 'card', 0),
       ('aaaa0002-0000-4000-8000-000000000002', 'MTT', 'deferred', 'gate-1', 'GATE-X1:VAL00042', 'pending', NULL, '/p',
        'common', 250, '978', x'02', 1, 1, 1, 1, :now + 60000000, 1, :now, NULL, NULL, NULL, 'card', 0),
       ('aaaa0003-0000-4000-8000-000000000003', 'MTT', 'deferred', 'gate-1', 'GATE-X1:VAL00042', 'held',
        'system.41@GATE-X1:VAL00042', '/p', 'common', 250, '978', x'03', 2, 1, 1, 1, NULL, 0, :now, NULL, 5, NULL,
        'card', 0),
       ('aaaa0004-0000-4000-8000-000000000004', 'MTT', 'deferred', 'gate-1', 'GATE-X1:VAL00042', 'in_doubt', 'horizon',
        '/p', 'common', 250, '978', x'04', 1, 3, 2, 4, NULL, 1, :now, NULL, 6, NULL, 'card', 1),
       ('aaaa0005-0000-4000-8000-000000000005', 'MTT', 'deferred', 'gate-1', 'GATE-X1:VAL00042', 'permanently_failed',
        'timeout', '/p', 'common', 250, '978', x'05', 1, 1, 1, 1, NULL, 1, :now, NULL, 7, NULL, 'card', 0),
       ('aaaa0006-0000-4000-8000-000000000006', 'MTT', 'deferred', 'gate-1', 'GATE-X1:VAL00042', 'sending', NULL, '/p',
        'common', 250, '978', x'06', 1, 1, 1, 1, NULL, 0, :now, NULL, NULL, NULL, 'card', 0);
INSERT INTO attempt (uuid, number, release, reason, started_at, ended_at, outcome, cause, may_have_charged)
VALUES ('aaaa0001-0000-4000-8000-000000000001', 1, 1, 'ladder', :now, :now, 'approved', 'action.000', 1),
       ('aaaa0002-0000-4000-8000-000000000002', 1, 1, 'ladder', :now, :now, 'unknown', 'timeout', 1),
       ('aaaa0003-0000-4000-8000-000000000003', 1, 1, 'ladder', :now, :now, 'terminal_refused', 'system.41', 0),
       ('aaaa0004-0000-4000-8000-000000000004', 1, 1, 'ladder', :now, :now, 'unknown', 'timeout', 1),
       ('aaaa0004-0000-4000-8000-000000000004', 2, 1, 'ladder', :now, :now, 'unknown', 'timeout', 1),
       ('aaaa0004-0000-4000-8000-000000000004', 3, 1, 'enquiry', :now, :now, 'unknown', 'http.404', 0),
       ('aaaa0005-0000-4000-8000-000000000005', 1, 1, 'ladder', :now, :now, 'unknown', 'timeout', 1),
       ('aaaa0006-0000-4000-8000-000000000006', 1, 1, 'ladder', :now, NULL, NULL, NULL, NULL);
INSERT INTO tap (id, serial, boot, counter, digest, type_name, lane, terminal, kind, tapped_at, received_at, amount,
                 currency, stop, place, token, masked, oda, shown, verdict, reason, note, disposition, uuid, repeats,
                 pass_group, clock_life, unseen, list_version, config_digest)
SELECT 10 + value, 'VAL00042', 3, value, zeroblob(32), 'GATE-X1', 'gate-1', 'GATE-X1:VAL00042', 'MTT', :now, :now, 250,
       '978', 'Town hall', '{"route": "7"}', 'card', '476173******0119', 1, 1, 1, 'ok', 'let_in', NULL,
       printf('aaaa%04d-0000-4000-8000-%012d', value, value), 2, 'gate-1', NULL, 1, 9, 'c0ffee'
FROM json_each('[1, 2, 3, 4, 5, 6]');
INSERT INTO tap (id, serial, digest, type_name, lane, terminal, tapped_at, received_at, oda, shown, verdict, reason,
                 disposition, pass_group, clock_life, config_digest)
VALUES (20, 'VAL00042', randomblob(32), 'GATE-X1', 'gate-1', 'GATE-X1:VAL00042', :now, :now, 0, 0, 3, 'malformed',
        'rejected', 'gate-1', 'a life', 'c0ffee');
INSERT INTO identity VALUES (3, 'VAL00042', 2, 7, zeroblob(32), 1, 'ok', NULL, 0, 1, 'approved', 1),
                            (4, 'VAL00042', NULL, NULL, zeroblob(32), 2, 'expired', 'denied', 1, 0, NULL, NULL);
INSERT INTO hold VALUES ('system.41@GATE-X1:VAL00042', 'GATE-X1:VAL00042', :now, NULL);
INSERT INTO outage (host, since) VALUES ('tps.example', :now);
INSERT INTO deny_generation VALUES (1, 'hand', 'live', 1, :now, :now);
INSERT INTO deny VALUES (1, zeroblob(32));
INSERT INTO journey VALUES (1, 1001, 'card', 'closed', 'aaaa0001-0000-4000-8000-000000000001', NULL, 2, :now, :now),
                           (2, 1001, 'card', 'open', 'aaaa0005-0000-4000-8000-000000000005', NULL, 0, :now, NULL);
INSERT INTO mail VALUES (1, '<one@test>', 'subject', 'text', :now, 1, NULL, :now, NULL),
                        (2, '<two@test>', 'subject', 'text', :now, 3, :now + 5, NULL, '421');
INSERT INTO notice VALUES (1, 'held', 'held/system.41', 'words', 13, 'aaaa0003-0000-4000-8000-000000000003', :now, 1),
                          (4, 'in_doubt', 'in_doubt/horizon', 'words', 14, 'aaaa0004-0000-4000-8000-000000000004', :now,
                           NULL),
                          (7, 'alarm', 'alarm/internal', 'words', 20, NULL, :now, 2),
                          (9, 'outage', 'outage/tps.example', 'words', NULL, NULL, :now, NULL);
INSERT INTO episode VALUES ('in_doubt', 'in_doubt/horizon', 0, :now, :now + 60000000, 0, 0, 0),
                           ('outage', 'outage/tps.example', 0, :now, :now + 60000000, 0, 0, 0);
INSERT INTO audit VALUES (1, :now, 'alice (1000)', 'release', 'a row', 'because');
"""
"""A row of every kind and state that the first schema knows."""

NOTICE_INDEXES = {
    "CREATE INDEX notice_waiting ON notice (kind, cause) WHERE mail IS NULL",
    "CREATE INDEX notice_uuid    ON notice (uuid) WHERE uuid IS NOT NULL",
    "CREATE INDEX notice_tap     ON notice (tap)  WHERE tap IS NOT NULL",
    "CREATE INDEX notice_mail    ON notice (mail) WHERE mail IS NOT NULL",
}


def tables(connection: apsw.Connection) -> list[str]:
    sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    return [name for (name,) in connection.execute(sql)]


def content(connection: apsw.Connection) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table but that of the migrations, by the names of its columns."""
    found = {}
    for table in tables(connection):
        if table != "migration":
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            rows = connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2")
            found[table] = [dict(zip(names, row, strict=True)) for row in rows]
    return found


def indexes_of(connection: apsw.Connection, table: str) -> set[str]:
    sql = "SELECT sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL"
    return {found for (found,) in connection.execute(sql, (table,))}


@pytest.fixture
def first(tmp_path: Path) -> apsw.Connection:
    """A journal of the first release's schema, filled."""
    connection = apsw.Connection(str(tmp_path / "first.db"))
    connection.pragma("foreign_keys", "ON")
    migrations.apply(connection, (FIRST,))
    for statement in ROWS.split(";\n"):
        connection.execute(statement, {"now": NOW} if ":now" in statement else None)
    assert list(connection.execute("PRAGMA foreign_key_check")) == []
    return connection


def test_every_table_of_the_first_release_has_rows(first: apsw.Connection) -> None:
    empty = [table for table, rows in content(first).items() if not rows]
    assert set(empty) <= {"epoch", "sealed"}, "whose rows are bytes that the journal makes, below"


def test_nothing_is_lost_or_changed(first: apsw.Connection) -> None:
    before = content(first)
    assert migrations.apply(first, (FIRST, *LATER)) == [migration.name for migration in LATER]
    after_all = content(first)
    for table, names in NEW_COLUMNS.items():
        for row in after_all[table]:
            assert {row.pop(name) for name in names} <= {None, ""}
    assert all(after_all.pop(table) == [] for table in NEW_TABLES)
    assert after_all == before
    assert first.pragma("integrity_check") == "ok"
    assert list(first.execute("PRAGMA foreign_key_check")) == []


def test_the_notices_are_as_before_and_may_tell_of_journeys(first: apsw.Connection) -> None:
    before = indexes_of(first, "notice")
    assert before == NOTICE_INDEXES
    migrations.apply(first, (FIRST, *LATER))
    assert indexes_of(first, "notice") == NOTICE_INDEXES
    references = {(row[2], row[3], row[4]) for row in first.execute("PRAGMA foreign_key_list(notice)")}
    assert references == {("mail", "mail", "id"), ("authorisation", "uuid", "uuid"), ("tap", "tap", "id")}
    insert = "INSERT INTO notice (kind, cause, detail, created_at) VALUES (?, 'c', 'd', 0)"
    first.execute(insert, ("journey",))
    assert first.last_insert_rowid() == 10, "numbers go on"
    with pytest.raises(apsw.ConstraintError):
        first.execute(insert, ("gossip",))
    assert "notice_2" not in tables(first)


def test_brought_up_once(first: apsw.Connection) -> None:
    migrations.apply(first, (FIRST, *LATER))
    before = content(first), first.pragma("schema_version")
    assert migrations.apply(first, (FIRST, *LATER)) == []
    assert (content(first), first.pragma("schema_version")) == before


# --- as the daemon opens it ---


async def of_the_first_release(engine: SqliteEngine) -> None:
    """Three deferred taps as the first release left them: approved, denied, and one on its ladder, its body sealed.

    The first release's code is gone, so this one's writes them, and what it adds to the schema is taken away again.
    """
    journal = await engine.open()
    await take(journal, 1)
    await settle(journal, await claim_one(journal), APPROVED)
    await take(journal, 2, kind=0x04)
    await take(journal, 3)
    await journal.close_windows(after(60), closer(after(60)))
    await journal.close()
    new = opening.connect(engine.path)
    rows = content(new)
    new.close()
    engine.path.unlink()
    old = apsw.Connection(str(engine.path))
    old.pragma("application_id", opening.APPLICATION_ID)
    migrations.apply(old, (FIRST,))
    with old:
        old.pragma("defer_foreign_keys", "ON")
        for table, kept in rows.items():
            for row in kept:
                given = {name: value for name, value in row.items() if name not in NEW_COLUMNS.get(table, ())}
                names, places = ", ".join(given), ", ".join("?" * len(given))
                old.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", tuple(given.values()))
    old.close()


@pytest.fixture
async def released(tmp_path: Path) -> SqliteEngine:
    engine = SqliteEngine(tmp_path / "engine", inline=True)
    await of_the_first_release(engine)
    return engine


async def test_opened_twice_it_works_on(released: SqliteEngine) -> None:
    journal = await released.open()
    rows = list(await journal.taps(TapFilter()))
    assert [(row.number, row.state, row.unseen) for row in rows] == [
        (3, "pending", False),
        (2, None, False),
        (1, "approved", False),
    ]
    await journal.close()
    journal = await released.open()
    assert list(await journal.taps(TapFilter())) == rows
    assert await take(journal, 1) == Taken(1, Told(Verdict.ACCEPTED, "ok"), new=False)
    claimed = await claim_one(journal)
    assert claimed.body, "what was sealed before opens"
    await settle(journal, claimed, APPROVED)
    assert await journal.upkeep.check() == []
    await journal.close()


async def test_passengers_may_wait_from_then_on(released: SqliteEngine) -> None:
    journal = await released.open()
    assert (await pay(journal, APPROVED, 11, amount=111)).told == Told(Verdict.ACCEPTED, "approved", 111)
    await check_in(journal, 12)
    await check_out(journal, 13)
    assert [one.state for one in await journeys(journal)] == ["closed"]
    assert "MTT is not refunded here" in refused(await order_refund(journal, "1"))
    late = after(100 * DAY / 1e6)
    await wait_for(journal, 14, now=late, age_ms=None)
    assert (await journal.upkeep.prune(90 * DAY, late, None)).taps == 5
    assert await take(journal, 1) == Taken(1, Told(Verdict.ACCEPTED, "ok"), new=False)
    assert await journal.upkeep.check() == []
    await journal.close()


async def test_looked_at_without_a_daemon_it_says_what_to_do(released: SqliteEngine) -> None:
    with pytest.raises(JournalError, match="is at schema 1, which an earlier version made: start tpsd once"):
        JournalView(released.path)
    await (await released.open()).close()
    view = JournalView(released.path)
    assert len(await view.taps(TapFilter())) == 3
    view.close()


async def test_a_migration_that_is_cut_leaves_the_first_schema(released: SqliteEngine) -> None:
    """The statement after the last fails, as power may."""
    cut = migrations.Migration(2, "realtime", LATER[0].sql + "\nSELECT no_such();", "cut", 2)
    connection = apsw.Connection(str(released.path))
    with pytest.raises(apsw.SQLError, match="no_such"):
        migrations.apply(connection, (FIRST, cut))
    connection.close()
    with pytest.raises(JournalError, match="is at schema 1"):
        JournalView(released.path)
    journal = await released.open()
    assert len(await journal.taps(TapFilter())) == 3
    await journal.close()
