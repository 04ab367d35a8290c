"""Opening a journal on PostgreSQL: what is refused, each in one line that says what to do and nothing secret."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from tests.cluster import GUARDED, Cluster
from tests.store.builders import NOW, claim_one, take
from tests.store.databases import Databases, PostgresEngine
from tests.store.engines import IDENTITY, KEK
from tpsd.domain.time import HOUR, MINUTE
from tpsd.domain.views import TapFilter
from tpsd.errors import JournalError, JournalUnavailableError, SealError
from tpsd.store.entering import holds_a_journal, try_to_connect
from tpsd.store.migrations import known
from tpsd.store.postgres import PostgresJournal, PostgresView
from tpsd.store.session import Database

PASSWORD = "correct-horse-battery"


@pytest.fixture
def here(databases: Callable[[int], Databases]) -> Databases:
    return databases(16)


@pytest.fixture
def cluster(here: Databases) -> Cluster:
    return here.cluster


@pytest.fixture
def empty(here: Databases) -> Iterator[str]:
    """A database in which no journal was ever made."""
    here.cluster.run("CREATE DATABASE empty")
    yield "empty"
    here.drop("empty")


@pytest.fixture
def engine(here: Databases, tmp_path: Any) -> Iterator[PostgresEngine]:
    engine = PostgresEngine(here, tmp_path / "engine")
    yield engine
    engine.drop()


async def opened(url: str, password: str | None = None) -> PostgresJournal:
    return await PostgresJournal.open(Database(url, password), IDENTITY, KEK)


async def refused(opening: Awaitable[object]) -> str:
    with pytest.raises(JournalError) as caught:
        await opening
    words = str(caught.value)
    assert "\n" not in words
    assert PASSWORD not in repr(caught.value) + words
    return words


async def test_a_journal_is_made_in_an_empty_database(cluster: Cluster, empty: str) -> None:
    for new in (True, False):
        journal = await opened(cluster.url(empty))
        assert (await take(journal, 1)).new is new
        await journal.close()


async def test_a_database_has_one_daemon(engine: PostgresEngine) -> None:
    first = await engine.open()
    assert "is in use by another daemon" in await refused(engine.open())
    assert (await take(first, 1)).new, "the first one goes on"
    await first.close()
    await (await engine.open()).close()


async def test_no_such_database(cluster: Cluster) -> None:
    words = await refused(opened(cluster.url("nowhere")))
    assert words.startswith(f"database nowhere at {cluster.folder} is not there: make the database")


async def test_no_such_role(cluster: Cluster) -> None:
    words = await refused(opened(cluster.url("postgres").replace("//tpsd@", f"//nobody:{PASSWORD}@")))
    assert "does not let the role of [store] url in" in words


async def test_a_wrong_password(cluster: Cluster, empty: str) -> None:
    cluster.run(f"CREATE ROLE {GUARDED} LOGIN PASSWORD 'another'", f"ALTER DATABASE {empty} OWNER TO {GUARDED}")
    url = cluster.url(empty).replace("//tpsd@", f"//{GUARDED}@")
    for password in (PASSWORD, None):
        assert "does not let the role of [store] url in" in await refused(opened(url, password))
    assert "another" not in repr(Database(url, "another"))
    await (await opened(url, "another")).close()


async def test_a_role_that_may_not_make_tables(cluster: Cluster, empty: str) -> None:
    cluster.run("CREATE ROLE looker LOGIN")
    words = await refused(opened(cluster.url(empty).replace("//tpsd@", "//looker@")))
    assert "make it the owner of its database" in words


async def test_a_role_with_no_connection_left(cluster: Cluster, empty: str) -> None:
    cluster.run("CREATE ROLE narrow LOGIN CONNECTION LIMIT 0")
    words = await refused(opened(cluster.url(empty).replace("//tpsd@", "//narrow@")))
    assert "has no connection left: raise max_connections" in words


async def test_a_database_that_takes_nobody(cluster: Cluster, empty: str) -> None:
    cluster.run(f"ALTER DATABASE {empty} ALLOW_CONNECTIONS false")
    assert f"database {empty} at {cluster.folder} refuses the connection" in await refused(opened(cluster.url(empty)))
    cluster.run(f"ALTER DATABASE {empty} ALLOW_CONNECTIONS true")


async def test_looked_for_without_making_one(cluster: Cluster, empty: str, engine: PostgresEngine) -> None:
    for url, made in ((cluster.url(empty), False), (engine.url, True)):
        assert (await asyncio.to_thread(try_to_connect, Database(url))).startswith("PostgreSQL 16.")
        assert await asyncio.to_thread(holds_a_journal, Database(url)) is made
    nowhere = Database(cluster.url("nowhere"))
    assert "is not there" in await refused(asyncio.to_thread(holds_a_journal, nowhere))
    assert "is not there" in await refused(asyncio.to_thread(try_to_connect, nowhere))


async def test_no_server(tmp_path: Any) -> None:
    words = await refused(opened(f"postgresql://tpsd:{PASSWORD}@/journal?host={tmp_path}"))
    assert words == (
        f"database journal at {tmp_path} cannot be reached (FileNotFoundError): start the server, or correct "
        "[store] url"
    )


@pytest.mark.parametrize(
    "url",
    [
        f"http://tpsd:{PASSWORD}@localhost/journal",
        f"postgresql://tpsd:{PASSWORD}@localhost:port/journal",
        f"postgresql://tpsd:{PASSWORD}@[::1/journal",
        f"postgresql://tpsd:{PASSWORD}@localhost/journal?sslmode=perhaps",
    ],
)
async def test_no_address(url: str) -> None:
    assert "is no address of a PostgreSQL database" in await refused(opened(url))


async def test_another_encoding(cluster: Cluster, here: Databases) -> None:
    cluster.run("CREATE DATABASE old ENCODING 'LATIN1' TEMPLATE template0")
    assert "is encoded in LATIN1: make a database with encoding UTF8" in await refused(opened(cluster.url("old")))
    here.drop("old")


async def test_a_standby() -> None:
    cluster = Cluster(16)
    try:
        cluster.become_standby()
        words = await refused(opened(cluster.url("postgres")))
        assert "is a standby and cannot be written: name the primary" in words
        words = await refused(opened(cluster.url("postgres") + "&target_session_attrs=primary"))
        assert "has no primary among its hosts: promote a standby" in words
    finally:
        cluster.stop()


@pytest.mark.parametrize(
    ("habit", "ours"),
    [("off", "on"), ("local", "on"), ("remote_write", "on"), ("on", "on"), ("remote_apply", "remote_apply")],
)
async def test_what_is_acknowledged_is_durable(cluster: Cluster, engine: PostgresEngine, habit: str, ours: str) -> None:
    """Here and on a synchronous standby, whatever the database's own habit is."""
    cluster.run(f"ALTER DATABASE {engine.name} SET synchronous_commit = {habit}")
    journal = await engine.open()
    asked = "SELECT current_setting('synchronous_commit')"
    setting = await journal._writer.read(lambda connection: connection.execute(asked).get)
    assert setting == ours
    await journal.close()


class TestSchema:
    """It only goes up, and an applied file never changes."""

    async def changed(self, engine: PostgresEngine, statement: str) -> str:
        engine.tamper((statement,))
        return await refused(engine.open())

    async def test_a_newer_one_that_may_not_be_read(self, engine: PostgresEngine) -> None:
        newer = "INSERT INTO migration VALUES (900, 'later', 'x', 900)"
        assert "is at schema 900 (later)" in await self.changed(engine, newer)

    async def test_a_newer_one_that_may_be_read(self, engine: PostgresEngine) -> None:
        engine.tamper(("INSERT INTO migration VALUES (900, 'later', 'x', 1)",))
        await (await engine.open()).close()

    async def test_an_applied_file_that_changed(self, engine: PostgresEngine) -> None:
        words = await self.changed(engine, "UPDATE migration SET digest = 'another' WHERE number = 1")
        assert "0001_journal was changed after it was applied" in words

    async def test_one_that_was_cut_short_is_applied_again(self, cluster: Cluster, empty: str) -> None:
        """Each migration is one transaction."""
        (first, *_) = known("postgres")
        cluster.run(f"BEGIN; {first.sql.partition('CREATE TABLE journey')[0]}", database=empty)
        journal = await opened(cluster.url(empty))
        assert await journal.upkeep.check() == []
        await journal.close()


class TestLooking:
    """A journal looked at by people: nothing is written, and a daemon may be at work."""

    async def test_beside_a_daemon(self, engine: PostgresEngine) -> None:
        journal = await engine.open()
        await take(journal, 1)
        async with engine.looked_at() as view:
            assert len(await view.taps(TapFilter())) == 1
            assert (await view.totals()).taps == 1
        assert (await claim_one(journal)).number == 1
        await journal.close()

    async def test_nothing_can_be_written(self, engine: PostgresEngine) -> None:
        async with engine.looked_at() as view:
            with pytest.raises(JournalError, match=r"cannot be read \(ReadOnlySQLTransactionError"):
                await view.read(lambda connection: connection.execute("DELETE FROM meta"))

    async def test_what_contradicts_itself_is_found(self, engine: PostgresEngine) -> None:
        journal = await engine.open()
        await take(journal, 1)
        await journal.close()
        view = PostgresView(Database(engine.url))
        assert await view.check() == []
        engine.lose_key(1)
        assert [finding.rule for finding in await view.check()] == ["key_missing"]
        await view.close()

    async def test_where_no_journal_is(self, cluster: Cluster, empty: str) -> None:
        view = PostgresView(Database(cluster.url(empty)))
        assert "holds no journal: start tpsd once" in await refused(view.totals())
        await view.close()

    async def test_an_older_schema(self, engine: PostgresEngine) -> None:
        engine.tamper(("DELETE FROM migration",))
        view = PostgresView(Database(engine.url))
        assert "is at schema 0, which an earlier version made" in await refused(view.totals())
        await view.close()


class TestKeys:
    """Epoch keys are rows, made on a connection of their own."""

    async def test_a_number_is_used_once(self, engine: PostgresEngine) -> None:
        journal = await engine.open()
        before = journal._shelf.get(1)
        with pytest.raises(SealError, match="epoch key 1 exists already: epoch numbers are never used twice"):
            journal._shelf.put(1, bytes(64))
        assert journal._shelf.get(1) == before
        await journal.close()

    async def test_a_shelf_that_cannot_be_read_holds_up_the_house_and_no_tap(self, engine: PostgresEngine) -> None:
        journal = await engine.open()
        await take(journal, 1)
        engine.tamper(("ALTER TABLE epoch_key RENAME TO mislaid",))
        with pytest.raises(JournalUnavailableError, match=r"cannot be kept in order.*UndefinedTableError.*tried again"):
            await journal.keep_house(25 * HOUR)
        assert (await take(journal, 2)).new
        engine.tamper(("ALTER TABLE mislaid RENAME TO epoch_key",))
        assert (await journal.keep_house(MINUTE))["epochs_begun"] == 1
        assert all(claimed.body for claimed in await journal.claim(NOW, 10))
        await journal.close()


class TestLostConnection:
    """Nobody knows whether the last commit stands; only a start, which looks, goes on."""

    def cut(self, engine: PostgresEngine) -> None:
        engine.tamper(
            ("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
             "WHERE datname = current_database() AND pid <> pg_backend_pid()",)
        )  # fmt: skip

    async def test_nothing_more_is_written_until_a_start(self, engine: PostgresEngine) -> None:
        journal = await engine.open()
        await take(journal, 1)
        self.cut(engine)
        assert "nothing was acknowledged; look at the server" in await refused(take(journal, 2))
        assert "stays closed until tpsd starts again" in await refused(take(journal, 2))
        await journal.close()
        again = await engine.open()
        assert [(await take(again, counter)).new for counter in (1, 2)] == [False, True]
        await again.close()

    async def test_the_keys_are_asked_for_anew(self, engine: PostgresEngine) -> None:
        journal = await engine.open()
        self.cut(engine)
        assert journal._shelf.get(1)
        with pytest.raises(SealError, match="epoch key 2 is not in the table"):
            journal._shelf.get(2)
        await journal.close()

    async def test_its_place_is_free_at_once(self, engine: PostgresEngine) -> None:
        journal = await engine.open()
        self.cut(engine)
        again = await engine.open()
        assert "nothing was acknowledged" in await refused(journal.claim(NOW, 1)), "the former one is none any more"
        assert (await take(again, 1)).new
        await again.close()
        await journal.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"postgresql://tpsd:{PASSWORD}@db.example:5432/gate", "database gate at db.example:5432"),
        (f"postgresql://tpsd@a,b/gate?password={PASSWORD}", "database gate at a,b"),
        ("postgresql:///gate?host=/run/postgresql", "database gate at /run/postgresql"),
        ("postgresql://", "database of its role at localhost"),
        ("postgresql://[::1/gate", "the database of [store] url"),
    ],
)
def test_a_place_is_told_without_what_is_secret(url: str, said: str) -> None:
    assert str(Database(url)) == said
