"""The journal as people read it: lists, and one tap's story. Work on a connection, outside transactions."""

from __future__ import annotations

import re
from typing import Any

from tpsd.domain.views import AttemptRow, NoticeLine, TapFilter, TapRow, TapStory
from tpsd.errors import NotFoundError, RefusedError
from tpsd.store.connection import Connection
from tpsd.store.queries import Q

_NAME = re.compile(r"^(.+):(\d{1,10}):(\d{1,10})$")
_UUID_START = re.compile(r"^[0-9a-f][0-9a-f-]{3,35}$")
NUMBER_DIGITS_MAX = 18  # a tap's number is a 64-bit row id
_DELIVERED = {0: "not yet", 1: "yes", 2: "never, and a person was told"}


def taps(connection: Connection, which: TapFilter) -> list[TapRow]:
    """Taps, newest first."""
    bindings = {"lane": which.lane, "state": which.state, "cause": which.cause, "limit": which.limit}
    return [_tap(row) for row in connection.execute(Q["tap_rows"], bindings)]


def story(connection: Connection, reference: str) -> TapStory:
    """One tap with its attempts and notices. Raises NotFoundError."""
    number = find(connection, reference)
    tap = _tap(connection.execute(Q["tap_row"], (number,)).get)
    (token, stop, config_digest, path, credential, body_kept, version, delivered, zone, approved_amount,
     follows, token_key) = connection.execute(Q["tap_more"], (number,)).get  # fmt: skip
    attempts = (AttemptRow(*row) for row in connection.execute(Q["attempts_of"], (tap.uuid,)))
    notices = (NoticeLine(*row) for row in connection.execute(Q["notices_of"], {"uuid": tap.uuid, "tap": number}))
    journey = None if tap.uuid is None else connection.execute(Q["journey_of_authorisation"], (tap.uuid,)).get
    return TapStory(
        tap=tap,
        token=token,
        stop=stop,
        config_digest=config_digest,
        path=path,
        credential=credential,
        body_kept=bool(body_kept),
        attempts=tuple(attempts),
        notices=tuple(notices),
        list_version=version,
        token_key=token_key,
        delivered=None if delivered is None else _DELIVERED[delivered],
        zone=zone,
        approved_amount=approved_amount,
        follows=follows,
        journey=journey,
        journey_state=None if journey is None else connection.execute(Q["journey_state"], (journey,)).get,
    )


def find(connection: Connection, reference: str) -> int:
    """The number of the tap that a person means. Raises NotFoundError."""
    reference = reference.strip()
    if reference.isdecimal() and len(reference) <= NUMBER_DIGITS_MAX:
        found = list(connection.execute(Q["tap_by_number"], (int(reference),)))
        if found:
            return int(found[0][0])
    name = _NAME.match(reference)
    if name:
        found = list(connection.execute(Q["tap_by_name"], (name[1], int(name[2]), int(name[3]))))
        if found:
            return int(found[0][0])
    elif _UUID_START.match(reference.lower()):
        start = reference.lower()
        found = list(connection.execute(Q["tap_by_uuid"], (start, start + "g")))
        found = found or list(connection.execute(Q["tap_by_replaced_uuid"], (start, start + "g")))
        found = found or list(connection.execute(Q["tap_by_following_uuid"], (start, start + "g")))
        if len(found) > 1:
            raise NotFoundError(f"more than one tap's UUID begins with {reference}: give more of it")
        if found:
            return int(found[0][0])
    raise NotFoundError(
        f"no tap {reference!r}: give its number, at least four characters of its UUID, or serial:boot:counter "
        "(see 'tpsd taps')"
    )


def find_authorisation(connection: Connection, reference: str) -> str:
    """The UUID of the transaction that a person means: of its own, or of a tap. Raises NotFoundError, RefusedError."""
    start = reference.strip().lower()
    if _UUID_START.match(start) and not start.isdecimal():
        found = [uuid for (uuid,) in connection.execute(Q["authorisation_by_uuid"], (start, start + "g"))]
        if len(found) > 1:
            raise NotFoundError(f"more than one UUID begins with {reference}: give more of it")
        if found:
            return str(found[0])
    number = find(connection, reference)
    uuid: str | None = connection.execute(Q["uuid_of_tap"], (number,)).get
    if uuid is None:
        raise RefusedError(f"tap {number} was never to be sent; see: tpsd show {number}")
    return uuid


def _tap(row: tuple[Any, ...]) -> TapRow:
    number, serial, boot, counter, *middle = row
    (lane, terminal, kind, tapped_at, received_at, amount, currency, masked, verdict, reason, disposition, repeats,
     unseen, uuid, state, cause, attempts, due, may_have_charged) = middle  # fmt: skip
    return TapRow(
        number=number,
        tap_id=None if boot is None else f"{serial}:{boot}:{counter}",
        lane=lane,
        terminal=terminal,
        kind=kind,
        tapped_at=tapped_at,
        received_at=received_at,
        amount=amount,
        currency=currency,
        masked=masked,
        verdict=verdict,
        reason=reason,
        disposition=disposition,
        repeats=repeats,
        unseen=bool(unseen),
        uuid=uuid,
        state=state,
        cause=cause,
        attempts=attempts,
        due=due,
        may_have_charged=bool(may_have_charged),
    )
