"""The mail server, as a daemon's postman meets it: it takes, refuses, hangs, or takes and does not say so."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tests.sim.events import Event, MailTaken
from tpsd.domain.notice import MailRow
from tpsd.domain.time import Micros
from tpsd.errors import MailError

VERBS: Final = ("connect", "EHLO", "the login", "MAIL", "RCPT", "DATA")
HANG_SECONDS: Final = 30.0


@dataclass(slots=True)
class Mailbox:
    """Chances of a delivery. ``taken`` holds (Message-ID, subject, text) in order."""

    refuses: float = 0.0
    hangs: float = 0.0
    mumbles: float = 0.0  # takes the mail, and its final reply is lost
    closed: bool = False
    taken: list[tuple[str, str, str]] = field(default_factory=list)
    unanswered: int = 0

    def calm(self) -> None:
        """From now on it takes everything."""
        self.refuses = self.hangs = self.mumbles = 0.0
        self.closed = False


class LifePostman:
    """``ports.Postman`` of one life."""

    def __init__(self, life: int, box: Mailbox, rng: random.Random, emit: Callable[[Event], None]) -> None:
        self._life = life
        self._box = box
        self._rng = rng
        self._emit = emit

    async def send(self, mail: MailRow, date: Micros) -> None:
        del date
        box, rng = self._box, self._rng
        await asyncio.sleep(rng.uniform(0.01, 0.5))
        if box.closed or rng.random() < box.refuses:
            raise MailError(f"the mail server refused {rng.choice(VERBS)}")
        if rng.random() < box.hangs:
            await asyncio.sleep(HANG_SECONDS)
            raise MailError("the mail server did not answer in time")
        mumbled = rng.random() < box.mumbles
        box.taken.append((mail.message_id, mail.subject, mail.text))
        box.unanswered += mumbled
        self._emit(MailTaken(self._life, mail.message_id, mail.subject, answered=not mumbled))
        if mumbled:
            raise MailError("the mail server's last reply was lost")
