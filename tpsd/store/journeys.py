"""Journeys as rows: opened, moved by their table, told of. Work on a connection; the caller holds the transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tpsd.core import journeys
from tpsd.core.doubt import FIRST_ENQUIRY_US
from tpsd.core.following import not_given_back
from tpsd.core.journeys import Effect, Input
from tpsd.core.notices import cause_key
from tpsd.domain.authorisation import State
from tpsd.domain.card import CardToken
from tpsd.domain.journey import Journey, JourneyState, LastTry
from tpsd.domain.notice import NoticeDraft, NoticeKind
from tpsd.domain.time import Micros, later
from tpsd.store.cards import journey_of
from tpsd.store.commits import Stamp, insert_notices
from tpsd.store.connection import Connection
from tpsd.store.queries import Q


def open_one(
    connection: Connection,
    operator: int,
    card: tuple[CardToken, str | None],
    check_in: str,
    opened_at: Micros,
    place: tuple[str | None, str],
) -> None:
    """A check-in was approved. ``card``: its token and the version of the key of that; ``place``: zone and lane."""
    connection.execute(Q["open_journey"], (operator, *card, check_in, opened_at, *place))


def of_check_out(connection: Connection, uuid: str) -> Journey | None:
    """The journey whose latest check-out this is."""
    connection.execute(Q["lock_journey_of_check_out"], (uuid,))
    row = connection.execute(Q["journey_of_check_out"], (uuid,)).get
    return None if row is None else journey_of(row)


def by_number(connection: Connection, number: int) -> Journey | None:
    """One journey."""
    connection.execute(Q["lock_journey"], (number,))
    row = connection.execute(Q["journey_by_number"], (number,)).get
    return None if row is None else journey_of(row)


def begin_try(connection: Connection, journey: Journey, check_out: str) -> None:
    """A passenger's tap checks out by this authorisation."""
    state, _ = journeys.step(journey.state, Input.CHECK_OUT)
    connection.execute(Q["try_journey"], (state.value, check_out, journey.id))


def begin_by_hand(connection: Connection, journey: Journey, check_out: str) -> None:
    """A check-out without a tap begins."""
    state, _ = journeys.step(journey.state, Input.HAND)
    connection.execute(Q["journey_by_hand"], (state.value, check_out, journey.id))


def move(connection: Connection, journey: Journey, given: Input, stamp: Stamp, enquires: bool = False) -> bool:
    """Take one step of the table; whether a notice was written."""
    state, effects = journeys.step(journey.state, given)
    if Effect.GIVE_UP in effects and journey.last is not None:
        give_up(connection, journey.last, stamp, enquires)
    ended_at = stamp.at if Effect.END in effects else None
    connection.execute(Q["move_journey"], (state.value, ended_at, journey.id))
    if Effect.TELL in effects:
        tap = connection.execute(Q["tap_of_uuid"], (journey.check_in,)).get
        insert_notices(connection, (journeys.told(journey.id, state),), tap, journey.check_in, stamp.at)
    return Effect.TELL in effects


def give_up(connection: Connection, last: LastTry, stamp: Stamp, enquires: bool) -> None:
    """The check-out that waited for a tap waits no more; its body goes, and what may have charged is in doubt."""
    if last.state is not State.AWAITING_TAP:
        return
    doubtful = last.may_have_charged and (last.unclear or enquires)
    state = State.IN_DOUBT if doubtful else State.FAILED
    asked = later(stamp.at, FIRST_ENQUIRY_US) if doubtful and enquires else None
    settled, rested = (None, stamp.ran) if doubtful else (stamp.at, None)
    connection.execute(Q["give_up_awaited"], (state.value, settled, rested, asked, last.uuid))
    connection.execute(Q["erase"], (last.uuid,))
    if doubtful and not enquires:
        words = "the journey is over, and nobody knows whether this check-out was charged"
        notice = NoticeDraft(NoticeKind.IN_DOUBT, cause_key(NoticeKind.IN_DOUBT, "expired_journey"), words)
        _tell(connection, notice, last.uuid, stamp)


def follow(connection: Connection, uuid: str, state: State, stamp: Stamp) -> bool:
    """What the end of an authorisation means for its journey, whoever settled it; whether a notice was written."""
    if not state.is_final:
        return False
    journey = of_check_out(connection, uuid)
    if journey is None:
        beside = _BESIDE.get(state)
        return beside is not None and beside(connection, uuid, stamp)
    if state is State.APPROVED:
        return journey.state is not JourneyState.CLOSED and move(connection, journey, Input.APPROVED, stamp)
    return journey.state is JourneyState.BY_HAND and move(connection, journey, Input.HAND_FAILED, stamp)


def _approved_beside(connection: Connection, uuid: str, stamp: Stamp) -> bool:
    """A former check-out of a journey turned out approved after another had taken its place."""
    number = connection.execute(Q["journey_of_authorisation"], (uuid,)).get
    journey = None if number is None else by_number(connection, number)
    if journey is None or journey.check_in == uuid or journey.last is None:
        return False
    key = cause_key(NoticeKind.ALARM, "checked_out_twice")
    words = f"journey {journey.id}: this check-out was approved although {journey.last.uuid} took its place"
    _tell(connection, NoticeDraft(NoticeKind.ALARM, key, words), uuid, stamp)
    return True


def _not_given_back(connection: Connection, uuid: str, stamp: Stamp) -> bool:
    """A refund or release that nobody ordered was declined."""
    terminal = connection.execute(Q["unordered_return"], (uuid,)).get
    if terminal is None:
        return False
    _tell(connection, not_given_back(terminal), uuid, stamp)
    return True


def _tell(connection: Connection, notice: NoticeDraft, uuid: str, stamp: Stamp) -> None:
    insert_notices(connection, (notice,), connection.execute(Q["tap_of_uuid"], (uuid,)).get, uuid, stamp.at)


_BESIDE: Final[dict[State, Callable[[Connection, str, Stamp], bool]]] = {
    State.APPROVED: _approved_beside,
    State.DECLINED: _not_given_back,
}
"""What the end of a transaction means that is no journey's latest check-out."""
