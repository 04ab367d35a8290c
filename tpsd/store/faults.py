"""What an engine's errors mean to a group of writes: whose fault one is, and what may still be trusted after it."""

from __future__ import annotations

from dataclasses import dataclass

import apsw


@dataclass(frozen=True, slots=True)
class Faults:
    """One engine's errors, and its words for people.

    ``breaking``: never retried over, since what was written before is doubtful until the journal is opened, and
    checked, anew. ``trouble``: not the fault of the write that met it, so that the whole group is lost. ``own``: all
    that the engine raises, whose text may be shown. ``crossed``: two groups waited for each other; each of their writes
    may be done again by itself.
    """

    own: tuple[type[BaseException], ...]
    breaking: tuple[type[BaseException], ...]
    trouble: tuple[type[BaseException], ...]
    begin: str
    broken: str
    unavailable: str
    crossed: tuple[type[BaseException], ...] = ()

    def words(self, cause: BaseException) -> str:
        """What a person is told of an error; text that is not the engine's may hold what was to be written."""
        return f"{type(cause).__name__}: {cause}" if isinstance(cause, self.own) else type(cause).__name__


_BREAKING = (apsw.IOError, apsw.CorruptError, apsw.NotADBError)

SQLITE = Faults(
    own=(apsw.Error,),
    breaking=_BREAKING,
    trouble=(
        *_BREAKING,
        apsw.FullError,
        apsw.CantOpenError,
        apsw.ReadOnlyError,
        apsw.BusyError,
        apsw.NoMemError,
    ),
    begin="BEGIN IMMEDIATE",
    broken=(
        "the disk failed ({words}): the journal stays closed until tpsd starts again and has checked it; "
        "look at the disk's health"
    ),
    unavailable=(
        "the journal cannot be written or read ({words}): nothing was acknowledged; check the disk's space and health"
    ),
)
