"""A journal moves from a file into a database, also when it is cut short: whole, once, and never usable in both."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import UUID

import apsw
import pytest

from tests.store.builders import (
    APPROVED,
    NOW,
    SILENCE,
    TERMINAL,
    TERMINAL_REFUSED,
    after,
    closer,
    crashed,
    crashed_asked,
    fail_for_good,
    send,
    settle,
    take,
    take_many,
)
from tests.store.databases import Databases, PostgresEngine
from tests.store.engines import SqliteEngine
from tests.store.test_postgres_leases import Fleet, taken_over
from tpsd.domain.audit import AuditDraft
from tpsd.domain.time import DAY, HOUR
from tpsd.domain.upkeep import Compared
from tpsd.domain.views import TapFilter
from tpsd.errors import JournalError, RefusedError
from tpsd.store.connection import Bindings
from tpsd.store.entering import connect
from tpsd.store.epochs import KeyFolder
from tpsd.store.journal import SqlJournal
from tpsd.store.movable import OF_A_FILE, TABLES, Mark
from tpsd.store.moving import Move
from tpsd.store.session import Database, Given, Session
from tpsd.store.viewing import looking

BY = AuditDraft(NOW, "alice (1000)", "store copy", "a cluster at last")
SLICE = 3  # rows: every table that matters has several slices
CUTS = 10  # of each server, besides the last statements, after which the journal is in the other place
LAST = 11  # statements
MOVE = "0123456789abcdef"

ELSEWHERE = """
INSERT INTO outage (host, since, ended_at, over_us, seed) VALUES ('tps.example', 5, 6, 7, x'00ff');
INSERT INTO deny_generation (number, source, state, tokens, began_at, live_at) VALUES (7, 'füd', 'live', 7, 1, 2);
INSERT INTO deny (generation, token)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 7) SELECT 7, randomblob(32) FROM n;
INSERT INTO deny_feed (source, token, heard_at) VALUES ('füd', 'next', 9);
INSERT INTO deny_feed_ignored (heard_at, type, raw) VALUES (9, 'NEW', '{"a": "\"ä\\"}'), (10, 'NEW', '');
INSERT INTO device_key (id, type, key_index, format, algorithm, terminal, digest, why, sealed, received_at)
VALUES (9, 'SALT', '1', 'PLAIN', 'AES', 'GATE-X1:VAL00042', x'01', '', x'02ff', 3);
INSERT INTO terminal_identity (lane, terminal, state, code, request, sealed, described_at)
VALUES ('gate-1', 'GATE-X1:VAL00042', 'described', '123-456', x'30', x'31', 4);
INSERT INTO feed_parameters (kind) VALUES ('STOP_LIST');
INSERT INTO feed_record (kind, list, version, heard_at, action, raw)
VALUES ('STOP_LIST', 1, 1, 2, 'INSERT', '12'), ('STOP_LIST', 1, 1, 3, 'DELETE', NULL);
INSERT INTO journey (operator, token, state, check_in, opened_at, zone)
SELECT 1001, 'a token', 'expired', uuid, 1, 'Ä' FROM authorisation WHERE state = 'approved' LIMIT 1;
UPDATE authorisation SET replaced_by = (SELECT max(uuid) FROM authorisation)
WHERE uuid IN (SELECT uuid FROM authorisation ORDER BY uuid LIMIT 4);
"""
"""What takes a feed, a registration or a day of realtime lanes to come about."""


class CutError(Exception):
    """The process is gone."""


class Cutting:
    """A session that ends at a statement, just before it or behind it."""

    def __init__(self, session: Session, statements: int, *, behind: bool) -> None:
        self._session = session
        self.left = statements
        self._behind = behind

    @property
    def in_transaction(self) -> bool:
        return self._session.in_transaction

    def execute(self, statements: str, bindings: Bindings | None = None) -> Given:
        self.left -= 1
        if self.left == 0 and not self._behind:
            raise CutError
        given = self._session.execute(statements, bindings)
        if self.left == 0:
            raise CutError
        return given

    def executemany(self, statements: str, sequenceofbindings: Iterable[Sequence[Any]]) -> Given:
        return self._session.executemany(statements, sequenceofbindings)

    def changes(self) -> int:
        return self._session.changes()

    def total_changes(self) -> int:
        return self._session.total_changes()

    def last_insert_rowid(self) -> int:
        return self._session.last_insert_rowid()

    def close(self) -> None:
        self._session.close()

    def __enter__(self) -> Cutting:
        self.execute("BEGIN")
        return self

    def __exit__(
        self, etype: type[BaseException] | None, evalue: BaseException | None, etraceback: TracebackType | None
    ) -> None:
        if etype is None:
            self.execute("COMMIT")


async def lived(engine: SqliteEngine) -> None:
    """A journal with rows of every kind."""
    journal = await engine.open()
    for counter in range(1, 6):
        await take(journal, counter)
        await send(journal, APPROVED)
    await journal.upkeep.prune(DAY, after(3 * DAY / 1e6), BY)
    await take(journal, 20)
    await send(journal, APPROVED)
    await take(journal, 21)
    await fail_for_good(journal)
    await take(journal, None, fault="no card data")
    await take_many(journal, range(30, 40))
    await take(journal, 41, serial="VAL00043")
    claims = await journal.claim(NOW, 11)
    refused = next(claimed for claimed in claims if claimed.terminal != TERMINAL)
    for claimed in [refused, *[one for one in claims if one is not refused][1:]]:  # one stays at being sent
        await settle(journal, claimed, TERMINAL_REFUSED if claimed is refused else SILENCE)
    await take_many(journal, range(50, 54))
    await journal.close_windows(after(2 * DAY / 1e6), closer(after(2 * DAY / 1e6)))
    for _ in range(5):
        await journal.keep_house(6 * HOUR)
    await journal.close()
    with closing(sqlite3.connect(engine.path)) as connection:
        connection.executescript(ELSEWHERE)


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> SqliteEngine:
    """The journal that moves; each case takes a copy."""
    engine = SqliteEngine(tmp_path_factory.mktemp("origin") / "engine", inline=False)
    asyncio.run(lived(engine))
    return engine


@pytest.fixture
def source(origin: SqliteEngine) -> SqliteEngine:
    return origin.after_sigkill()


@pytest.fixture(params=[18])
def target(
    request: pytest.FixtureRequest, databases: Callable[[int], Databases], tmp_path: Path
) -> Iterator[PostgresEngine]:
    """A database in which nothing is."""
    engine = PostgresEngine(databases(request.param), tmp_path / "target")
    yield engine
    engine.drop()


def move(
    source: SqliteEngine, target: PostgresEngine, statements: int = 0, *, behind: bool = False, move: str = MOVE
) -> tuple[list[Compared], int]:
    """The whole way, cut at a statement (0: never); what was compared, and how many statements that took."""
    with closing(looking(source.path)) as held, closing(connect(Database(target.url), copying=True)) as session:
        cutting = Cutting(session, statements, behind=behind)
        shelf = KeyFolder(source.key_folder)
        work = Move(held, cutting, {number: shelf.get(number) for number in shelf.numbers()}, _untold, SLICE)
        return list(work.make(move, BY, "the file", "the database")), -cutting.left


def _untold(_table: str, done: int, total: int) -> None:
    assert done <= total


def in_thread(work: Callable[[], Any]) -> Any:
    """Where no event loop runs."""
    return asyncio.run(asyncio.to_thread(work))


async def usable(source: SqliteEngine, target: PostgresEngine) -> list[str]:
    """Where a daemon could run."""
    found = []
    for name, engine in (("file", source.after_sigkill()), ("database", target)):
        with suppress(JournalError):
            journal = await engine.open()
            found.append(name)
            await journal.close()
    return found


def rows_of(connection: apsw.Connection | Session, table: str, columns: Sequence[str]) -> list[str]:
    return sorted(repr(row) for row in connection.execute(f"SELECT {', '.join(columns)} FROM {table}"))


def test_every_table_moves_and_every_number_goes_on(origin: SqliteEngine, target: PostgresEngine) -> None:
    with closing(sqlite3.connect(origin.path)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        assert tables - OF_A_FILE == {table.name for table in TABLES}
        for table in TABLES:
            count = connection.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0]
            assert count > 0, f"{table.name} is empty: nothing is shown of it"
    with closing(connect(Database(target.url))) as session:
        numbered = session.execute(
            "SELECT relname::text FROM pg_attribute JOIN pg_class ON attrelid = pg_class.oid "
            "WHERE attidentity <> '' AND relnamespace = 'public'::regnamespace"
        )
        assert {name for (name,) in numbered} == {table.name for table in TABLES if table.numbers}


async def test_it_is_there_as_it_was(source: SqliteEngine, target: PostgresEngine) -> None:
    source.tamper(["INSERT INTO meta VALUES ('lane_device/gate-1', 'S 1'), ('clock_shift', 5)"])
    before = source.after_sigkill()
    compared, _ = await asyncio.to_thread(move, source, target)
    assert {table.table for table in compared} == {table.name for table in TABLES} | {"epoch_key"}
    assert await usable(source, target) == ["database"]
    with closing(apsw.Connection(str(before.path))) as there:
        columns = {
            table.name: [f'"{name}"' for _, name, *_ in there.execute(f"PRAGMA table_info({table.name})")]
            for table in TABLES
        }

        def same() -> None:
            with closing(Session(Database(target.url))) as here:
                keys = {key for (key,) in here.execute("SELECT key FROM meta")}
                assert "lane_device/tpsd/gate-1" in keys, "as the daemon there has it"
                assert not keys & {"lane_device/gate-1", "clock_shift"}
                for table in TABLES:
                    if table.name not in ("meta", "audit", "epoch"):  # a start has turned them
                        names = columns[table.name]
                        assert rows_of(here, table.name, names) == rows_of(there, table.name, names), table.name

        await asyncio.to_thread(same)


async def sent_from(journal: SqlJournal) -> dict[UUID, bytes]:
    """What a start finds to be sent, with its bytes."""
    done = await journal.recover(after(HOUR / 1e6), ["common"], crashed, crashed_asked)
    assert done["attempts_ended_unknown"] == 1, "what was being sent"
    found = {}
    while claims := await journal.claim(after(3 * HOUR / 1e6), 10):
        for claimed in claims:
            found[claimed.uuid] = claimed.body
            await settle(journal, claimed, APPROVED)
    return found


async def test_what_was_pending_is_sent_under_its_uuid_and_body(source: SqliteEngine, target: PostgresEngine) -> None:
    stayed = await source.after_sigkill().open()
    expected = await sent_from(stayed)
    await stayed.close()
    assert len(expected) >= 14
    await asyncio.to_thread(move, source, target)
    journal = await target.open()
    try:
        assert await sent_from(journal) == expected
        numbers = [row.number for row in await journal.taps(TapFilter(limit=1000))]
        await take(journal, 1)
        assert len(await journal.taps(TapFilter(limit=1000))) == len(numbers), "one that was pruned is known"
        await take(journal, 99)
        assert (await journal.story("VAL00042:3:99")).tap.number > max(numbers)
        assert await journal.upkeep.check() == []
    finally:
        await journal.close()


async def test_where_no_daemon_of_its_name_comes_a_person_is_told(source: SqliteEngine, target: PostgresEngine) -> None:
    await asyncio.to_thread(move, source, target)
    fleet = Fleet(target)
    two = await fleet.daemon("two")
    try:
        assert await taken_over(two) == {}
        fleet.gone_since("tpsd", 25 * HOUR)
        done = await taken_over(two, now=after(25 * HOUR / 1e6))
        assert done["sends_given_up"] == 1
        assert done["due_held"] >= 14
        assert not [row for row in await two.taps(TapFilter(limit=1000)) if row.state in ("pending", "sending")]
    finally:
        await fleet.close()


def test_cut_anywhere_it_goes_on(origin: SqliteEngine, target: PostgresEngine) -> None:
    _, whole = in_thread(lambda: move(origin.after_sigkill(), target))
    assert whole > 100
    rng = random.Random(CUTS)
    cuts = [(cut, rng.random() < 0.5) for cut in rng.sample(range(1, whole - LAST), CUTS)]
    cuts += [(cut, True) for cut in range(whole - LAST, whole + 1)]
    seen = set()
    for cut, behind in cuts:
        source, there = origin.after_sigkill(), target.another()
        with pytest.raises(CutError):
            in_thread(lambda: move(source, there, cut, behind=behind))  # noqa: B023 - it runs at once
        left = asyncio.run(usable(source, there)) if cut >= whole - LAST else []
        assert len(left) <= 1, f"cut at {cut}: a tap could be sent from both"
        seen.update(left)
        compared, _ = in_thread(lambda: move(source, there, move="another"))  # noqa: B023
        assert compared or left == ["database"]
        assert asyncio.run(usable(source, there)) == ["database"], f"cut at {cut}"
    assert seen == {"file", "database"}


async def test_a_row_that_is_another_there_is_found(source: SqliteEngine, target: PostgresEngine) -> None:
    """Whoever wrote it: the journal stays where it is."""
    with pytest.raises(CutError):
        await asyncio.to_thread(move, source, target, 60)
    target.tamper(["UPDATE authorisation SET amount = amount + 1 WHERE uuid = (SELECT min(uuid) FROM authorisation)"])
    with pytest.raises(JournalError, match=r"the database differs from the file in authorisation: .*drop the database"):
        await asyncio.to_thread(move, source, target)
    assert await usable(source, target) == ["file"]


async def test_an_unfinished_copy_of_another_journal(
    source: SqliteEngine, target: PostgresEngine, tmp_path: Path
) -> None:
    other = SqliteEngine(tmp_path / "other", inline=False)
    await (await other.open()).close()
    with pytest.raises(CutError):
        await asyncio.to_thread(move, other, target, 60)
    with pytest.raises(RefusedError, match="an unfinished copy of another journal"):
        await asyncio.to_thread(move, source, target)


async def test_a_spool_does_not_move(source: SqliteEngine, target: PostgresEngine) -> None:
    """What waits there would be in two places."""
    source.tamper(["INSERT INTO spooled (tap, uuid, at) SELECT id, uuid, 0 FROM tap LIMIT 1"])
    with pytest.raises(RefusedError, match="a gate's spool"):
        await asyncio.to_thread(move, source, target)


async def test_of_two_copies_begun_one_becomes_the_journal(source: SqliteEngine, target: PostgresEngine) -> None:
    second = target.another()
    with pytest.raises(CutError):
        await asyncio.to_thread(move, source, target, 200)
    await asyncio.to_thread(lambda: move(source, second, move="second"))
    with pytest.raises(RefusedError, match="drop the database"):
        await asyncio.to_thread(move, source, target)
    assert await usable(source, target) == []
    assert await usable(source, second) == ["database"]


def test_a_mark_reads_as_it_was_written() -> None:
    mark = Mark("move", "journal", "digest")
    assert Mark.read(mark.text()) == mark
