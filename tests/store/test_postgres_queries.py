"""One set of queries in two dialects: the same names, bindings and columns, each known to a real server."""

from collections.abc import Callable

import apsw
import pytest
from apsw.ext import query_info

from tests.store.databases import Databases
from tpsd.store.dialect import postgres, worded
from tpsd.store.migrations import known
from tpsd.store.queries import Q, load

OWN = load("postgres")


@pytest.fixture(scope="module")
def sqlite() -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    for migration in known("sqlite"):
        connection.execute(migration.sql)
    return connection


@pytest.mark.parametrize("major", [16, 18])
def test_every_query_is_known_to_the_server(
    databases: Callable[[int], Databases], sqlite: apsw.Connection, major: int
) -> None:
    queries = postgres()
    here = databases(major)
    name = here.new()

    async def prepared(connection: object) -> dict[str, tuple[int, int]]:
        found = {}
        for query, words in queries.items():
            statement = await connection.prepare(words.sql)  # type: ignore[attr-defined]
            found[query] = len(statement.get_parameters()), len(statement.get_attributes())
        return found

    counted = here.cluster.ask(prepared, name)
    here.drop(name)
    assert {query: arguments for query, (arguments, _) in counted.items()} == {
        query: len(words.takes) for query, words in queries.items()
    }
    assert {query: columns for query, (_, columns) in counted.items() if query in Q} == {
        query: len(query_info(sqlite, sql).description) for query, sql in Q.items()
    }


def test_what_is_worded_differently_is_a_query_of_sqlites() -> None:
    assert set(OWN) <= set(Q)


@pytest.mark.parametrize("name", OWN)
def test_the_same_bindings(name: str) -> None:
    assert sorted(map(str, worded(OWN[name]).takes)) == sorted(map(str, worded(Q[name]).takes))


def test_what_need_not_be_worded_differently_is_shared() -> None:
    def plain(sql: str) -> str:
        lines = (line for line in worded(sql).sql.splitlines() if not line.startswith("--"))
        return " ".join(" ".join(lines).split())

    assert [name for name, sql in OWN.items() if plain(sql) == plain(Q[name])] == []


class TestWording:
    """SQLite's placeholders as PostgreSQL has them."""

    @pytest.mark.parametrize(
        ("sql", "numbered", "takes"),
        [
            ("a = ? AND b = ?", "a = $1 AND b = $2", (0, 1)),
            ("a = ?2 OR b = ?1 OR c = ?2", "a = $1 OR b = $2 OR c = $1", (1, 0)),
            ("a = ? AND (?2 OR b = ?)", "a = $1 AND ($2 OR b = $3)", (0, 1, 2)),
            (":later IS NULL OR a < :later", "$1 IS NULL OR a < $1", ("later",)),
            ("a = ?::text || ':b' || '?'", "a = $1::text || ':b' || '?'", (0,)),
            ("a = 'it''s :b' -- and ?\nAND c = ?", "a = 'it''s :b' -- and ?\nAND c = $1", (0,)),
            ("SELECT 1 FROM a INDEXED BY a_b WHERE c = ?", "SELECT 1 FROM a WHERE c = $1", (0,)),
            ("a = ? /* own */", "a = $1 AND daemon = current_setting('tpsd.daemon', true)", (0,)),
            ("b.a = 1 /* own b */", "b.a = 1 AND b.daemon = current_setting('tpsd.daemon', true)", ()),
            ("LIMIT ? /* claim a */", "LIMIT $1 FOR UPDATE OF a SKIP LOCKED", (0,)),
            ("a.credential /* held */, 1", "own_credential(a.daemon, a.credential), 1", ()),
            ("a = 1 /* lock */", "a = 1 FOR UPDATE", ()),
            ("a = 1 /* of our own: 'why?' */", "a = 1 /* of our own: 'why?' */", ()),
        ],
    )
    def test_numbers_in_the_order_in_which_they_stand(
        self, sql: str, numbered: str, takes: tuple[int | str, ...]
    ) -> None:
        words = worded(sql)
        assert (words.sql, words.takes) == (numbered, takes)

    def test_arguments_go_by_place_or_by_name(self) -> None:
        assert worded("?2 ?1 ?2").arguments(("a", "b")) == ["b", "a"]
        assert worded(":b :a :b").arguments({"a": 1, "b": 2, "more": 3}) == [2, 1]
        with pytest.raises(LookupError):
            worded("? ?").arguments(("a",))

    def test_a_script_gives_no_rows(self) -> None:
        assert worded("-- why\nSELECT 1").gives_rows
        assert worded("WITH a AS (SELECT 1) SELECT * FROM a").gives_rows
        assert not worded("CREATE TABLE a (b int); CREATE TABLE c (d int)").gives_rows
        assert not worded("SAVEPOINT one").gives_rows
