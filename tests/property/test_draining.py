"""The drain against a plain model: whatever the database had heard of a tap, in the end it says what the spool told,
and drained twice it says the same.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.store.builders import NOW, candidate, report
from tests.store.engines import IDENTITY, KEK
from tpsd.core.candidate import Candidate, Decision, Facts
from tpsd.core.intake import decide
from tpsd.core.passback import AGAIN, ON_A_LIST
from tpsd.core.spooling import at_the_spool
from tpsd.domain.authorisation import State
from tpsd.domain.tap import Disposition, Shown, Verdict
from tpsd.store.commits import Stamp
from tpsd.store.draining import draining
from tpsd.store.epochs import KeyFolder
from tpsd.store.journal import Secrets
from tpsd.store.spool import Spool
from tpsd.store.spooled_taps import Spooled
from tpsd.store.sqlite import SqliteJournal

TABLES = {
    "tap": "id, serial, counter, verdict, reason, note, disposition, uuid, shown, unseen, list_version",
    "authorisation": "uuid, state, cause, due, amount, attempt",
    "sealed": "owner, purpose",
    "notice": "kind, cause, tap, uuid",
}


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one tap. ``heard``: of its COMMIT in the database nobody heard; None: it was never tried.

    ``denied_there`` and ``denied_here``: by what only that one knows. ``again``: what it says that it has shown, when
    it comes again to the spool.
    """

    counter: int
    heard: bool
    denied_there: bool
    denied_here: bool
    again: tuple[Shown, ...]


fates = st.lists(
    st.builds(
        Fate,
        st.integers(1, 1000),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.lists(st.sampled_from(Shown), max_size=3).map(tuple),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda fate: fate.counter,
)


def judge(denied: bool, why: Any) -> Any:
    def judged(tap: Candidate, facts: Facts) -> Decision:
        if facts.known is not None or not denied:
            return decide(tap, facts)
        return Decision(why, disposition=Disposition.REPEAT if why is AGAIN else Disposition.DENIED)

    return judged


async def dump(journal: SqliteJournal) -> dict[str, list[tuple[Any, ...]]]:
    return await journal._writer.read(
        lambda one: {
            name: sorted(one.execute(f"SELECT {columns} FROM {name}"), key=repr) for name, columns in TABLES.items()
        }
    )


async def drain(journal: SqliteJournal, taps: list[Spooled]) -> None:
    for tap in taps:
        await journal._writer.write(draining(tap, journal._epochs.seal, journal.digest, Stamp(tap.at, 0)))


async def play(folder: Path, taps: list[Fate]) -> None:
    journal = await SqliteJournal.open(
        folder / "journal.db", IDENTITY, Secrets(KEK, KeyFolder(folder / "epochs")), inline=True
    )
    spool = await Spool.open(folder / "spool.db", IDENTITY, Secrets(KEK, KeyFolder(folder / "others")), inline=True)
    try:
        uuids = {}
        for number, fate in enumerate(taps):
            uuids[fate.counter] = uuid = UUID(int=2 * number + 1)
            tap = candidate(journal, report(fate.counter), uuid=uuid)
            if fate.heard:
                await journal.take(tap, judge(fate.denied_there, ON_A_LIST), NOW)
            await spool.put(tap, at_the_spool(judge(fate.denied_here, AGAIN)), NOW)
            for shown in fate.again:
                once_more = candidate(journal, report(fate.counter, shown=shown), uuid=UUID(int=2 * number + 2))
                await spool.put(once_more, at_the_spool(decide), NOW)
        spooled = await spool.first(50)
        await drain(journal, spooled)
        first = await dump(journal)
        await drain(journal, spooled)
        assert await dump(journal) == first
        check(taps, spooled, first)
        assert await journal.upkeep.check() == []
        assert await spool.forget(spooled) == {tap.number for tap in spooled}
        assert await spool.first(50) == []
        assert not any((await dump(spool)).values())
    finally:
        await spool.close()
        await journal.close()


def check(taps: list[Fate], spooled: list[Spooled], found: dict[str, list[tuple[Any, ...]]]) -> None:
    rows = {row[2]: row for row in found["tap"]}
    states = {row[0]: row[1] for row in found["authorisation"]}
    sealed = {row[0] for row in found["sealed"]}
    assert len(rows) == len(found["tap"]) == len(taps)
    told = {tap.candidate.report.counter: tap for tap in spooled}
    for fate in taps:
        _, _, _, verdict, reason, _, _, uuid, _, unseen, _ = rows[fate.counter]
        tap = told[fate.counter]
        assert tap.decision.told is not None
        assert (verdict, reason) == (int(tap.decision.told.verdict), tap.decision.told.reason)
        assert not unseen, "nothing was sent, so everything could be taken back"
        charged = uuid is not None and states[uuid] == State.PENDING.value
        assert charged == (tap.decision.state is not None and tap.cancelled is None)
        assert charged == (uuid in sealed)
        if fate.denied_here and not fate.again:
            assert not charged
        if not fate.denied_here and Shown.TURNED_AWAY not in fate.again:
            assert charged
            assert verdict == Verdict.ACCEPTED
    assert sum(state == State.PENDING.value for state in states.values()) <= len(taps)


@settings(max_examples=25)
@given(fates)
def test_drained_twice_is_drained_once(taps: list[Fate]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder), taps))
