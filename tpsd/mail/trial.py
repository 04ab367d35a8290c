"""One test mail through the real way out: the same server, login, sender and recipients as every notice."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid4

from tpsd.domain.notice import MailRow
from tpsd.domain.time import Micros, iso_millis
from tpsd.errors import MailError
from tpsd.mail.settings import SmtpConfig
from tpsd.mail.smtp import SmtpMailer


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it. ``words``: SMTP's refusal in our own words, empty where it accepted.

    ``refused``: recipients that were refused while others were accepted, each with its code.
    """

    accepted: bool
    words: str
    message_id: str
    recipients: tuple[str, ...]
    refused: tuple[str, ...]


async def try_mail(config: SmtpConfig, now: Micros) -> Trial:
    """Send it once; it is not kept and not tried again. ``now`` is wall time. Raises ConfigError."""
    refused: list[str] = []
    mailer = SmtpMailer(config, lambda address, code: refused.append(f"{address}: refused, code {code}"))
    mail = MailRow(
        id=0,
        message_id=f"<{uuid4().hex}@trial.tpsd.internal>",
        subject="[tpsd] a test mail",
        text=(
            f"This is a test of tpsd's mails, asked for at {iso_millis(now)}.\n\n"
            "Nothing is wrong. Mails about taps that could not be authorised come the same way:\n"
            "if this one landed in spam, they will too.\n"
        ),
        created_at=now,
        tries=0,
        due=now,
    )
    words = ""
    try:
        await mailer.send(mail, now)
    except MailError as exc:
        words = str(exc)
    return Trial(not words, words, mail.message_id, config.recipients, tuple(refused))
