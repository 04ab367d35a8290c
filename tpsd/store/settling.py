"""Commit 3 of several taps in one statement, where the engine has one (``sql/fleet``) and they end as most do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tpsd.core.settlement import Settlement
from tpsd.domain.authorisation import AttemptReason, Claimed, State
from tpsd.domain.outcome import Outcome
from tpsd.store.commits import Stamp, ended, settled
from tpsd.store.connection import Connection
from tpsd.store.dialect import array
from tpsd.store.queries import F


@dataclass(frozen=True, slots=True)
class Settling:
    """What one settlement writes."""

    claimed: Claimed
    outcome: Outcome
    settlement: Settlement
    stamp: Stamp

    @property
    def is_plain(self) -> bool:
        """Whether nobody is told, no hold has a part in it, and it is one rung of the ladder."""
        return (
            self.claimed.reason is AttemptReason.LADDER
            and self.claimed.cause is None
            and not self.settlement.notices
            and not self.settlement.uncounted
            and self.settlement.state is not State.HELD
        )


def settle_together(connection: Connection, some: Sequence[Settling]) -> list[bool | None]:
    """Settle plain ones; None for each that must be settled alone, False for the others, of which nobody is told."""
    rows = [
        (
            str(one.claimed.uuid),
            one.claimed.number,
            one.claimed.fence,
            one.stamp.at,
            *ended(one.outcome),
            *settled(one.outcome, one.settlement, one.stamp),
        )
        for one in some
    ]
    done = {uuid for (uuid,) in connection.execute(F["settle_together"], [array(c) for c in zip(*rows, strict=True)])}
    return [False if row[0] in done else None for row in rows]
