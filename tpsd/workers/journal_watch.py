"""One loop's trouble with the journal in the log: loud once, counted while it lasts, and a line when it is over."""

from __future__ import annotations

from typing import Any

from tpsd.core.trouble import Trouble
from tpsd.errors import JournalUnavailableError
from tpsd.ports import Clock


class JournalWatch:
    """``log`` is the loop's own logger."""

    def __init__(self, log: Any, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._trouble = Trouble()

    def failed(self, event: str, exc: JournalUnavailableError, **keys: str) -> None:
        """A commit could not be made; each ``event`` is loud once while the trouble lasts."""
        times = self._trouble.happened(self._clock.monotonic(), event)
        if times is not None:
            self._log.error(event, error=str(exc), times=times, **keys)

    def works(self) -> None:
        """Something was written. Not to be called for what wrote nothing: a full disk takes that too."""
        times = self._trouble.over(self._clock.monotonic())
        if times is not None:
            self._log.info("journal_back", times=times)
