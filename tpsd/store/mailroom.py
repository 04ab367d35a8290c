"""Mail windows and frozen mails as work on a connection; the caller holds the transaction."""

from __future__ import annotations

from typing import Any

from tpsd.core.notices import LISTED_MAX, totals
from tpsd.domain.notice import Episode, MailRow, NoticeKind, NoticeRow
from tpsd.domain.time import Micros
from tpsd.ports import CloseWindow
from tpsd.store.connection import Connection
from tpsd.store.queries import Q

WINDOWS_PER_COMMIT = 8  # each renders a mail of up to 50 rows inside the transaction; intake must get its turn


def close_windows(connection: Connection, now: Micros, close: CloseWindow) -> tuple[int, int]:
    """Close windows that are over, freeze their mails; (windows closed, mails frozen)."""
    over = list(connection.execute(Q["windows_over"], (now, WINDOWS_PER_COMMIT)))
    mails = 0
    for kind, cause, *rest in over:
        episode = Episode(NoticeKind(kind), cause, *rest)
        rows = [_notice(row) for row in connection.execute(Q["notices_waiting"], (kind, cause, LISTED_MAX))]
        sums = list(connection.execute(Q["notices_sum"], (kind, cause)))
        whole = totals(
            sum(count for _, count, _ in sums), {currency: amount for currency, _, amount in sums if currency}
        )
        plan = close(episode, rows, whole)
        if plan.mail is not None:
            connection.execute(
                Q["insert_mail"],
                (plan.mail.message_id, plan.mail.subject, plan.mail.text, plan.mail.created_at, now),
            )
            connection.execute(Q["notices_mailed"], (connection.last_insert_rowid(), kind, cause))
            mails += 1
        following = plan.next_episode
        if following is None:
            connection.execute(Q["end_episode"], (kind, cause))
        else:
            connection.execute(
                Q["next_window"],
                (following.step, following.opened_at, following.closes_at, following.mails, following.listed,
                 following.amount_sum, kind, cause),
            )  # fmt: skip
    return len(over), mails


def mails_due(connection: Connection, now: Micros, limit: int) -> list[MailRow]:
    """Frozen mails whose next try is due, oldest first."""
    return [MailRow(*row) for row in connection.execute(Q["mails_due"], (now, limit))]


def _notice(row: tuple[Any, ...]) -> NoticeRow:
    (number, kind, cause, detail, created_at, tap, serial, boot, counter, uuid, lane, tapped_at, amount, currency,
     masked, attempts, last_cause, may_have_charged, state) = row  # fmt: skip
    return NoticeRow(
        id=number,
        kind=NoticeKind(kind),
        cause=cause,
        detail=detail,
        created_at=created_at,
        tap=tap,
        tap_id=None if boot is None else f"{serial}:{boot}:{counter}",
        uuid=uuid,
        lane=lane,
        tapped_at=tapped_at,
        amount=amount,
        currency=currency,
        masked=masked,
        attempts=attempts,
        last_cause=last_cause,
        may_have_charged=bool(may_have_charged),
        state=state,
    )
