"""What a gate with a spool must know of its database once that is away again. Work on a connection."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from tpsd.domain.tap import Shown, Told, Verdict
from tpsd.store.connection import Connection
from tpsd.store.lately import DOUBTS_MAX, Answer, Payment
from tpsd.store.queries import Q

Name = tuple[Hashable, ...]


def recalled(connection: Connection) -> tuple[list[tuple[Name, Answer]], list[tuple[str, Payment]]]:
    """Realtime taps of this daemon, and payments in doubt; the oldest first."""
    taps = [_answer(*row) for row in connection.execute(Q["asked_lately"])]
    return taps, doubted(connection)


def doubted(connection: Connection) -> list[tuple[str, Payment]]:
    """Payments in doubt, by their UUIDs; the oldest first."""
    return [_doubt(*row) for row in connection.execute(Q["doubted"], (DOUBTS_MAX,))][::-1]


def _answer(
    serial: str,
    boot: int | None,
    counter: int | None,
    digest: Any,
    number: int,
    verdict: int | None,
    reason: str,
    shown: int,
    uuid: str | None,
    amount: int | None,
) -> tuple[Name, Answer]:
    told = None if verdict is None else Told(Verdict(verdict), reason, amount)
    return (serial, boot, counter, bytes(digest)), Answer(number, told, Shown(shown), uuid)


def _doubt(uuid: str, token: str, kind: str, lane: str, amount: int) -> tuple[str, Payment]:
    return uuid, (token, kind, lane, amount)
