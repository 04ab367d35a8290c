"""``leases.Leases`` on a journal in PostgreSQL: who is there, and what those were doing who are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from tpsd.core.notices import cause_key
from tpsd.domain.authorisation import Claimed
from tpsd.domain.notice import NoticeDraft, NoticeKind
from tpsd.domain.time import DAY, Micros
from tpsd.errors import JournalError
from tpsd.hints import Hint
from tpsd.leases import LEASE_US, RENEW_US, Endings, Neighbour, Renewed
from tpsd.store import enquiries, hints, recovery
from tpsd.store.asked import SqlAsked
from tpsd.store.commits import Stamp, insert_notices
from tpsd.store.connection import Connection
from tpsd.store.entering import NAMES, PRESIDING
from tpsd.store.queries import F, Q
from tpsd.store.writer import Urgency, Writer

SLICE_ROWS: Final = 20  # rows a commit, some 10 ms of work: a passenger's tap waits no longer for its turn

GONE_FOR_GOOD_US: Final = 1 * DAY
"""After that a daemon is not expected back with what it alone knows of its last taps."""

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
        stamp = self._stamp(now)
        slices: dict[str, Slice] = {
            "sends_ended_unknown": lambda connection: self._end_sends(connection, endings, stamp),
            "sends_taken_over": lambda connection: len(_adopt(connection, "orphans_due", now)),
            "left_in_doubt": lambda connection: _doubt(connection, stamp),
        }
        if endings.enquire is not None:
            slices["enquiries_ended_unknown"] = lambda connection: _end_enquiries(connection, endings, stamp)
            slices["enquiries_taken_over"] = lambda connection: len(
                _adopt(connection, "orphans_doubtful", now, GONE_FOR_GOOD_US)
            )
        return {name: await self._whole(some) for name, some in slices.items()}

    async def _whole(self, some: Slice) -> int:
        done = 0
        while True:
            now_done = await self._writer.write(some)
            done += now_done
            if now_done < SLICE_ROWS:
                return done

    def _end_sends(self, connection: Connection, endings: Endings, stamp: Stamp) -> int:
        def end_asked(connection: Connection, claimed: Claimed) -> None:
            self.asked.end_crashed(connection, claimed, endings.asked, stamp)

        adopted = _adopt(connection, "orphans_sending", GONE_FOR_GOOD_US)
        rows = [connection.execute(F["left_open_one"], (uuid,)).get for uuid in adopted]
        return recovery.end_left_open(connection, rows, stamp, endings.send, end_asked)


def _adopt(connection: Connection, orphans: str, *bindings: int) -> list[str]:
    """Some rows become this daemon's; their UUIDs."""
    found = list(connection.execute(F[orphans], (*bindings, SLICE_ROWS)))
    for uuid, credential in found:
        connection.execute(F["adopt"], (credential, uuid))
    return [uuid for uuid, _ in found]


def _end_enquiries(connection: Connection, endings: Endings, stamp: Stamp) -> int:
    if endings.enquire is None:
        raise JournalError("who asks about nothing ends no enquiry")
    adopted = _adopt(connection, "orphans_enquired")
    for uuid in adopted:
        enquiries.end_left_open(
            connection, list(connection.execute(F["enquiries_of_one"], (uuid,))), stamp, endings.enquire
        )
    return len(adopted)


def _doubt(connection: Connection, stamp: Stamp) -> int:
    """Taps that their daemon may have answered otherwise than the journal has it, and it will not say any more."""
    adopted = _adopt(connection, "orphans_unconfirmed", GONE_FOR_GOOD_US)
    for uuid in adopted:
        connection.execute(F["doubt_unconfirmed"], (stamp.ran, uuid))
        words = "its daemon is gone and never confirmed it: its passenger may have been told otherwise; it is not sent"
        notice = NoticeDraft(NoticeKind.IN_DOUBT, cause_key(NoticeKind.IN_DOUBT, "unconfirmed"), words)
        insert_notices(connection, (notice,), connection.execute(Q["tap_of_uuid"], (uuid,)).get, uuid, stamp.at)
    return len(adopted)
