"""What a receipt needs, read from the journal. Work on a connection, outside transactions."""

from __future__ import annotations

import json

from tpsd.domain.authorisation import State
from tpsd.domain.receipt import By, Moved, Recorded, Travelled
from tpsd.domain.tap import Disposition, Kind, Verdict
from tpsd.store import reading
from tpsd.store.connection import Connection
from tpsd.store.queries import Q


def recorded(connection: Connection, reference: str) -> Recorded:
    """One tap with its journey, and what was given back of both. Raises NotFoundError."""
    (number, serial, boot, counter, lane, kind, tapped_at, amount, currency, masked, verdict, reason, disposition,
     uuid, state, cause, approved, action_code, may_have_charged, facts) = connection.execute(
        Q["receipt_tap"], (reading.find(connection, reference),)
    ).get  # fmt: skip
    journey = None if uuid is None else _journey(connection, uuid)
    return Recorded(
        number=number,
        tap_id=None if boot is None else f"{serial}:{boot}:{counter}",
        lane=lane,
        kind=kind,
        tapped_at=tapped_at,
        amount=amount,
        currency=currency,
        masked=masked,
        verdict=None if verdict is None else Verdict(verdict),
        reason=reason,
        disposition=None if disposition is None else Disposition(disposition),
        uuid=uuid,
        state=None if state is None else State(state),
        cause=cause,
        approved=approved,
        action_code=action_code,
        may_have_charged=bool(may_have_charged),
        facts={} if facts is None else json.loads(facts),
        journey=journey,
        refunds=() if uuid is None else _refunds(connection, uuid, kind, journey),
    )


def _journey(connection: Connection, uuid: str) -> Travelled | None:
    number = connection.execute(Q["journey_of_authorisation"], (uuid,)).get
    if number is None:
        return None
    number, state, currency, check_in, check_out = connection.execute(Q["receipt_journey"], (number,)).get
    end = None if check_out is None else _moved(connection, check_out)
    return Travelled(number, state, currency, _moved(connection, check_in), end)


def _refunds(connection: Connection, uuid: str, kind: str, journey: Travelled | None) -> tuple[Moved, ...]:
    """Of the tap's transaction and of its journey's check-out; of a check-in without a journey its release."""
    paid = {uuid: None} if journey is None or journey.check_out is None else {uuid: None, journey.check_out.uuid: None}
    releases = journey is None and kind == Kind.RETAIL_CHECK_IN.value
    found = (row[0] for one in paid for row in connection.execute(Q["followers"], (one, releases)))
    return tuple(_moved(connection, refund) for refund in list(found))


def _moved(connection: Connection, uuid: str) -> Moved:
    found, kind, state, at, lane, zone, amount, approved, by = connection.execute(Q["receipt_moved"], (uuid,)).get
    return Moved(found, kind, State(state), at, lane, zone, amount, approved, By(by))
