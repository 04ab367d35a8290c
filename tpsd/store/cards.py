"""What the journal knows of a card when it is tapped: its last taps, and whether a list denies it.

Plain look-ups inside commit 1; each is answered by an index, however many taps and tokens are kept.
"""

from __future__ import annotations

import apsw

from tpsd.core.intake import Candidate
from tpsd.core.passback import CardPast
from tpsd.store.queries import load

Q = load("sqlite")


def list_version(connection: apsw.Connection) -> int | None:
    """The number of the deny list's latest change; None while nobody ever made one."""
    version: int | None = connection.execute(Q["deny_version"]).get
    return version


def denied(connection: apsw.Connection, candidate: Candidate) -> bool:
    """Whether a live list holds the card."""
    if candidate.token is None:
        return False
    return connection.execute(Q["deny_holds"], (bytes.fromhex(candidate.token),)).get is not None


def past(connection: apsw.Connection, candidate: Candidate) -> CardPast | None:
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
