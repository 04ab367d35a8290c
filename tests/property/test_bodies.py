"""Lives that know the time or do not, in any order, killed anywhere: one body a UUID, with the right time in it."""

from __future__ import annotations

import asyncio
import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.store.builders import LANE, report, setting
from tests.store.engines import SqliteEngine
from tpsd.bodies import Known
from tpsd.core.bodies import Body, complete
from tpsd.core.intake import decide, prepare
from tpsd.core.taptime import CLOCK_FLOOR
from tpsd.domain.time import HOUR, SECOND, Micros, iso_millis
from tpsd.store.sqlite import SqliteJournal

BEGAN = Micros(1_790_000_000_000_000)

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("tap"), st.integers(0, 600)),  # so old, without a stamp of its own
        st.tuples(st.just("stamped"), st.integers(0, 600)),
        st.tuples(st.just("passes"), st.integers(1, 7200)),
        st.tuples(st.just("learns"), st.just(0)),
        st.tuples(st.just("corrects"), st.integers(1, 3)),
        st.tuples(st.just("gives"), st.integers(1, 3)),
        st.tuples(st.just("dies"), st.integers(0, 100)),  # the next one shows so many seconds of 1970
    ),
    max_size=25,
)


@dataclass
class Life:
    """One life of a daemon, and the true time that it may not know."""

    name: str
    began: Micros
    shows: Micros
    knows: bool = False

    @property
    def shift(self) -> int:
        return self.began - self.shows

    @property
    def known(self) -> Known:
        return Known(self.name, self.shift, self.shift, self.began, CLOCK_FLOOR)


@dataclass
class World:
    """``taps``: what each UUID's time must be, and the life that stamped it, None where its own stamp did.

    ``bodies``: those that were made late.
    """

    journal: SqliteJournal
    now: Micros = BEGAN
    lives: list[Life] = field(default_factory=list)
    taps: dict[UUID, tuple[Micros, Life | None]] = field(default_factory=dict)
    bodies: dict[str, bytes] = field(default_factory=dict)

    @property
    def life(self) -> Life:
        return self.lives[-1]

    def begins(self, shows: int) -> None:
        self.lives.append(Life(f"life-{len(self.lives)}", self.now, Micros(shows * SECOND)))

    async def tap(self, age: int, *, stamped: bool) -> None:
        life, uuid, at = self.life, UUID(int=len(self.taps), version=4), Micros(self.now - age * SECOND)
        received = self.now if life.knows else Micros(self.now - life.shift)
        tap = report(len(self.taps) + 1, received_at=received, tapped_at=at if stamped else None, age_ms=1000 * age)
        untrusted = None if life.knows else life.name
        candidate = prepare(tap, LANE, setting(self.journal), uuid, untrusted)
        await self.journal.take(candidate, decide, Micros(self.now - life.shift))
        self.taps[uuid] = (at, None if stamped or life.knows else life)

    async def learns(self) -> None:
        await self.journal.bodies.know(self.life.known)
        self.life.knows = True

    async def gives(self, limit: int) -> int:
        made = [complete(one, setting(self.journal)) for one in await self.journal.bodies.waiting(limit)]
        for one in made:
            assert isinstance(one, Body)
            assert self.bodies.setdefault(one.uuid, one.body) is one.body, "a second body of one UUID"
        return await self.journal.bodies.give(made, Micros(self.now - self.life.shift))

    async def finishes(self) -> None:
        await self.learns()
        while await self.journal.bodies.correct(self.life.known, 2):
            pass
        while await self.gives(2):
            pass


@settings(max_examples=60, deadline=None)
@given(first=st.integers(0, 100), steps=STEPS)
def test_one_body_with_the_right_time(first: int, steps: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder), first, steps))


async def play(folder: Path, first: int, steps: list[tuple[str, int]]) -> None:
    engine = SqliteEngine(folder / "engine", inline=True)
    world = World(await engine.open())
    world.begins(first)
    for what, much in steps:
        match what:
            case "tap" | "stamped":
                await world.tap(much, stamped=what == "stamped")
            case "passes":
                world.now = Micros(world.now + much * SECOND)
            case "learns" if not world.life.knows:
                await world.learns()
            case "corrects" if world.life.knows:
                await world.journal.bodies.correct(world.life.known, much)
            case "gives" if world.life.knows:
                await world.gives(much)
            case "dies":
                engine = engine.after_sigkill()
                await world.journal.close()
                world.journal = await engine.open()
                world.begins(much)
                await world.journal.bodies.begin(world.life.shows, CLOCK_FLOOR)
    await world.finishes()
    await judge(world)
    await world.journal.close()


async def judge(world: World) -> None:
    claims = await world.journal.claim(Micros(world.now + HOUR), 1000)
    assert [claimed.uuid for claimed in claims if not claimed.body] == []
    assert {claimed.uuid for claimed in claims} == world.taps.keys()
    assert len(claims) == len(world.taps)
    for claimed in claims:
        true, life = world.taps[claimed.uuid]
        row = (await world.journal.story(str(claimed.uuid))).tap
        sent = json.loads(claimed.body)
        assert claimed.body == world.bodies.get(str(claimed.uuid), claimed.body)
        assert sent["transactionUuid"] == str(claimed.uuid)
        assert sent["transactionData"]["transactionTime"] == iso_millis(row.tapped_at)
        if life is None or life.knows:
            assert row.tapped_at == true
        else:
            assert CLOCK_FLOOR <= row.tapped_at <= row.received_at <= world.life.began
