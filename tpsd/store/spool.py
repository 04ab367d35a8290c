"""The spool's file: a journal on SQLite of its own that holds taps only until the database has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from tpsd.asking import Answered, Follow, Judge
from tpsd.core.candidate import Candidate, Decision
from tpsd.core.spooling import Decide
from tpsd.domain.authorisation import Claimed
from tpsd.domain.outcome import Outcome
from tpsd.domain.tap import TapReport
from tpsd.domain.time import Micros
from tpsd.errors import JournalError, SealError
from tpsd.ports import Taken
from tpsd.store import commits, realtime
from tpsd.store.commits import SealedParts
from tpsd.store.connection import Connection
from tpsd.store.mirror import follow
from tpsd.store.queries import Q
from tpsd.store.seal import Sealed
from tpsd.store.spooled_taps import S, Spooled, first, read
from tpsd.store.sqlite import SqliteJournal
from tpsd.store.writer import Urgency, Writer

_OF = "spool_of"  # meta: the journal whose spool it is
NO_JOURNEYS = 0  # no company: where a card's journey matters, TPS is not asked from here


@dataclass(frozen=True, slots=True)
class Waits:
    """How many taps, and when the oldest was received (wall clock)."""

    count: int
    oldest: Micros | None


class Spool(SqliteJournal):
    """Takes taps and what came of them, gives them back in their order, and forgets them."""

    async def begin(self, journal_id: str) -> frozenset[str]:
        """It is that journal's from now on: under which UUIDs it was asked first for what waits.

        Raises JournalError where taps of another journal wait.
        """

        def work(connection: Connection) -> frozenset[str]:
            owner = connection.execute(Q["get_meta"], (_OF,)).get
            if owner not in (None, journal_id) and _waits(connection).count:
                raise JournalError(
                    f"the spool holds taps of journal {owner}, and [store] url is journal {journal_id}: name that "
                    "one's database until they have drained, or another file in [store] spool"
                )
            connection.execute(Q["set_meta"], (_OF, journal_id))
            return frozenset(uuid for (uuid,) in connection.execute(S["spool_tried"]))

        return await self._writer.write(work)

    async def put(
        self, candidate: Candidate, decide: Decide, now: Micros, body_digest: bytes | None = None
    ) -> tuple[Taken, str | None]:
        """Commit 1, here, and its UUID; a tap that is known here gets the same verdict.

        Of a realtime tap it is commit 2 as well. ``body_digest`` is the journal's, since no body of it is kept.
        """
        parts, stamp = self._sealed(candidate), self._stamp(now)
        uuid = None if candidate.draft is None else str(candidate.draft.uuid)
        if candidate.realtime and parts is not None:
            parts = SealedParts(None, None, body_digest)

        def ask(connection: Connection, candidate: Candidate, decision: Decision) -> tuple[str, Claimed, Sealed | None]:
            return realtime.ask(connection, candidate, decision, parts, self.asked.seal_body, stamp)

        def work(connection: Connection) -> tuple[Taken, str | None]:
            taken, row = commits.take(connection, candidate, decide, parts, stamp, ask)
            if taken.new:
                connection.execute(S["spool"], (taken.number, uuid, now))
            known = connection.execute(Q["uuid_of_tap"], (taken.number,)).get
            return taken if row is None else replace(taken, asked=row.claimed), known

        return await self._writer.write(work, Urgency.INTAKE)

    async def answer(
        self, claimed: Claimed, outcome: Outcome, judge: Judge, follow: Follow, ended_at: Micros
    ) -> Answered | None:
        """Commit 3 of a realtime attempt where its row is here, else None. Raises SettledLate."""
        uuid, stamp = str(claimed.uuid), self._stamp(ended_at)

        def work(connection: Connection) -> Answered | None:
            if connection.execute(S["spool_has"], (uuid,)).get is None:
                return None
            seal = self.asked.seal_body
            return realtime.answer(connection, claimed, outcome, judge, follow, seal, NO_JOURNEYS, stamp)

        return await self._writer.write(work, Urgency.INTAKE)

    async def delivered(self, uuid: str) -> bool:
        """The validator's link has the verdict of this transaction; whether its row is here."""

        def work(connection: Connection) -> bool:
            connection.execute(Q["spooled_delivered"], (uuid,))
            return connection.execute(S["spool_has"], (uuid,)).get is not None

        return await self._writer.write(work)

    async def uuids(self) -> frozenset[str]:
        """Those under which what waits was asked, or would have been."""
        tried = S["spool_tried"]
        return await self._writer.read(lambda connection: frozenset(uuid for (uuid,) in connection.execute(tried)))

    async def put_rejected(
        self,
        report: TapReport,
        lane: str,
        terminal: str,
        config_digest: str,
        digest: bytes,
        now: Micros,
        untrusted: str | None,
    ) -> Taken:
        """A tap that could not be decided. ``digest`` is the journal's, not the spool's own."""
        stamp = self._stamp(now)

        def payload(owner: str) -> Sealed:
            return self._epochs.seal(owner, "payload", report.payload)

        def work(connection: Connection) -> Taken:
            taken = commits.reject(connection, report, lane, terminal, config_digest, digest, payload, stamp, untrusted)
            if taken.new:
                connection.execute(S["spool"], (taken.number, None, now))
            return taken

        return await self._writer.write(work, Urgency.INTAKE)

    async def waits(self) -> Waits:
        """What the database has yet to take."""
        return await self._writer.read(_waits)

    async def first(self, limit: int, after: int = 0) -> list[Spooled]:
        """Some of what waits, the oldest first, its card data opened."""
        found = await self._writer.read(partial(first, limit=limit, after=after))
        return [read(one, self._opened_parts) for one in found]

    async def forget(self, taps: Iterable[Spooled]) -> set[int]:
        """The database has them: erase them here, but for those that came again since they were read; which."""
        which = [tap.version for tap in taps]
        return await self._writer.write(partial(_forget, which=which))

    async def follow_list(self, source: Writer) -> int | None:
        """See ``mirror.follow``."""
        return await follow(source, self._writer)

    def _opened_parts(self, sealed: Sequence[tuple[Any, ...]]) -> dict[str, bytes]:
        opened: dict[str, bytes] = {}
        for owner, purpose, *box in sealed:
            with suppress(SealError):  # it is told of as one that cannot be sent, once it is claimed
                opened[purpose] = self._epochs.unseal(owner, purpose, Sealed(*box))
        return opened


def _waits(connection: Connection) -> Waits:
    return Waits(*connection.execute(S["spool_waits"]).get)


def _forget(connection: Connection, which: Iterable[tuple[Any, ...]]) -> set[int]:
    gone = set()
    for number, *version in which:
        found = connection.execute(S["spool_unchanged"], (number, *version)).fetchone()
        if found is None:
            continue
        connection.execute(S["spool_drop_notices"], (number,))
        connection.execute(S["spool_drop"], (number,))
        connection.execute(S["spool_drop_tap"], (number,))
        connection.execute(Q["erase"], (f"tap:{number}",))
        if found[0] is not None:
            for name in _ITS_TRANSACTION:
                connection.execute(name, (found[0],))
        gone.add(number)
    connection.execute(S["spool_drop_episodes"])
    return gone


_ITS_TRANSACTION = (
    Q["erase"],
    S["spool_erase_followers"],
    S["spool_drop_followers"],
    S["spool_drop_attempts"],
    S["spool_drop_authorisation"],
)
