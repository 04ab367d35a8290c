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
TERMINAL_RECORDS_MAX = 10_000  # of a type that each terminal has: some hundred are usual, and there may be fifty lanes
OLD_SLICE = 1000  # records of a list that is over, in the commit of a page: some milliseconds


class SqlParameters:
    """``tpsd.denylist.ParameterStore`` on the journal's writer."""

    def __init__(self, writer: Writer, records_max: int = RECORDS_MAX) -> None:
        self._writer = writer
        self._records_max = records_max

    async def state(self, kind: Parameters, terminal: str = "") -> ParameterState:
        """From the row of the type and terminal."""
        return await self._writer.read(partial(_state, name=_name(kind, terminal)))

    async def states(self) -> list[ParameterState]:
        """One row each."""
        return await self._writer.read(
            lambda connection: [_state(connection, name) for (name,) in list(connection.execute(Q["parameters_all"]))]
        )

    async def keep(
        self, kind: Parameters, page: RawPage, at: Micros, *, anew: bool, timed: bool, terminal: str = ""
    ) -> ParameterState:
        """One commit."""
        most = min(self._records_max, TERMINAL_RECORDS_MAX) if terminal else self._records_max
        name = _name(kind, terminal)
        return await self._writer.write(
            partial(_keep, name=name, page=page, at=at, anew=anew, timed=timed, records_max=most)
        )


def _name(kind: Parameters, terminal: str) -> str:
    """What a list's rows are called: its type, and of one terminal's that too."""
    return f"{kind.value} {terminal}" if terminal else kind.value


def _row(connection: Connection, name: str) -> tuple[int, int, int, str | None, Micros | None]:
    return connection.execute(Q["parameters_of"], (name,)).fetchone() or (0, 0, 0, None, None)


def _count(connection: Connection, name: str, number: int) -> int:
    return int(connection.execute(Q["parameters_count"], (name, number)).get)


def _state(connection: Connection, name: str) -> ParameterState:
    version, number, in_force, token, whole_at = _row(connection, name)
    coming = None if number == in_force else _count(connection, name, number)
    kind, _, terminal = name.partition(" ")
    records = _count(connection, name, in_force)
    return ParameterState(Parameters(kind), version, records, token, whole_at, coming, terminal)


def _keep(
    connection: Connection, name: str, page: RawPage, at: Micros, *, anew: bool, timed: bool, records_max: int
) -> ParameterState:
    connection.execute(Q["parameters_begin"], (name,))
    version, number, in_force, token, _ = _row(connection, name)
    version += bool(page.records)
    if anew:
        number = _next(connection, name, number, in_force)
    for record in page.records:
        if record.action is Action.FLUSH:
            number = _next(connection, name, number, in_force)
        else:
            bindings = (name, number, version, at, record.action.value, record.raw)
            connection.execute(Q["parameters_insert"], bindings)
    if sum(_count(connection, name, one) for one in {number, in_force}) > records_max:
        raise RefusedError(f"there are more than {records_max:,} records of type {name}")
    in_force = number if page.complete else in_force
    connection.execute(
        Q["parameters_heard"],
        {
            "kind": name,
            "version": version,
            "list": number,
            "in_force": in_force,
            "token": token if page.token is None else page.token,
            "whole_at": at if page.complete and timed else None,
        },
    )
    connection.execute(Q["parameters_old"], (name, in_force, OLD_SLICE))
    return _state(connection, name)


def _next(connection: Connection, name: str, number: int, in_force: int) -> int:
    """A list begins; what had come of another that never became whole goes."""
    if number == in_force:
        return number + 1
    connection.execute(Q["parameters_empty"], (name, number))
    return number
