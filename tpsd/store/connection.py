"""A journal's connection as the store's work sees it: rows asked for by a query's name, in whatever dialect.

An apsw connection is one as it stands; PostgreSQL's is made in ``tpsd.store.postgres``. What an engine alone can do
(flushes, checks of its files, copies) is not here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol

Bindings = Sequence[Any] | Mapping[str, Any]


class Rows(Protocol):
    """What a statement gave; to be read before the next statement."""

    @property
    def get(self) -> Any:
        """The only value of the only row, that row where it has several, a list of several rows; None of none."""

    def fetchone(self) -> Any:
        """The next row; None behind the last."""

    def __iter__(self) -> Iterator[Any]:
        """The rows that are left."""


class Connection(Protocol):
    """One connection, used by one thread at a time."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""

    def execute(self, statements: str, bindings: Bindings | None = None) -> Rows:
        """Run a query by its name (``queries.Query``), or SQL that this engine knows; ``?`` and ``:name`` are bound."""

    def executemany(self, statements: str, sequenceofbindings: Iterable[Sequence[Any]]) -> object:
        """Run it once for each."""

    def changes(self) -> int:
        """How many rows the last statement that writes has written."""

    def total_changes(self) -> int:
        """How many rows this connection has written."""

    def last_insert_rowid(self) -> int:
        """The number that the last row got which was inserted into a table that numbers its rows."""

    def close(self) -> None:
        """Let go of it."""

    def __enter__(self) -> Connection:
        """Begin a transaction, or a savepoint of it."""

    def __exit__(
        self, etype: type[BaseException] | None, evalue: BaseException | None, etraceback: TracebackType | None
    ) -> bool | None:
        """Commit it, or undo it where something was raised."""
