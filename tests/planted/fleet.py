"""Bugs of daemons that share a journal: two of them do one's work, or nobody does."""

from __future__ import annotations

from typing import Final

from tests.planted.bug import Bug

FLEET: Final = (
    Bug(
        "a lease is not renewed",
        "tpsd/store/sql/fleet/leases.sql",
        "UPDATE daemon SET lease_until = now_us() + ? WHERE name",
        "UPDATE daemon SET lease_until = lease_until + 0 * ? WHERE name",
        ("tests/store/test_postgres_leases.py",),
    ),
    Bug(
        "each that comes to a new journal makes keys of its own",
        "tpsd/store/journal.py",
        '    _make_meta(connection, "journal_id", journal_id)\n',
        '    _set_meta(connection, "journal_id", journal_id)\n',
        ("tests/store/test_postgres_leases.py",),
    ),
    Bug(
        "who was declared gone goes on writing",
        "schemas/sql/postgres/0006_daemons.sql",
        "    AND gone_at IS NULL\n  FOR SHARE;",
        "  FOR SHARE;",
        ("tests/store/test_postgres_leases.py",),
    ),
    Bug(
        "a send begins however little of the lease is left",
        "tpsd/leases.py",
        "if self._schedule() + self._send_us <= self._until:",
        "if self._schedule() <= self._until:",
        ("tests/unit/test_leaseholder.py",),
    ),
    Bug(
        "the lease is not looked at before the bytes leave",
        "tpsd/sfey/client.py",
        "            if body is not None and not self._may_send():",
        "            if False:",
        ("tests/integration/test_tps_client.py",),
    ),
    Bug(
        "what others leave is found only when somebody says so",
        "tpsd/workers/leaseholder.py",
        "        self._on_round()\n",
        "",
        ("tests/unit/test_leaseholder.py",),
    ),
    Bug(
        "NOTIFY only: nobody looks by himself for what others left",
        "tpsd/workers/leaseholder.py",
        "            await self.pause(self.wake, wait_us)\n",
        "            await self.wake.wait()\n",
        ("tests/store/test_postgres_hints.py",),
    ),
    Bug(
        "an import that another daemon runs is abandoned",
        "tpsd/store/sql/sqlite/denylist.sql",
        "WHERE state = 'filling' /* own */",
        "WHERE state = 'filling'",
        ("tests/store/test_postgres_leases.py",),
    ),
    Bug(
        "a body fails for good whose key another daemon has just made",
        "tpsd/store/journal.py",
        "                if away is not None and row.sealed",
        "                if False and row.sealed",
        ("tests/store/test_postgres_leases.py",),
    ),
    Bug(
        "no hint is ever said",
        "tpsd/store/sql/postgres/hints.sql",
        "SELECT pg_notify('tpsd', ?)",
        "SELECT 1 WHERE ? IS NULL",
        ("tests/store/test_postgres_hints.py",),
    ),
    Bug(
        "a realtime tap of a dead daemon is sent by another",
        "tpsd/store/recovery.py",
        "        if claimed.realtime:\n",
        "        if False:\n",
        ("tests/store/test_postgres_leases.py",),
    ),
    Bug(
        "work is taken over under whatever credential",
        "schemas/sql/postgres/0006_daemons.sql",
        "WHERE m.whom = theirs.whom",
        "WHERE m.whom <> ''",
        ("tests/store/test_postgres_leases.py",),
    ),
    Bug(
        "a tap that its daemon has not confirmed is sent by another",
        "tpsd/store/sql/fleet/leases.sql",
        "WHERE NOT EXISTS (SELECT 1 FROM tap t WHERE t.uuid = a.uuid AND t.id > o.confirmed)",
        "WHERE true",
        ("tests/store/test_postgres_leases.py",),
    ),
)
