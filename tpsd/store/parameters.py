"""Stop list and EMV parameters in the journal: records as they came, with the version that brought each."""

from __future__ import annotations

from functools import partial

from tpsd.domain.feed import Action, Parameters, ParameterState, RawPage
from tpsd.domain.time import Micros
from tpsd.errors import RefusedError
from tpsd.store.connection import Connection
from tpsd.store.queries import Q
from tpsd.store.writer import Writer

RECORDS_MAX = 100_000  # of a type, old and new: 50 MB of journal
OLD_SLICE = 1000  # records of a list that is over, in the commit of a page: some milliseconds


class SqlParameters:
    """``tpsd.denylist.ParameterStore`` on the journal's writer."""

    def __init__(self, writer: Writer, records_max: int = RECORDS_MAX) -> None:
        self._writer = writer
        self._records_max = records_max

    async def state(self, kind: Parameters) -> ParameterState:
        """From the type's row."""
        return await self._writer.read(partial(_state, kind=kind))

    async def keep(self, kind: Parameters, page: RawPage, at: Micros, *, anew: bool, timed: bool) -> ParameterState:
        """One commit."""
        return await self._writer.write(
            partial(_keep, kind=kind, page=page, at=at, anew=anew, timed=timed, records_max=self._records_max)
        )


def _row(connection: Connection, kind: Parameters) -> tuple[int, int, int, str | None, Micros | None]:
    return connection.execute(Q["parameters_of"], (kind.value,)).fetchone() or (0, 0, 0, None, None)


def _count(connection: Connection, kind: Parameters, number: int) -> int:
    return int(connection.execute(Q["parameters_count"], (kind.value, number)).get)


def _state(connection: Connection, kind: Parameters) -> ParameterState:
    version, number, in_force, token, whole_at = _row(connection, kind)
    coming = None if number == in_force else _count(connection, kind, number)
    return ParameterState(kind, version, _count(connection, kind, in_force), token, whole_at, coming)


def _keep(
    connection: Connection, kind: Parameters, page: RawPage, at: Micros, *, anew: bool, timed: bool, records_max: int
) -> ParameterState:
    connection.execute(Q["parameters_begin"], (kind.value,))
    version, number, in_force, token, _ = _row(connection, kind)
    version += bool(page.records)
    if anew:
        number = _next(connection, kind, number, in_force)
    for record in page.records:
        if record.action is Action.FLUSH:
            number = _next(connection, kind, number, in_force)
        else:
            bindings = (kind.value, number, version, at, record.action.value, record.raw)
            connection.execute(Q["parameters_insert"], bindings)
    if sum(_count(connection, kind, one) for one in {number, in_force}) > records_max:
        raise RefusedError(f"there are more than {records_max:,} records of type {kind.value}")
    in_force = number if page.complete else in_force
    connection.execute(
        Q["parameters_heard"],
        {
            "kind": kind.value,
            "version": version,
            "list": number,
            "in_force": in_force,
            "token": token if page.token is None else page.token,
            "whole_at": at if page.complete and timed else None,
        },
    )
    connection.execute(Q["parameters_old"], (kind.value, in_force, OLD_SLICE))
    return _state(connection, kind)


def _next(connection: Connection, kind: Parameters, number: int, in_force: int) -> int:
    """A list begins; what had come of another that never became whole goes."""
    if number == in_force:
        return number + 1
    connection.execute(Q["parameters_empty"], (kind.value, number))
    return number
