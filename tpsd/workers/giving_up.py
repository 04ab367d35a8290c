"""A passenger who waits is sent away when no answer can be kept in time, and the answer that is kept later knows of it.

Where the journal has a spool, and this answer is none for it. Nothing else is told before its commit; this may be,
because a crash would end the attempt with a denial too.
"""

from __future__ import annotations

import threading
from dataclasses import replace

from tpsd.core.answering import Waiting
from tpsd.domain.tap import Shown


class Patience:
    """Of one passenger. The answer is judged in the journal's thread, and whoever is first there decides."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._judged = False
        self.is_over = False

    def judge(self, waiting: Waiting) -> Waiting:
        """The passenger as the answer finds them."""
        with self._lock:
            self._judged = True
            if self.is_over and waiting.shown is Shown.NOTHING:
                return replace(waiting, shown=Shown.TURNED_AWAY)
            return waiting

    def judge_again(self) -> None:
        """What was judged was not kept."""
        with self._lock:
            self._judged = False

    def end(self) -> bool:
        """Whether the passenger may be sent away now: not where an answer is just being kept."""
        with self._lock:
            self.is_over = self.is_over or not self._judged
            return self.is_over
