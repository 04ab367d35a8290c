"""The mail server's luck and what it took, and the wire between it and a life's own SMTP client."""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any, Final

from tests.sim.events import Event, MailTaken
from tests.sim.mail_server import REFUSALS, Conversation, Stumble, Verb, Way
from tpsd.replay.loop import OWNER, VirtualLoop

WAY_SECONDS: Final = (0.002, 0.08)  # from one end of a connection to the other


@dataclass(slots=True)
class Mailbox:
    """Chances of a delivery. ``taken`` holds (Message-ID, subject, text) in order."""

    refuses: float = 0.0
    hangs: float = 0.0
    mumbles: float = 0.0  # takes the mail, and its final reply is lost
    closed: bool = False
    taken: list[tuple[str, str, str]] = field(default_factory=list)
    unanswered: int = 0
    stumbled: Counter[str] = field(default_factory=Counter)
    connections: int = 0

    def calm(self) -> None:
        """From now on it takes everything."""
        self.refuses = self.hangs = self.mumbles = 0.0
        self.closed = False

    def luck(self, rng: random.Random) -> Stumble | None:
        """What becomes of the next connection."""
        if rng.random() < self.refuses:
            return Stumble(rng.choice(list(Verb)), rng.choice(REFUSALS))
        if rng.random() < self.hangs:
            return Stumble(rng.choice(list(Verb)), Way.SILENT)
        return Stumble(Verb.END, Way.LOST) if rng.random() < self.mumbles else None


class MailRoad:
    """``VirtualLoop.dial``: connections to the mail server. Its own doings go on in ``far``, whoever dies meanwhile."""

    def __init__(
        self, box: Mailbox, seed: int, loop: VirtualLoop, far: contextvars.Context, emit: Callable[[Event], None]
    ) -> None:
        self._box = box
        self._seed = seed
        self._loop = loop
        self._far = far
        self._emit = emit

    async def dial(self, protocol: Any) -> asyncio.Transport:
        """One connection of the life that asks. Raises ConnectionRefusedError while nobody listens."""
        box = self._box
        box.connections += 1
        rng = random.Random(f"{self._seed} post {box.connections}")
        await asyncio.sleep(rng.uniform(*WAY_SECONDS))
        if box.closed:
            raise ConnectionRefusedError("nobody listens")
        life, stumble = OWNER.get(), box.luck(rng)

        def take(mail: EmailMessage) -> None:
            answered = stumble is None
            box.unanswered += not answered
            message_id, subject = str(mail["Message-ID"]), str(mail["Subject"])
            box.taken.append((message_id, subject, mail.get_content().replace("\r\n", "\n")))
            self._emit(MailTaken(life, message_id, subject, answered=answered))

        if stumble is not None:
            box.stumbled[str(stumble)] += 1
        wire = _Wire(self._loop, self._far, rng, protocol, Conversation(stumble, take))
        protocol.connection_made(wire)
        wire.begin()
        return wire


class _Wire(asyncio.Transport):
    """The client's end; what is on its way arrives in order."""

    def __init__(
        self, loop: VirtualLoop, far: contextvars.Context, rng: random.Random, protocol: Any, other: Conversation
    ) -> None:
        super().__init__()
        self._loop = loop
        self._far = far
        self._near = contextvars.copy_context()
        self._rng = rng
        self._protocol = protocol
        self._other = other
        self._arrives = 0.0  # the last that is on its way
        self._closing = False

    def begin(self) -> None:
        """The server speaks first."""
        self._later(self._far, lambda: self._answer(self._other.greet()))

    def write(self, data: bytes | bytearray | memoryview) -> None:
        sent = bytes(data)
        if not self._closing:
            self._later(self._far, lambda: self._answer(self._other.hear(sent)))

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()

    def _answer(self, said: bytes | None) -> None:
        if said is None:
            self._later(self._near, self.close)
        elif said:
            self._later(self._near, lambda: self._deliver(said))

    def _deliver(self, said: bytes) -> None:
        if not self._closing:
            self._protocol.data_received(said)

    def _later(self, context: contextvars.Context, act: Callable[[], None]) -> None:
        self._arrives = max(self._loop.time(), self._arrives) + self._rng.uniform(*WAY_SECONDS)
        self._loop.call_at(self._arrives, act, context=context)
