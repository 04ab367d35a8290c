"""``bodies.Bodies`` on a journal's writer: times put right and bodies given, some rows a commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tpsd.bodies import Known
from tpsd.core.bodies import CAUSE, Bodiless, Body, Failure
from tpsd.core.rebuilding import KeptTap
from tpsd.core.trust import former_shift
from tpsd.domain.authorisation import State
from tpsd.domain.time import Micros
from tpsd.errors import SealError
from tpsd.store import holds
from tpsd.store.commits import Stamp, insert_notices, insert_sealed
from tpsd.store.connection import Connection
from tpsd.store.queries import Q
from tpsd.store.rotation import Rotation
from tpsd.store.seal import Sealed
from tpsd.store.writer import Writer

ESTIMATED = "time estimated"
"""The note of a tap whose life never knew the time."""

APART_US = 1000  # the wire's millisecond: two taps of one validator never claim the same instant


@dataclass(frozen=True, slots=True)
class _Keys:
    """Keys of ``meta``, each a daemon's own where a journal has several."""

    daemon: str

    @property
    def shift(self) -> str:
        """What to add to this life's schedule clock for the true time."""
        return f"clock_shift/{self.daemon}" if self.daemon else "clock_shift"

    @property
    def bound(self) -> str:
        """The first tap of the last life that was corrected, and its time."""
        return f"clock_bound/{self.daemon}" if self.daemon else "clock_bound"

    def life(self, name: str) -> str:
        """What to add to the times a life stamped before it knew better."""
        return f"clock_life:{self.daemon}/{name}" if self.daemon else f"clock_life:{name}"

    def guess(self, name: str) -> str:
        """The same for a life that never did."""
        return f"clock_guess:{self.daemon}/{name}" if self.daemon else f"clock_guess:{name}"


class SqlBodies:
    """A journal's rows that wait for the time. ``stamp`` and ``digest`` are the journal's own."""

    def __init__(
        self,
        writer: Writer,
        epochs: Rotation,
        digest: Callable[[bytes], bytes],
        stamp: Callable[[Micros], Stamp],
        daemon: str = "",
    ) -> None:
        self._keys = _Keys(daemon)
        self._writer = writer
        self._epochs = epochs
        self._digest = digest
        self._stamp = stamp

    async def begin(self, now: Micros, floor: Micros) -> int:
        """See ``bodies.Bodies``."""

        def work(connection: Connection) -> int:
            connection.execute(Q["set_meta"], (self._keys.shift, 0))
            if now < floor:
                return 0
            connection.execute(Q["mend_ages"], {"now": now, "floor": floor})
            return connection.changes()

        return await self._writer.write(work)

    async def know(self, known: Known) -> None:
        """See ``bodies.Bodies``."""

        def work(connection: Connection) -> None:
            connection.execute(Q["set_meta"], (self._keys.shift, known.schedule_shift_us))
            connection.execute(Q["set_meta"], (self._keys.life(known.life), known.shift_us))

        await self._writer.write(work)

    async def correct(self, known: Known, limit: int) -> int:
        """See ``bodies.Bodies``."""
        return await self._writer.write(lambda connection: _correct(connection, known, limit, self._keys))

    async def waiting(self, limit: int) -> Sequence[Bodiless]:
        """See ``bodies.Bodies``."""
        rows = await self._writer.read(lambda connection: list(connection.execute(Q["bodiless"], (limit,))))
        await self._epochs.learn(epoch for *_, epoch, _, _, _ in rows if epoch is not None)
        return [self._opened(row) for row in rows]

    async def give(self, made: Sequence[Body | Failure], now: Micros) -> int:
        """See ``bodies.Bodies``. Sealing happens here, before the writer's turn."""
        stamp = self._stamp(now)
        bodies = [
            (one, self._epochs.seal(one.uuid, "body", one.body), self._digest(one.body))
            for one in made
            if isinstance(one, Body)
        ]
        failures = [one for one in made if isinstance(one, Failure)]

        def work(connection: Connection) -> int:
            for failure in failures:
                _fail(connection, failure, stamp)
            return sum(_give(connection, body, sealed, digest, stamp) for body, sealed, digest in bodies)

        return await self._writer.write(work)

    def _opened(self, row: tuple[Any, ...]) -> Bodiless:
        uuid, terminal, kind, serial, type_name, lane, tapped_at, amount, currency, token, epoch, *box = row
        if epoch is not None:
            with suppress(SealError):
                card = self._epochs.unseal(uuid, "tap", Sealed(epoch, *box))
                kept = KeptTap(uuid, kind, serial, type_name, lane, tapped_at, amount, currency, token, card)
                return Bodiless(uuid, terminal, kept)
        return Bodiless(uuid, terminal, None)


def _correct(connection: Connection, known: Known, limit: int, keys: _Keys) -> int:
    """Some taps of the newest life that has any: when it began bounds the lives before it."""
    life = _newest(connection)
    if life is None:
        connection.execute(Q["forget_lives"], (keys.life(known.life),))
        return 0
    shift = connection.execute(Q["get_meta"], (keys.life(life),)).get
    guess = None if shift is not None else connection.execute(Q["get_meta"], (keys.guess(life),)).get
    if shift is None and guess is None:
        guess = _guess(connection, life, known, keys)
        connection.execute(Q["set_meta"], (keys.guess(life), guess))  # the same after a crash in the middle
    moved = guess if shift is None else shift
    note = ESTIMATED if shift is None else None
    taps = list(connection.execute(Q["untimed_taps"], (life, limit)))
    for number, received_at in taps:
        connection.execute(Q["correct_tap"], {"shift": moved, "note": note, "id": number})
        _lower_bound(connection, number, received_at + moved, keys)
    return len(taps)


def _newest(connection: Connection) -> str | None:
    """The life of the tap with the highest number; lives are few, and each is one step in the index."""
    newest, highest, life = None, -1, ""
    while (found := connection.execute(Q["untimed_life"], (life,)).get) is not None:
        life = found
        number, _ = connection.execute(Q["untimed_last"], (life,)).get
        if number > highest:
            newest, highest = life, number
    return newest


def _guess(connection: Connection, life: str, known: Known, keys: _Keys) -> int:
    number, last = connection.execute(Q["untimed_last"], (life,)).get
    bound = _bound(connection, number, keys)
    ended_by = known.began_at if bound is None else min(known.began_at, bound - APART_US)
    return former_shift(last, known.shift_us, Micros(ended_by), known.floor)


def _bound(connection: Connection, number: int, keys: _Keys) -> int | None:
    """The latest that a tap of this number can have been, by the taps after it; None where these say nothing."""
    kept: str | None = connection.execute(Q["get_meta"], (keys.bound,)).get
    if kept is None:
        return None
    first, at = (int(part) for part in kept.split())
    return at if number < first else None


def _lower_bound(connection: Connection, number: int, at: int, keys: _Keys) -> None:
    """Taps before this one were no later; newer lives say nothing of lives that are bounded already."""
    known = connection.execute(Q["get_meta"], (keys.bound,)).get
    bound = _bound(connection, number, keys)
    if known is None or bound is not None:
        connection.execute(Q["set_meta"], (keys.bound, f"{number} {at if bound is None else min(at, bound)}"))


def _give(connection: Connection, body: Body, sealed: Sealed, digest: bytes, stamp: Stamp) -> int:
    if connection.execute(Q["bodiless_row"], (body.uuid,)).fetchone() is None:
        return 0
    connection.execute(Q["give_body"], (body.path, digest, stamp.at, body.uuid))
    insert_sealed(connection, body.uuid, "body", sealed, stamp.ran)
    return 1


def _fail(connection: Connection, failure: Failure, stamp: Stamp) -> None:
    found = connection.execute(Q["bodiless_row"], (failure.uuid,)).fetchone()
    if found is None:
        return
    state, cause = found
    connection.execute(Q["fail_bodiless"], (CAUSE, stamp.ran, failure.uuid))
    if state == State.HELD.value and cause is not None:
        holds.end_if_empty(connection, cause)
    tap = connection.execute(Q["tap_of_uuid"], (failure.uuid,)).get
    insert_notices(connection, failure.notices, tap, failure.uuid, stamp.at)
