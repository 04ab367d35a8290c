"""A journal carried from a file into a PostgreSQL database, in slices, and on from where a crash left it.

A tap that both could send would be charged twice. So the file is marked as a backup, on which no daemon runs, before
the mark that keeps daemons from the copy is taken away; and until then the copy is compared with it row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import apsw

from tpsd.domain.audit import AuditDraft
from tpsd.domain.upkeep import Compared
from tpsd.errors import JournalError, RefusedError
from tpsd.store import audit
from tpsd.store.connection import Connection
from tpsd.store.movable import CAME, COPYING, FOR_ITS_DAEMON, TABLES, WENT, Key, Mark, Row, Table, digest, renumberings
from tpsd.store.opening import BACKUP_ID
from tpsd.store.queries import Q

SLICE_ROWS = 500  # a commit: some MB where the rows are mails, and a crash repeats no more

_META: Final = TABLES[-1]
_KEYS = "epoch_key"
_TYPES = (
    "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute "
    "WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped"
)

Told = Callable[[str, int, int], None]
"""Of which table a slice was done, how many steps that makes, and of how many."""


class Move:
    """One journal on its way. ``source``: SQLite, only read until it is marked; ``keys``: its wrapped epoch keys.

    ``target``: PostgreSQL, its schema up to date, and nobody else there. The engines' errors go through.
    """

    def __init__(
        self,
        source: apsw.Connection,
        target: Connection,
        keys: Mapping[int, bytes],
        told: Told,
        slice_rows: int = SLICE_ROWS,
    ) -> None:
        self._source = source
        self._target = target
        self._keys = keys
        self._told = told
        self._slice_rows = slice_rows
        self._columns = {table.name: _columns(source, table) for table in TABLES}
        self._steps = 2 * sum(int(source.execute(table.count()).get) for table in TABLES)
        self._done = 0

    def make(self, move: str, by: AuditDraft, whence: str, where: str) -> tuple[Compared, ...]:
        """All of it, or what is left of it; both sides as compared, nothing where it had been made before.

        ``move``: the id of a new one. ``whence`` and ``where``: the two for people. Raises RefusedError, JournalError.
        """
        begun = self._begin(move)
        if begun is None:
            return ()
        self._carry_all()
        compared = tuple(self._compare())
        different = [table.table for table in compared if not table.same]
        if different:
            raise JournalError(
                f"{where} differs from {whence} in {', '.join(different)}: a daemon has run on the journal since this "
                "copy of it began, or somebody wrote into the copy; drop the database, make it anew, and copy again"
            )
        self._leave(begun, by, where)
        self._arrive(begun, by, whence)
        return compared

    def _begin(self, move: str) -> str | None:
        """Begin, or find what was begun; its id, None where nothing is left to do."""
        gone, came = gone_by(self._source), _meta(self._target, CAME)
        if gone is not None and gone == came:
            return None
        if self._source.execute("SELECT 1 FROM spooled LIMIT 1").get is not None:
            raise RefusedError("it is a gate's spool: what waits in it goes into its database when that daemon runs")
        under_way = _meta(self._target, COPYING)
        if under_way is None:
            return self._anew(move, gone)
        mark, now = Mark.read(str(under_way)), self._mark(move)
        if mark.journal != now.journal:
            raise RefusedError("the database holds an unfinished copy of another journal: name an empty one")
        if mark.as_of != now.as_of or gone not in (None, mark.move):
            raise RefusedError(
                "a daemon has run on the journal since this copy of it began: drop the database, make it anew, and "
                "copy again"
            )
        return mark.move

    def _carry_all(self) -> None:
        """Every row that is not there yet, a slice a commit."""
        for table in TABLES:
            self._carry(table)
        for number, wrapped in self._keys.items():
            self._target.execute(
                f"INSERT INTO {_KEYS} (number, wrapped) VALUES (?, ?) ON CONFLICT DO NOTHING", (number, wrapped)
            )
        for statement in renumberings():
            self._target.execute(statement)

    def _compare(self) -> list[Compared]:
        """Each table as it is on both sides."""
        compared = []
        for table in TABLES:
            there = digest(self._rows(self._target, table))
            compared.append(Compared(table.name, *digest(self._rows(self._source, table, tell=True)), *there))
        there = digest(self._target.execute(f"SELECT number, wrapped FROM {_KEYS} ORDER BY number"))
        return [*compared, Compared(_KEYS, *digest(sorted(self._keys.items())), *there)]

    def _leave(self, move: str, by: AuditDraft, where: str) -> None:
        """Mark the file as one that its journal has left; again is no error."""
        self._source.pragma("query_only", 0)
        self._source.pragma("synchronous", "FULL")
        self._source.pragma("journal_mode", "DELETE")  # the mark is to stand in the file's header, not in a log
        if gone_by(self._source) is not None:
            return
        with self._source:
            audit.write(self._source, by, where)
            self._source.execute(Q["set_meta"], (WENT, move))
            self._source.pragma("application_id", BACKUP_ID)

    def _arrive(self, move: str, by: AuditDraft, whence: str) -> None:
        """Let daemons use the copy."""
        with self._target:
            for statement in FOR_ITS_DAEMON:
                self._target.execute(statement)
            audit.write(self._target, by, whence)
            self._target.execute(Q["set_meta"], (CAME, move))
            self._target.execute(Q["end_meta"], (COPYING,))

    def _anew(self, move: str, gone: str | None) -> str:
        if gone is not None:
            raise RefusedError(
                "the journal has left this file for another database: go on there; 'tpsd store restore' brings the "
                "file back into service, with what was unfinished in it in doubt"
            )
        if _meta(self._target, "journal_id") is not None:
            raise RefusedError("the database holds a journal already: name an empty one")
        self._target.execute(Q["set_meta"], (COPYING, self._mark(move).text()))
        return move

    def _mark(self, move: str) -> Mark:
        return Mark(move, str(_meta(self._source, "journal_id")), digest(self._rows(self._source, _META))[1])

    def _carry(self, table: Table) -> None:
        types = {str(name): str(kind) for name, kind in self._target.execute(_TYPES, (table.name,))}
        columns = [name for name in self._columns[table.name] if name != table.later]
        homeless = set(self._columns[table.name]) - set(types)
        if homeless:
            raise JournalError(f"table {table.name} there has no column {min(homeless)}: copy with the newest tpsd")
        found = self._target.execute(table.last()).fetchone()
        after: Key | None = None if found is None else tuple(found)
        self._tell(table, int(self._target.execute(table.count()).get))
        for rows in self._pages(self._source, table, columns, after):
            self._target.execute(table.fill(columns, types), _by_column(rows))
            self._tell(table, len(rows))
        if table.later is not None:
            names = [*table.key, table.later]
            for rows in self._pages(self._source, table, names):
                if named := [row for row in rows if row[-1] is not None]:
                    self._target.execute(table.fill_later(types), _by_column(named))

    def _rows(self, connection: Connection, table: Table, *, tell: bool = False) -> Iterator[Row]:
        for rows in self._pages(connection, table, self._columns[table.name]):
            yield from rows
            if tell:
                self._tell(table, len(rows))

    def _pages(
        self, connection: Connection, table: Table, columns: Sequence[str], after: Key | None = None
    ) -> Iterator[Sequence[Row]]:
        while True:
            asked = table.page(columns, first=after is None)
            rows = list(connection.execute(asked, (*(after or ()), self._slice_rows)))
            if rows:
                yield rows
            if len(rows) < self._slice_rows:
                return
            after = table.key_of(columns, rows[-1])

    def _tell(self, table: Table, steps: int) -> None:
        self._done += steps
        self._told(table.name, self._done, self._steps)


def gone_by(source: apsw.Connection) -> str | None:
    """The move by which a journal left its file; None where it is there. Raises RefusedError for a backup."""
    if source.pragma("application_id") != BACKUP_ID:
        return None
    move = _meta(source, WENT)
    if move is None:
        raise RefusedError("it is a backup, and the journal may have gone on since: bring it back with 'store restore'")
    return str(move)


def _by_column(rows: Sequence[Row]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _columns(source: apsw.Connection, table: Table) -> list[str]:
    return [str(name) for (name,) in source.execute("SELECT name FROM pragma_table_info(?)", (table.name,))]


def _meta(connection: Connection, key: str) -> object:
    value: object = connection.execute(Q["get_meta"], (key,)).get
    return value
