"""The simulated mail server, as the daemon's own SMTP client meets it: at each verb, in each way."""

from __future__ import annotations

import asyncio
import contextvars
from dataclasses import dataclass, field
from random import Random

import pytest

from tests.sim.events import Event, MailTaken
from tests.sim.mail_server import REFUSALS, Stumble, Verb, Way
from tests.sim.mailbox import Mailbox, MailRoad
from tpsd.domain.notice import MailRow
from tpsd.domain.time import Micros
from tpsd.errors import MailError
from tpsd.mail.settings import SmtpConfig
from tpsd.mail.smtp import SmtpMailer
from tpsd.replay.loop import virtual_loop

MAIL = MailRow(1, "<one@tpsd-1.internal>", "[tpsd] one", "one\n.two\n…\n", Micros(1), 0, Micros(1))
MAILER = SmtpMailer(SmtpConfig.from_url("smtp://127.0.0.1:2525", "tpsd@example.org", ("operations@example.org",)))
SAYS = {
    Verb.CONNECT: "the connection",
    Verb.EHLO: "EHLO",
    Verb.MAIL: "the sender (MAIL)",
    Verb.RCPT: "every recipient",
    Verb.DATA: "the mail (DATA)",
    Verb.END: "the mail (DATA)",
}


@dataclass
class Fixed(Mailbox):
    """A mail server whose luck is not drawn."""

    stumble: Stumble | None = None
    heard: list[Event] = field(default_factory=list)

    def luck(self, rng: Random) -> Stumble | None:
        del rng
        return self.stumble


def delivered(box: Fixed) -> str | None:
    """What the client says went wrong with one mail."""
    loop = virtual_loop(1, 10_000)
    loop.dial = MailRoad(box, 1, loop, contextvars.copy_context(), box.heard.append).dial

    async def main() -> str | None:
        try:
            await MAILER.send(MAIL, Micros(1))
        except MailError as exc:
            return str(exc)
        finally:
            await asyncio.sleep(1.0)  # what is on its way arrives
        return None

    said = loop.run_until_complete(main())
    assert loop.surprises == []
    return said


def test_a_mail_is_taken_as_it_was_written() -> None:
    box = Fixed()
    assert delivered(box) is None
    assert box.taken == [(MAIL.message_id, MAIL.subject, MAIL.text)]
    assert box.heard == [MailTaken(0, MAIL.message_id, MAIL.subject, answered=True)]


@pytest.mark.parametrize("way", [*REFUSALS, Way.SILENT])
@pytest.mark.parametrize("verb", Verb)
def test_a_stumble_is_told_and_nothing_is_taken(verb: Verb, way: Way) -> None:
    box = Fixed(stumble=Stumble(verb, way))
    said = delivered(box) or ""
    assert (box.taken, box.unanswered) == ([], 0)
    match way:
        case Way.AGAIN | Way.NEVER:
            assert f"refused {SAYS[verb]}, code {'54'[way is Way.AGAIN]}" in said
        case Way.SILENT:
            assert "no answer in time" in said
        case _:
            assert "no connection" in said or "could not be used" in said or "was lost" in said


def test_a_lost_reply_is_told_although_the_mail_was_taken() -> None:
    box = Fixed(stumble=Stumble(Verb.END, Way.LOST))
    assert delivered(box) is not None
    assert len(box.taken) == box.unanswered == 1


def test_a_server_that_is_down_refuses_the_connection() -> None:
    box = Fixed(closed=True)
    assert "no connection" in (delivered(box) or "")
