"""The deny list beside the spool: a copy that follows the database's, page by page, so that it answers without it.

Every card that is denied there by whatever list is denied here; the pages are compared in the cards' order, so that a
change writes no more than it changes, and a copy that was left in the middle is mended by the next one.
"""

from __future__ import annotations

from functools import partial

from tpsd.domain.denial import TOKEN_BYTES
from tpsd.store import cards
from tpsd.store.connection import Connection
from tpsd.store.denylist import enter, strike
from tpsd.store.queries import Q, load
from tpsd.store.writer import Writer

S = load("spool")

PAGE = 1000  # cards a read: 1 to 2 ms at either end, less than a tap may wait
SOURCE = "database"  # of the copy's one generation
_HIGHEST = b"\xff" * (TOKEN_BYTES + 1)  # behind every card


async def follow(source: Writer, target: Writer, page: int = PAGE) -> int | None:
    """Make the copy equal to the list; how many cards were entered or struck, None where it has followed already.

    Changes that come meanwhile are the next call's. Raises JournalUnavailableError.
    """
    version = await source.read(cards.list_version)
    if version == await target.read(cards.list_version):
        return None
    number = await target.write(_generation)
    changed, after = 0, b""
    while True:
        tokens, end = await source.read(partial(_page, after=after, size=page))
        changed += await target.write(
            partial(_equal, number=number, after=after, end=_HIGHEST if end is None else end, tokens=tokens)
        )
        if end is None:
            break
        after = end
    await target.write(lambda connection: connection.execute(Q["set_meta"], ("deny_version", version)) and None)
    return changed


def _page(connection: Connection, after: bytes, size: int) -> tuple[list[bytes], bytes | None]:
    """The next cards of all lists in force, and up to which they are whole; None: to the end."""
    pages = []
    for number, *_ in list(connection.execute(Q["deny_live"], {"source": None})):
        pages.append([bytes(token) for (token,) in connection.execute(Q["deny_page"], (number, after, size))])
    end = min((page[-1] for page in pages if len(page) == size), default=None)
    return sorted({token for page in pages for token in page if end is None or token <= end}), end


def _generation(connection: Connection) -> int:
    found = connection.execute(S["spool_list"]).get
    if found is None:
        connection.execute(Q["deny_begin"], (SOURCE, "live", 0, 0, None))
        found = connection.last_insert_rowid()
    return int(found)


def _equal(connection: Connection, number: int, after: bytes, end: bytes, tokens: list[bytes]) -> int:
    here = {token for (token,) in connection.execute(S["spool_tokens"], (number, after, end))}
    new, gone = [token for token in tokens if token not in here], sorted(here.difference(tokens))
    return (enter(connection, number, new) if new else 0) + (strike(connection, [number], gone) if gone else 0)
