"""What the journal knows of a card when it is tapped: its last taps, and whether a list denies it.

Plain look-ups inside commit 1; each is answered by an index, however many taps and tokens are kept.
"""

from __future__ import annotations

from typing import Any

from tpsd.core.candidate import JOURNEY_KINDS, Candidate
from tpsd.core.passback import CardPast
from tpsd.domain.authorisation import State
from tpsd.domain.journey import Journey, JourneyState, LastTry
from tpsd.store.connection import Connection
from tpsd.store.queries import Q


def list_version(connection: Connection) -> int | None:
    """The number of the deny list's latest change; None while nobody ever made one."""
    version: int | None = connection.execute(Q["deny_version"]).get
    return version


def token_key(connection: Connection) -> str | None:
    """The version of the token key in force, as lists that come now carry it; None where there is none."""
    version: str | None = connection.execute(Q["token_key_in_force"]).get
    return version


def denied(connection: Connection, candidate: Candidate) -> bool:
    """Whether a live list holds the card, by any of its names."""
    names = (*(() if candidate.token is None else (candidate.token,)), *candidate.also)
    return any(connection.execute(Q["deny_holds"], (bytes.fromhex(name),)).get is not None for name in names)


def past(connection: Connection, candidate: Candidate) -> CardPast | None:
    """The card's past as the lane's pass-back asks for it; None where it does not ask."""
    rule, token, at = candidate.pass_back, candidate.token, candidate.tapped_at
    if not rule.on or token is None:
        return None
    where = (token, candidate.pass_group)
    before = connection.execute(Q["accepted_before"], (*where, at - rule.refused_us, at)).get
    later = connection.execute(Q["accepted_after"], (*where, at, at + rule.refused_us)).get
    apart = min((abs(at - near) for near in (before, later) if near is not None), default=None)
    if apart is None:
        return CardPast()
    window = (*where, at - rule.again_us, at + rule.again_us, rule.group_size + 1)
    return CardPast(
        apart_us=apart,
        riders=int(connection.execute(Q["riders"], window).get),
        unsettled=connection.execute(Q["card_unsettled"], (token,)).get is not None,
    )


def journey(connection: Connection, operator: int, token: str) -> Journey | None:
    """The card's open journey."""
    connection.execute(Q["lock_journey_of_card"], (operator, token))
    row = connection.execute(Q["journey_of_card"], (operator, token)).get
    return None if row is None else journey_of(row)


def journey_of(row: tuple[Any, ...]) -> Journey:
    """A row of one of the queries ``journey_…`` that begin with a journey's number."""
    number, token, state, check_in, tries, opened_at, zone, held, currency, last, *of_last = row
    return Journey(
        id=number,
        token=token,
        state=JourneyState(state),
        check_in=check_in,
        tries=tries,
        opened_at=opened_at,
        zone=zone,
        held=held,
        currency=currency,
        last=None if last is None else _last(last, *of_last),
    )


def _last(uuid: str, state: str, amount: int, may_have_charged: int, unclear: int, enquired: int) -> LastTry:
    return LastTry(uuid, State(state), amount, bool(may_have_charged), bool(unclear), bool(enquired))


def under_way(connection: Connection, candidate: Candidate) -> bool:
    """Whether the card is being authorised at this moment for the same."""
    if candidate.token is None or candidate.kind is None:
        return False
    bindings = {
        "token": candidate.token,
        "journeys": candidate.kind in JOURNEY_KINDS,
        "type": candidate.kind.value,
        "lane": candidate.lane,
        "amount": candidate.amount,
    }
    return connection.execute(Q["under_way"], bindings).get is not None


def doubtful(connection: Connection, candidate: Candidate) -> str | None:
    """The UUID of the card's last one for the same that is in doubt."""
    if candidate.token is None or candidate.kind is None:
        return None
    bindings = (candidate.token, candidate.kind.value, candidate.lane, candidate.amount)
    uuid: str | None = connection.execute(Q["doubtful"], bindings).get
    return uuid
