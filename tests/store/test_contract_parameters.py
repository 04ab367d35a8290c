"""Stop list and EMV parameters in the journal: versions, lists that come anew, and what a kill leaves."""

from __future__ import annotations

import pytest

from tests.store.builders import NOW, after
from tests.store.engines import Engine
from tpsd.domain.feed import Action, Parameters, ParameterState, RawPage, RawRecord
from tpsd.domain.time import Micros
from tpsd.errors import RefusedError
from tpsd.store.journal import SqlJournal
from tpsd.store.parameters import SqlParameters

EMV, STOP = Parameters.EMV_PARAMETER, Parameters.STOP_LIST
FLUSH = RawRecord(Action.FLUSH, None)


def page(*words: str, token: str | None = "t", done: bool = True, flush: bool = False) -> RawPage:
    records = [RawRecord(Action.INSERT, f'{{"x":"{word}"}}') for word in words]
    return RawPage((*([FLUSH] if flush else []), *records), done, token)


async def kept(journal: SqlJournal, what: RawPage, at: Micros = NOW, *, anew: bool = False) -> ParameterState:
    return await journal.parameters.keep(EMV, what, at, anew=anew, timed=True)


async def in_force(journal: SqlJournal) -> list[tuple[int, str | None]]:
    query = """SELECT r.version, r.raw FROM feed_record r JOIN feed_parameters p ON p.kind = r.kind
               WHERE r.list = p.in_force ORDER BY r.id"""
    return await journal._writer.read(lambda one: [tuple(row) for row in one.execute(query)])


async def test_nothing_came(journal: SqlJournal) -> None:
    assert await journal.parameters.state(EMV) == ParameterState(EMV)


async def test_each_page_that_changes_something_is_a_version(journal: SqlJournal) -> None:
    first = await kept(journal, page("a", "b", done=False))
    assert first == ParameterState(EMV, 1, 2, "t"), "the first is in force as it comes"
    assert await kept(journal, page("c")) == ParameterState(EMV, 2, 3, "t", NOW)
    assert (await kept(journal, page(), after(9))).version == 2
    assert await kept(journal, page("d", token=None), after(20)) == ParameterState(EMV, 3, 4, "t", after(20))
    assert await in_force(journal) == [(1, '{"x":"a"}'), (1, '{"x":"b"}'), (2, '{"x":"c"}'), (3, '{"x":"d"}')]
    assert await journal.parameters.state(STOP) == ParameterState(STOP)


async def test_a_new_list_takes_effect_once_it_is_whole(journal: SqlJournal) -> None:
    await kept(journal, page("old"))
    state = await kept(journal, page("new", flush=True, done=False), after(1))
    assert (state.records, state.coming, state.whole_at) == (1, 1, NOW)
    state = await kept(journal, page("newer", flush=True, done=False), after(2))
    assert (state.records, state.coming) == (1, 1), "what came before another flush goes"
    assert await in_force(journal) == [(1, '{"x":"old"}')]
    state = await kept(journal, page("newest"), after(3))
    assert (state.version, state.records, state.coming, state.whole_at) == (4, 2, None, after(3))
    assert await in_force(journal) == [(3, '{"x":"newer"}'), (4, '{"x":"newest"}')]
    left = "SELECT count(*) FROM feed_record"
    assert await journal._writer.read(lambda one: one.execute(left).get) == 2


async def test_a_list_that_was_asked_for_from_the_beginning_replaces_what_is_there(journal: SqlJournal) -> None:
    await kept(journal, page("old"))
    assert (await kept(journal, page("new"), anew=True)).records == 1
    assert await in_force(journal) == [(2, '{"x":"new"}')]


async def test_too_many_are_refused_and_leave_nothing(journal: SqlJournal) -> None:
    few = SqlParameters(journal._writer, records_max=2)
    await few.keep(EMV, page("a", "b"), NOW, anew=False, timed=True)
    with pytest.raises(RefusedError, match="more than 2 records"):
        await few.keep(EMV, page("c", token="u"), NOW, anew=False, timed=True)
    assert (await few.state(EMV)).token == "t"


async def test_a_time_that_is_not_known_is_not_kept(journal: SqlJournal) -> None:
    state = await journal.parameters.keep(EMV, page("a"), NOW, anew=False, timed=False)
    assert (state.records, state.whole_at) == (1, None)


async def test_a_kill_in_the_middle_of_a_new_list(engine: Engine) -> None:
    journal = await engine.open()
    assert isinstance(journal, SqlJournal)
    await kept(journal, page("old"))
    await kept(journal, page("new", flush=True, done=False, token="middle"))
    left = engine.after_sigkill()
    await journal.close()
    again = await left.open()
    assert isinstance(again, SqlJournal)
    try:
        state = await again.parameters.state(EMV)
        assert (state.token, state.records, state.coming) == ("middle", 1, 1)
    finally:
        await again.close()


async def test_each_terminal_has_its_own(journal: SqlJournal) -> None:
    first, second = "GATE-X1:VAL00001", "GATE-X1:VAL00002"
    assert await journal.parameters.states() == []
    await journal.parameters.keep(EMV, page("a"), NOW, anew=False, timed=True, terminal=first)
    state = await journal.parameters.keep(EMV, page("b", "c"), NOW, anew=False, timed=True, terminal=second)
    assert (state.terminal, state.version, state.records) == (second, 1, 2)
    await journal.parameters.keep(STOP, page("d"), NOW, anew=False, timed=True)
    found = [(one.kind, one.terminal, one.records) for one in await journal.parameters.states()]
    assert found == [(EMV, first, 1), (EMV, second, 2), (STOP, "", 1)]
    assert (await journal.parameters.state(EMV, first)).records == 1
