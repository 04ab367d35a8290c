"""``leases.Leases`` on a journal in PostgreSQL: who is there, and what those were doing who are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from tpsd.asking import Judge as AskedJudge
from tpsd.domain.time import Micros
from tpsd.errors import JournalError
from tpsd.hints import Hint
from tpsd.leases import LEASE_US, RENEW_US, Endings, Neighbour, Renewed
from tpsd.store import enquiries, hints, leaving
from tpsd.store.asked import SqlAsked
from tpsd.store.commits import Stamp
from tpsd.store.connection import Connection
from tpsd.store.entering import NAMES, PRESIDING
from tpsd.store.queries import F
from tpsd.store.writer import Urgency, Writer

HANG_UP_US: Final = RENEW_US
"""So long one that was declared gone may come and hear that it was; then its connection is ended for it."""

Slice = Callable[[Connection], int]


class SqlLeases:
    """One daemon's, on its journal's writer."""

    asked: SqlAsked

    def __init__(self, writer: Writer, daemon: str, stamp: Callable[[Micros], Stamp]) -> None:
        self._writer = writer
        self._daemon = daemon
        self._stamp = stamp
        self._presides_since: str | None = None  # the life that has the lock: a new connection has a new life
        self._life: str | None = None

    @property
    def daemon(self) -> str:
        """See ``leases.Leases``."""
        return self._daemon

    @property
    def presides(self) -> bool:
        """See ``leases.Leases``: as of the last ``renew``."""
        return self._presides_since is not None and self._presides_since == self._life

    async def preside(self) -> bool:
        """Whether this daemon presides: it does from when nobody else did, for as long as its connection lasts."""

        def look(connection: Connection) -> tuple[str, bool]:
            life = connection.execute(F["life"]).get
            return life, life == self._presides_since or bool(connection.execute(F["preside"], PRESIDING).get)

        self._life, has_lock = await self._writer.read(look)
        self._presides_since = self._life if has_lock else None
        return has_lock

    def lose(self) -> None:
        """Its connection is another one: whoever presides now, this daemon does not. From any thread."""
        self._presides_since = None

    async def confirm_whatever_comes(self) -> None:
        """Nothing is told anywhere else: what is committed was, or will be."""
        await self._writer.write(lambda connection: connection.execute(F["confirm_whatever_comes"]) and None)

    async def clock(self) -> Micros:
        """See ``leases.Leases``."""
        return Micros(await self._writer.read(lambda connection: connection.execute(F["database_clock"]).get))

    async def describe(self, credentials: Mapping[str, str]) -> None:
        """See ``leases.Leases``."""
        await self._writer.write(lambda connection: connection.execute(F["say_credentials"], (dict(credentials),)))

    async def renew(self) -> Renewed:
        """See ``leases.Leases``."""

        def work(connection: Connection) -> Renewed:
            now = connection.execute(F["renew_lease"], (LEASE_US,)).get
            rows = list(connection.execute(F["neighbours"]))
            if any(gone_at is not None for *_, gone_at in rows):
                connection.execute(F["hang_up"], (NAMES, HANG_UP_US))
            others = [Neighbour(name, life, until - now) for name, life, until, gone_at in rows if gone_at is None]
            gone = {name: (until, gone_at) for name, _, until, gone_at in rows if gone_at is not None}
            return Renewed(
                Micros(now),
                others,
                {name: gone_at for name, (_, gone_at) in gone.items()},
                frozenset(name for name, (until, gone_at) in gone.items() if until == gone_at),
            )

        renewed = await self._writer.write(work, Urgency.INTAKE)
        await self.preside()
        return renewed

    async def leave(self) -> None:
        """See ``leases.Leases``. Who presides next finds the lock free when it hears of it."""

        def work(connection: Connection) -> None:
            if self.presides:
                connection.execute(F["preside_no_more"], PRESIDING)
            connection.execute(F["leave"])
            hints.say(connection, Hint.WORK)

        await self._writer.write(work)
        self.lose()

    async def declare_gone(self, neighbour: Neighbour) -> bool:
        """See ``leases.Leases``."""

        def work(connection: Connection) -> bool:
            connection.execute(F["declare_gone"], (neighbour.name, neighbour.life))
            return connection.changes() == 1

        return await self._writer.write(work)

    async def take_over(self, now: Micros, endings: Endings) -> dict[str, int]:
        """See ``leases.Leases``; some rows a commit."""
        slices = self._going_on(now, endings, self._stamp(now)) | self._given_up(now, endings, self._stamp(now))
        return {name: await self._whole(some) for name, some in slices.items()}

    def _going_on(self, now: Micros, endings: Endings, stamp: Stamp) -> dict[str, Slice]:
        """With what this daemon holds the certificate of."""
        for_good = leaving.GONE_FOR_GOOD_US  # until then what its gate alone may know better is left to that
        slices: dict[str, Slice] = {
            "sends_ended_unknown": lambda connection: self._end_sends(
                connection, leaving.adopt(connection, "orphans_sending", for_good), endings, endings.asked, stamp
            ),
            "sends_taken_over": lambda connection: len(leaving.adopt(connection, "orphans_due", now)),
            "bodiless_taken_over": lambda connection: len(leaving.adopt(connection, "orphans_bodiless")),
            "held_taken_over": lambda connection: leaving.adopt_held(connection, now),
        }
        if endings.enquire is not None:
            slices["enquiries_ended_unknown"] = lambda connection: _end_enquiries(connection, endings, stamp)
            slices["enquiries_taken_over"] = lambda connection: len(
                leaving.adopt(connection, "orphans_doubtful", now, for_good)
            )
        return slices

    def _given_up(self, now: Micros, endings: Endings, stamp: Stamp) -> dict[str, Slice]:
        """What nobody who is here can go on with, for whatever reason, comes to a person."""
        overdue = now - leaving.ALONE_US  # whoever can go on with it has come by then
        first: dict[str, Slice] = {
            "sends_given_up": lambda connection: self._end_sends(
                connection, leaving.abandoned_sends(connection), endings, endings.alone, stamp
            )
        }
        first |= {
            f"{query}_in_doubt": partial(leaving.doubt_unconfirmed, query=query, stamp=stamp)
            for query in leaving.UNCONFIRMED_ROWS
        }
        return first | {
            "untimed_failed": lambda connection: leaving.fail_untimed(connection, stamp),
            "bodiless_held": lambda connection: leaving.hold_abandoned(connection, "abandoned_bodiless", (), stamp),
            "due_held": lambda connection: leaving.hold_abandoned(connection, "abandoned_due", (overdue,), stamp),
            "enquired_given_up": lambda connection: leaving.end_enquiries(connection, "abandoned_enquired", (), stamp),
            "enquiries_given_up": lambda connection: leaving.end_enquiries(
                connection, "abandoned_enquiries", (overdue,), stamp
            ),
        }

    async def _whole(self, some: Slice) -> int:
        done = 0
        while True:
            now_done = await self._writer.write(some)
            done += now_done
            if now_done < leaving.SLICE_ROWS:
                return done

    def _end_sends(
        self, connection: Connection, uuids: list[str], endings: Endings, asked: AskedJudge, stamp: Stamp
    ) -> int:
        return leaving.end_left_open(connection, uuids, stamp, endings.send, (self.asked, asked))


def _end_enquiries(connection: Connection, endings: Endings, stamp: Stamp) -> int:
    if endings.enquire is None:
        raise JournalError("who asks about nothing ends no enquiry")
    adopted = leaving.adopt(connection, "orphans_enquired")
    for uuid in adopted:
        enquiries.end_left_open(
            connection, list(connection.execute(F["enquiries_of_one"], (uuid,))), stamp, endings.enquire
        )
    return len(adopted)
