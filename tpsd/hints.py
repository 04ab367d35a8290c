"""What daemons that share a journal tell one another: hints. One decides nothing, and may be lost or come twice.

Whoever hears one looks where it would have looked anyway, only sooner.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from enum import Enum
from typing import Protocol


class Hint(Enum):
    """What changed that is another daemon's to see."""

    WORK = "work"
    """A daemon has given its lease up: what it left is anybody's."""

    ROWS = "rows"
    """Rows of another daemon were released or sent again."""

    LIST = "list"
    """The deny list is another."""

    MAIL = "mail"
    """There is a notice, and who presides sends the mails."""


class Hints(Protocol):
    """Where they are heard."""

    def heard(self) -> AsyncGenerator[frozenset[Hint], None]:
        """Listen: at first all of them, since nobody knows what was said before; then what came since the last look.

        Raises JournalUnavailableError where nobody can listen, or can any more.
        """
