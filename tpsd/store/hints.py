"""Hints said in the transaction that they are about: PostgreSQL tells them at its commit, equal ones once.

A transaction that says one takes, at its commit, a lock of which the whole server has one, and keeps it until the
commit is durable (``PreCommit_Notify`` in PostgreSQL's async.c): all that say something commit one after another. So
one is said where that is rare and another daemon has something to do, and never by a tap, a claim or a settlement.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from tpsd.hints import Hint
from tpsd.store.connection import Connection
from tpsd.store.queries import Q


def say(connection: Connection, hint: Hint) -> None:
    """To every daemon of the journal; a file has one."""
    connection.execute(Q["hint"], (hint.value,))


def say_to_owners(connection: Connection, hint: Hint, uuids: Sequence[str]) -> None:
    """As ``say``, where one of these rows is another daemon's."""
    if uuids:
        connection.execute(Q["hint_owners"], {"hint": hint.value, "uuids": json.dumps(uuids)})
