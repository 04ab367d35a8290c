"""How checkers look into the journal: on the daemon's own connection between two steps, or on a copy of the disk."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import apsw

from tests.sim.lives import JOURNAL
from tpsd.core.feed import NOBODY

if TYPE_CHECKING:
    from tests.sim.world import World

_TABLES = ("tap", "authorisation", "attempt", "journey", "notice", "mail", "audit", "hold", "outage", "deny")

_WORKING = "SELECT count(*) FROM authorisation WHERE state IN ('pending', 'sending') AND initial_uuid IS NULL"
_FOLLOWING = "SELECT count(*) FROM authorisation WHERE state IN ('pending', 'sending') AND initial_uuid IS NOT NULL"
_TRAVELLING = "SELECT count(*) FROM journey WHERE state IN ('open', 'checking_out')"
_AWAITING = "SELECT count(*) FROM authorisation WHERE state = 'awaiting_tap'"
_UNTAKEN = "SELECT count(*) FROM tap WHERE delivered = 0"
_ASKING = "SELECT count(*) FROM authorisation WHERE enquiry_due IS NOT NULL AND state = 'in_doubt'"
_UNTOLD = "SELECT count(*) FROM notice WHERE mail IS NULL"
_UNSENT = "SELECT count(*) FROM mail WHERE accepted_at IS NULL"


_FED = """
SELECT DISTINCT token FROM deny JOIN deny_generation ON number = generation WHERE state = 'live' AND source = 'tps'
"""


class Eye:
    """Looks, and changes nothing."""

    def __init__(self, world: World) -> None:
        self._world = world

    def rows(self, sql: str, *bindings: Any) -> list[tuple[Any, ...]]:
        """What a query gives; nothing where the journal is not made yet."""
        life = self._world.life
        if life is not None and life.writer is not None:
            with suppress(apsw.SQLError):
                return list(life.writer.connection.execute(sql, bindings))
            return []
        return self._on_a_copy(sql, bindings)

    def one(self, sql: str, *bindings: Any) -> Any:
        """The only value of the only row, None where there is none."""
        rows = self.rows(sql, *bindings)
        return rows[0][0] if rows else None

    def left(self) -> dict[str, int]:
        """What has not come to its end: taps without a verdict, rows at work, journeys, doubts asked about, mails."""
        return {
            "unanswered": sum(door.waiting for door in self._world.doors),
            "working": self.one(_WORKING) or 0,
            "following": self.one(_FOLLOWING) or 0,
            "travelling": self.one(_TRAVELLING) or 0,
            "awaiting": self.one(_AWAITING) or 0,
            "untaken": self.one(_UNTAKEN) or 0,
            "asking": self.one(_ASKING) or 0,
            "untold": self.one(_UNTOLD) or 0,
            "unsent": self.one(_UNSENT) or 0,
            "unlisted": self._unlisted(),
        }

    def fed(self) -> set[bytes]:
        """The cards that are denied because TPS fed them, old lists and new."""
        return {token for (token,) in self.rows(_FED)}

    def _unlisted(self) -> int:
        """Cards that TPS lists and the journal does not, or the other way; none where no terminal may ask yet."""
        life = self._world.life
        feed = None if life is None or life.daemon is None else life.daemon.feed
        if feed is None or feed.facts().cause == NOBODY.cause:
            return 0
        return len(self.fed() ^ self._world.updates.cards)

    def is_done(self) -> bool:
        """Whether a daemon is there and nothing is left."""
        return self._world.life is not None and not any(self.left().values())

    def digest(self) -> str:
        """All that the journal says, as a SHA-256."""
        found = hashlib.sha256()
        for table in _TABLES:
            for row in self.rows(f"SELECT * FROM {table} ORDER BY 1, 2"):
                found.update(repr(row).encode())
        return found.hexdigest()

    def findings(self) -> list[str]:
        """What SQLite itself finds wrong with the file."""
        words = [str(row[0]) for row in self.rows("PRAGMA integrity_check")]
        return [] if words == ["ok"] else words

    def _on_a_copy(self, sql: str, bindings: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        disk = self._world.disk.copy()
        try:
            connection = apsw.Connection(str(JOURNAL), vfs=disk.name)
            connection.pragma("locking_mode", "EXCLUSIVE")
            try:
                return list(connection.execute(sql, bindings))
            except apsw.SQLError:
                return []
            finally:
                connection.close()
        finally:
            disk.unregister()
