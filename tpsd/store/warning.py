"""The warning before a resting row's body goes (design 5): afterwards nobody can send it again."""

from __future__ import annotations

from tpsd.core.notices import cause_key
from tpsd.domain.notice import NoticeDraft, NoticeKind
from tpsd.domain.time import HOUR, Micros
from tpsd.store.commits import insert_notices
from tpsd.store.connection import Connection
from tpsd.store.housekeeping import Keep
from tpsd.store.queries import Q

WARN_US = 48 * HOUR  # running time: two working days for a person to decide (design 5)
WARN_SLICE = 100  # rows: about 5 ms of work


def warn_rested(connection: Connection, ran: int, keep: Keep, now: Micros) -> int:
    """Tell of some bodies that go within WARN_US, each once a rest; 0 when there is none left to tell of."""
    warned = 0
    for state, limit_us in (
        ("permanently_failed", keep.failed_us),
        ("in_doubt", keep.failed_us),
        ("held", keep.held_us),
    ):
        rested_at = ran - limit_us + WARN_US
        for uuid, cause in list(connection.execute(Q["bodies_going"], (state, rested_at, WARN_SLICE))):
            key = cause_key(NoticeKind.BODY_GOES, cause)
            words = f"{state}; kept for {limit_us // HOUR} h of running time in all, then it cannot be sent again"
            tap = connection.execute(Q["tap_of_uuid"], (uuid,)).get
            insert_notices(connection, (NoticeDraft(NoticeKind.BODY_GOES, key, words),), tap, uuid, now)
            connection.execute(Q["mark_warned"], (uuid,))
            warned += 1
    return warned
