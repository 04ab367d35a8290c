"""One tap with all that is kept of it, for its story; orders by hand in pages, because there may be very many."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from tpsd.domain.audit import AuditRow
from tpsd.domain.authorisation import State
from tpsd.domain.history import Box, CardPast, History, Hold, Mailing, Transaction
from tpsd.domain.receipt import Recorded
from tpsd.domain.tap import Shown, Timing
from tpsd.domain.time import Micros
from tpsd.domain.views import AttemptRow
from tpsd.store import receipts
from tpsd.store.commits import ladder_of
from tpsd.store.connection import Connection
from tpsd.store.figures import Reads
from tpsd.store.housekeeping import read_ran
from tpsd.store.queries import Q

PAGE_ROWS = 2000  # orders in a look: about 2 ms of the writer's time


class Histories:
    """Histories of taps on whatever reads."""

    def __init__(self, reads: Reads, page_rows: int = PAGE_ROWS) -> None:
        self._reads = reads
        self._page_rows = page_rows

    async def of(self, reference: str) -> History:
        """What is kept of the tap that a person means. Raises NotFoundError."""
        named, found = await self._reads.read(lambda connection: _found(connection, reference))
        orders: list[AuditRow] = []
        if named:
            orders = await self._orders(json.dumps(named))
        return History(orders=tuple(orders), **found)

    async def _orders(self, named: str) -> list[AuditRow]:
        last = await self._reads.read(lambda connection: int(connection.execute(Q["last_order"]).get))
        found: list[AuditRow] = []
        for after in range(0, last, self._page_rows):
            bindings = (after, after + self._page_rows, named)
            rows = await self._reads.read(partial(_orders, bindings))
            found += [AuditRow(*row) for row in rows]
        return found


def _orders(bindings: tuple[int, int, str], connection: Connection) -> list[tuple[Any, ...]]:
    return list(connection.execute(Q["orders_about"], bindings))


def _found(connection: Connection, reference: str) -> tuple[list[str], dict[str, Any]]:
    """The transactions that orders may have named, and the history's other fields."""
    recorded = receipts.recorded(connection, reference)
    shift = int(connection.execute(Q["clock_shift"]).get)
    (terminal, received_at, repeats, shown, unseen, delivered, note, list_version, config_digest,
     place, token, token_key) = connection.execute(Q["history_tap"], (recorded.number,)).get  # fmt: skip
    transactions = [] if recorded.uuid is None else _transactions(connection, recorded.uuid, shift)
    own = transactions[-1] if transactions else None
    uuids = [one.uuid for one in transactions]
    bindings = {"tap": recorded.number, "uuids": json.dumps(uuids), "shift": shift}
    boxes = connection.execute(Q["history_boxes"], (json.dumps([*uuids, f"tap:{recorded.number}"]),))
    return _named(recorded, uuids), {
        "recorded": recorded,
        "terminal": terminal,
        "received_at": received_at,
        "repeats": repeats,
        "shown": Shown(shown),
        "unseen": bool(unseen),
        "delivered": delivered,
        "note": note,
        "list_version": list_version,
        "token_key": token_key,
        "config_digest": config_digest,
        "place": place,
        "taps": tuple(number for (number,) in connection.execute(Q["history_taps"], (recorded.uuid,))),
        "transactions": tuple(transactions),
        "mailings": tuple(Mailing(*row) for row in connection.execute(Q["history_mailings"], bindings)),
        "boxes": tuple(Box(*row) for row in boxes),
        "ran": read_ran(connection),
        "hold": _hold(connection, own, shift),
        "unreachable_since": connection.execute(Q["history_outage"]).get,
        "card": CardPast() if token is None else CardPast(*connection.execute(Q["history_card"], (token,)).fetchone()),
    }


def _transactions(connection: Connection, uuid: str, shift: int) -> list[Transaction]:
    return [_transaction(connection, row) for row in list(connection.execute(Q["history_transactions"], (uuid, shift)))]


def _transaction(connection: Connection, row: tuple[Any, ...]) -> Transaction:
    (uuid, kind, timing, state, cause, amount, currency, approved, may_have_charged, credential, settled_at, release,
     sends, tiers, due, body_waits, enquiries, enquiry_due, replaced_by, follows, ran_rested) = row  # fmt: skip
    return Transaction(
        uuid=uuid,
        kind=kind,
        timing=Timing(timing),
        state=State(state),
        cause=cause,
        amount=amount,
        currency=currency,
        approved=approved,
        may_have_charged=bool(may_have_charged),
        credential=credential,
        settled_at=settled_at,
        release=release,
        sends=sends,
        ladder=ladder_of(tiers),
        due=due,
        body_waits=bool(body_waits),
        enquiries=enquiries,
        enquiry_due=enquiry_due,
        replaced_by=replaced_by,
        follows=follows,
        ran_rested=ran_rested,
        attempts=tuple(AttemptRow(*row) for row in connection.execute(Q["attempts_of"], (uuid,))),
    )


def _hold(connection: Connection, own: Transaction | None, shift: int) -> Hold | None:
    if own is None or own.state is not State.HELD:
        return None
    found = connection.execute(Q["history_hold"], (own.cause, shift)).fetchone()
    return None if found is None else Hold(Micros(found[0]), found[1])


def _named(recorded: Recorded, uuids: list[str]) -> list[str]:
    """What orders about this tap may name: its transactions, its journey's ends, and what was given back."""
    journey = recorded.journey
    ends = () if journey is None else (journey.check_in, *((journey.check_out,) if journey.check_out else ()))
    return list(dict.fromkeys([*uuids, *(end.uuid for end in ends), *(one.uuid for one in recorded.refunds)]))
