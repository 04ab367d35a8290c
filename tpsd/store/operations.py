"""``operating.Operations`` on a journal's writer: what is done by hand to rows that rest, a slice a commit."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from tpsd.core.operations import Change, Standing
from tpsd.core.rebuilding import KeptTap, Rebuilt
from tpsd.domain.audit import AuditDraft
from tpsd.domain.authorisation import State
from tpsd.domain.time import Micros
from tpsd.errors import SealError
from tpsd.hints import Hint
from tpsd.operating import Cursor, Judge, Judged, Selection
from tpsd.store import audit as audit_log
from tpsd.store import hints, holds, journeys, reading
from tpsd.store.commits import SealedParts, Stamp, insert_sealed, ladder_id
from tpsd.store.connection import Connection
from tpsd.store.queries import Q
from tpsd.store.resting import RestingReader
from tpsd.store.rotation import Rotation
from tpsd.store.seal import Sealed
from tpsd.store.writer import Writer


class SqlOperations(RestingReader):
    """A journal's operations. ``stamp`` and ``digest`` are the journal's own."""

    def __init__(
        self,
        writer: Writer,
        epochs: Rotation,
        digest: Callable[[bytes], bytes],
        stamp: Callable[[Micros], Stamp],
    ) -> None:
        super().__init__(writer)
        self._writer = writer
        self._epochs = epochs
        self._digest = digest
        self._stamp = stamp

    async def find(self, reference: str) -> Standing:
        """See ``operating.Operations``."""
        return await self._writer.read(lambda connection: _find(connection, reference))

    async def page(self, selection: Selection, after: Cursor, limit: int) -> list[Standing]:
        """See ``operating.Operations``."""
        states = json.dumps(sorted(state.value for state in selection.states))
        bindings = (selection.cause, after.created_at, after.uuid, selection.since, states, limit)

        def work(connection: Connection) -> list[Standing]:
            page = list(connection.execute(Q["standing_page"], bindings))
            return [_standing(connection, uuid) for uuid, _ in page]

        return await self._writer.read(work)

    async def carry_out(
        self, uuids: Sequence[str], judge: Judge, dues: Sequence[Micros], now: Micros, audit: AuditDraft | None
    ) -> list[Judged]:
        """See ``operating.Operations``."""
        stamp = self._stamp(now)

        def work(connection: Connection) -> list[Judged]:
            judged = []
            for uuid, due in zip(uuids, dues, strict=True):
                connection.execute(Q["lock_authorisation"], (uuid,))
                row = _standing(connection, uuid)
                verdict = judge(row)
                judged.append(Judged(row, verdict))
                if isinstance(verdict, Change):
                    _change(connection, row, verdict, due, stamp)
                    if audit is not None:
                        audit_log.write(connection, audit, uuid)
            _end_empty_holds(connection, judged)
            freed = [one.row.uuid for one in judged if isinstance(one.verdict, Change)]
            hints.say_to_owners(connection, Hint.ROWS, freed)
            return judged

        return await self._writer.write(work)

    async def kept(self, uuids: Sequence[str]) -> dict[str, KeptTap]:
        """See ``operating.Operations``."""

        def work(connection: Connection) -> list[tuple[Any, ...]]:
            return [row for uuid in uuids for row in connection.execute(Q["kept_tap"], (uuid,))]

        kept, rows = {}, await self._writer.read(work)
        await self._epochs.learn(epoch for *_, epoch, _, _, _ in rows)
        for uuid, kind, serial, type_name, lane, tapped_at, amount, currency, token, *box in rows:
            with suppress(SealError):
                card = self._epochs.unseal(uuid, "tap", Sealed(*box))
                kept[uuid] = KeptTap(uuid, kind, serial, type_name, lane, tapped_at, amount, currency, token, card)
        return kept

    async def replace(
        self, made: Sequence[Rebuilt], judge: Judge, dues: Sequence[Micros], now: Micros, audit: AuditDraft
    ) -> list[Judged]:
        """See ``operating.Operations``. Sealing happens here, before the writer's turn."""
        stamp = self._stamp(now)
        parts = [self._sealed(one) for one in made]

        def work(connection: Connection) -> list[Judged]:
            judged = []
            for one, sealed, due in zip(made, parts, dues, strict=True):
                connection.execute(Q["lock_authorisation"], (one.old,))
                row = _standing(connection, one.old)
                verdict = judge(row)
                judged.append(Judged(row, verdict))
                if isinstance(verdict, Change):
                    _replace(connection, row, one, sealed, due, stamp)
                    audit_log.write(connection, audit, f"{one.old} -> {one.draft.uuid}")
            _end_empty_holds(connection, judged)
            return judged

        return await self._writer.write(work)

    async def end_hold(self, cause: str, audit: AuditDraft | None) -> bool:
        """See ``operating.Operations``."""

        def work(connection: Connection) -> bool:
            if connection.execute(Q["has_hold"], (cause,)).get is None:
                return False
            holds.end(connection, cause)
            if audit is not None:
                audit_log.write(connection, audit, cause)
            return True

        return await self._writer.write(work)

    def _sealed(self, made: Rebuilt) -> SealedParts:
        owner, body = str(made.draft.uuid), made.draft.body or b""  # one made anew always has one
        return SealedParts(
            self._epochs.seal(owner, "body", body),
            self._epochs.seal(owner, "tap", made.card),
            self._digest(body),
        )


def _find(connection: Connection, reference: str) -> Standing:
    return _standing(connection, reading.find_authorisation(connection, reference))


def _standing(connection: Connection, uuid: str) -> Standing:
    (_, state, cause, terminal, lane, credential, amount, currency, may_have_charged, created_at, body_kept,
     card_kept, body_waits) = connection.execute(Q["standing"], (uuid,)).get  # fmt: skip
    since = connection.execute(Q["doubtful_since"], (uuid,)).get if may_have_charged else None
    return Standing(
        uuid=uuid,
        state=State(state),
        cause=cause,
        terminal=terminal,
        lane=lane,
        credential=credential,
        amount=amount,
        currency=currency,
        may_have_charged=bool(may_have_charged),
        created_at=created_at,
        body_kept=bool(body_kept),
        card_kept=bool(card_kept),
        doubtful_since=since,
        body_waits=bool(body_waits),
    )


def _change(connection: Connection, row: Standing, change: Change, due: Micros, stamp: Stamp) -> None:
    if change.state is State.PENDING:
        connection.execute(Q["release_row"], (due, row.uuid))
    else:
        connection.execute(Q["end_row"], (change.state.value, stamp.at, None, row.uuid))
    if change.erase:
        connection.execute(Q["erase"], (row.uuid,))
        journeys.follow(connection, row.uuid, change.state, stamp)


def _replace(
    connection: Connection, row: Standing, made: Rebuilt, parts: SealedParts, due: Micros, stamp: Stamp
) -> None:
    draft, new = made.draft, str(made.draft.uuid)
    connection.execute(
        Q["insert_authorisation"],
        (new, draft.type, row.lane, made.terminal, State.PENDING.value, None, draft.path, draft.credential,
         draft.amount, draft.currency, parts.body_digest, ladder_id(connection, made.ladder), due, stamp.at, None,
         made.token),
    )  # fmt: skip
    if parts.body is not None:
        insert_sealed(connection, new, "body", parts.body, stamp.ran)
    if parts.card is not None:
        insert_sealed(connection, new, "tap", parts.card, stamp.ran)
    connection.execute(Q["point_taps"], (new, made.token, row.uuid))
    connection.execute(Q["end_row"], (State.CLOSED.value, stamp.at, new, row.uuid))
    connection.execute(Q["erase"], (row.uuid,))


def _end_empty_holds(connection: Connection, judged: Sequence[Judged]) -> None:
    for cause in {one.row.cause for one in judged if one.row.state is State.HELD and isinstance(one.verdict, Change)}:
        if cause is not None:
            holds.end_if_empty(connection, cause)
