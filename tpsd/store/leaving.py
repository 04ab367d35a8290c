"""What a daemon leaves that is gone, beside the work that is due: some rows a commit, as work on a connection.

Who holds its certificate goes on with what it can. What nobody here can go on with comes to a person: never sent with
a guessed time, never under way for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tpsd.asking import Judge as AskedJudge
from tpsd.core.enquiry import Conclusion, Heard, read
from tpsd.core.notices import cause_key
from tpsd.core.settlement import Settlement
from tpsd.core.spooling import UNCONFIRMED
from tpsd.domain.authorisation import Claimed, State
from tpsd.domain.doubt import Enquired
from tpsd.domain.notice import NoticeDraft, NoticeKind
from tpsd.domain.outcome import NoAnswer, Outcome
from tpsd.domain.time import DAY, MINUTE, Micros
from tpsd.leases import TAKE_OVER_US
from tpsd.store import enquiries, holds, recovery
from tpsd.store.asked import SqlAsked
from tpsd.store.commits import Stamp, begin_hold, insert_notices
from tpsd.store.connection import Connection
from tpsd.store.queries import F, Q

SLICE_ROWS: Final = 20  # rows a commit, some 10 ms of work: a passenger's tap waits no longer for its turn

ALONE_US: Final = 5 * MINUTE
"""So long a daemon is gone before what it was sending is ended by one that cannot ask about it.

Until then its card is told to wait. It outlasts a restart of the machine, after which the daemon ends it better.
"""
assert ALONE_US > 2 * TAKE_OVER_US, "who can ask about it comes first"

GONE_FOR_GOOD_US: Final = 1 * DAY
"""After that a daemon is not expected back with what it alone knows or can send."""

NO_CREDENTIAL: Final = "no_credential"
UNTIMED: Final = "untimed"
"""The cause of a row whose request cannot be made, because only a daemon that is gone could find out when it was."""

_Decide = Callable[[Claimed], tuple[Outcome, Settlement]]


def adopt(connection: Connection, orphans: str, *bindings: int) -> list[str]:
    """Some rows become this daemon's; their UUIDs."""
    found = list(connection.execute(F[orphans], (*bindings, SLICE_ROWS)))
    for uuid, credential in found:
        connection.execute(F["adopt"], (credential, uuid))
    return [uuid for uuid, _ in found]


def adopt_held(connection: Connection, now: Micros) -> int:
    """Canaries and releases of these are this daemon's now; what was held for want of its credential is sent."""
    connection.execute(F["adopt_holds"])
    adopted = adopt(connection, "orphans_held")
    for uuid in adopted:
        connection.execute(F["free_adopted"], (now, uuid))
    if adopted:
        holds.end_if_empty(connection, NO_CREDENTIAL)
    return len(adopted)


def end_left_open(
    connection: Connection, uuids: list[str], stamp: Stamp, decide: _Decide, asked: tuple[SqlAsked, AskedJudge]
) -> int:
    """End the present attempt of each, whose end nobody saw; how many."""
    desk, judge = asked

    def end_asked(connection: Connection, claimed: Claimed) -> None:
        desk.end_crashed(connection, claimed, judge, stamp)

    rows = [connection.execute(F["left_open_one"], (uuid,)).get for uuid in uuids]
    return recovery.end_left_open(connection, rows, stamp, decide, end_asked)


def abandoned_sends(connection: Connection) -> list[str]:
    """What was being sent, and nobody here can ask about."""
    bindings = (ALONE_US, GONE_FOR_GOOD_US, SLICE_ROWS)
    return [uuid for (uuid,) in connection.execute(F["abandoned_sending"], bindings)]


UNCONFIRMED_ROWS: Final = ("unconfirmed_due", "unconfirmed_bodiless", "unconfirmed_held")


def doubt_unconfirmed(connection: Connection, query: str, stamp: Stamp) -> int:
    """Taps that their daemon may have answered otherwise than the journal has it, and it will not say any more."""
    found = list(connection.execute(F[query], (GONE_FOR_GOOD_US, SLICE_ROWS)))
    for uuid, state, held_for in found:
        connection.execute(F["doubt_unconfirmed"], (stamp.ran, uuid))
        if state == State.HELD.value and held_for is not None:
            holds.end_if_empty(connection, held_for)
        words = "its daemon is gone and never confirmed it: its passenger may have been told otherwise; it is not sent"
        _tell(connection, uuid, NoticeKind.IN_DOUBT, (UNCONFIRMED, words), stamp)
    return len(found)


def fail_untimed(connection: Connection, stamp: Stamp) -> int:
    """Rows that wait for a time which their daemon did not know, and it will not say any more."""
    found = [uuid for (uuid,) in connection.execute(F["abandoned_untimed"], (GONE_FOR_GOOD_US, SLICE_ROWS))]
    for uuid in found:
        state, held_for = connection.execute(Q["bodiless_row"], (uuid,)).get
        connection.execute(Q["fail_bodiless"], (UNTIMED, stamp.ran, uuid))
        if state == State.HELD.value and held_for is not None:
            holds.end_if_empty(connection, held_for)
        words = "its daemon is gone and had not known the time: start one under its name and resend it, or close it"
        _tell(connection, uuid, NoticeKind.PERMANENTLY_FAILED, (UNTIMED, words), stamp)
    return len(found)


def hold_abandoned(connection: Connection, query: str, bindings: tuple[int, ...], stamp: Stamp) -> int:
    """Rows that wait to be sent under a certificate which nobody who is here holds."""
    found = [uuid for (uuid,) in connection.execute(F[query], (*bindings, GONE_FOR_GOOD_US, SLICE_ROWS))]
    if found:
        begin_hold(connection, NO_CREDENTIAL, None, stamp.at)
    for uuid in found:
        connection.execute(F["hold_abandoned"], (stamp.ran, uuid))
        words = "its daemon is gone, and no other holds its certificate: start one under its name, or with it"
        _tell(connection, uuid, NoticeKind.HELD, (NO_CREDENTIAL, words), stamp)
    return len(found)


def end_enquiries(connection: Connection, query: str, bindings: tuple[int, ...], stamp: Stamp) -> int:
    """Rows that TPS was to be asked about, or was being asked about, and nobody who is here can."""
    found = list(connection.execute(F[query], (*bindings, GONE_FOR_GOOD_US, SLICE_ROWS)))
    for uuid, state, cause in found:
        enquiries.end_left_open(connection, list(connection.execute(F["enquiries_of_one"], (uuid,))), stamp, _unheard)
        connection.execute(Q["ask_again"], (None, uuid))
        if state == State.IN_DOUBT.value:
            words = "its daemon is gone, and no other can ask TPS about it"
            _tell(connection, uuid, NoticeKind.IN_DOUBT, (cause or "unknown", words), stamp)
    return len(found)


def _unheard(enquired: Enquired) -> tuple[Heard, Conclusion]:
    return read(NoAnswer("crash")), Conclusion(enquired.state, enquired.cause)


def _tell(connection: Connection, uuid: str, kind: NoticeKind, why: tuple[str, str], stamp: Stamp) -> None:
    cause, words = why
    notice = NoticeDraft(kind, cause_key(kind, cause), words)
    insert_notices(connection, (notice,), connection.execute(Q["tap_of_uuid"], (uuid,)).get, uuid, stamp.at)
