"""The way out to an SMTP server: one connection a mail, TLS verified, refusals in our own words.

A mail that was accepted is never reported as refused, whatever happens to the connection afterwards; one
whose final reply was lost is reported as refused and comes again under the same Message-ID (design 8, I6).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime
from pathlib import Path
from typing import Final

import aiosmtplib

from tpsd.dating import DatedContext, Judge, by_the_system
from tpsd.domain.notice import MailRow
from tpsd.domain.time import Micros
from tpsd.errors import ConfigError, MailError
from tpsd.mail.settings import SmtpConfig, StartTls

QUIT_SECONDS: Final = 2.0
"""The mail is accepted or refused by then; QUIT is a courtesy."""


class SmtpMailer:
    """Delivers frozen mails. Holds no connection and no state between two of them."""

    def __init__(
        self,
        config: SmtpConfig,
        on_refused: Callable[[str, int], None] | None = None,
        judge: Judge = by_the_system,
    ) -> None:
        """``on_refused(address, code)`` hears of a recipient refused while others of its mail were accepted.

        Such a mail counts as delivered: sent again, it would come twice to all the others. ``judge`` says by which
        clock the server's certificate is verified. Raises ConfigError when ``ca_file`` cannot be read.
        """
        self._config = config
        self._on_refused = on_refused
        try:
            self._tls = _context(config.ca_file, judge)
        except OSError as exc:
            raise ConfigError(f"{config.ca_file} is not a PEM file of certificates: {type(exc).__name__}") from exc

    async def send(self, mail: MailRow, date: Micros) -> None:
        """Deliver or raise MailError. ``date`` is the wall time for the Date header."""
        content = compose(self._config, mail, date).as_bytes()
        async with self._exchange() as client:
            refused, _ = await client.sendmail(self._config.sender, self._config.recipients, content)
        for address, response in refused.items():
            if self._on_refused is not None:
                self._on_refused(address, response.code)

    async def check(self) -> None:
        """Connect, greet (EHLO) and log in where a user is configured. Raises MailError; sends nothing."""
        async with self._exchange() as client:
            if client.is_ehlo_or_helo_needed:
                await client.ehlo()

    @contextlib.asynccontextmanager
    async def _exchange(self) -> AsyncIterator[aiosmtplib.SMTP]:
        client = self._client()
        try:
            async with asyncio.timeout(self._config.timeout_seconds):
                await client.connect()
                yield client
        except (aiosmtplib.SMTPException, OSError, ValueError) as exc:
            raise MailError(f"{self._where}: {describe(exc)}") from exc
        else:
            with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                await client.quit(timeout=QUIT_SECONDS)
        finally:
            client.close()

    @property
    def _where(self) -> str:
        return f"SMTP server {self._config.host}:{self._config.port}"

    def _client(self) -> aiosmtplib.SMTP:
        config = self._config
        start_tls = {StartTls.REQUIRED: True, StartTls.AUTO: None, StartTls.NEVER: False}[config.start_tls]
        return aiosmtplib.SMTP(
            hostname=config.host,
            port=config.port,
            username=config.username,
            password=config.password.reveal() if config.password else None,
            local_hostname=_own_name(),
            timeout=config.timeout_seconds,
            use_tls=config.implicit_tls,
            start_tls=None if config.implicit_tls else start_tls,
            tls_context=self._tls,
        )


def compose(config: SmtpConfig, mail: MailRow, date: Micros) -> EmailMessage:
    """The message of a frozen mail: the same mail and date give the same bytes."""
    message = EmailMessage(policy=SMTP_POLICY)
    message["From"] = config.sender
    message["To"] = ", ".join(config.recipients)
    message["Subject"] = " ".join(mail.subject.split())
    message["Date"] = format_datetime(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=date))
    message["Message-ID"] = mail.message_id
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday answer comes back
    message["List-Id"] = f"tpsd notices <notices.tpsd.{config.sender.rpartition('@')[2]}>"  # RFC 2919
    message.set_content(mail.text, charset="utf-8", cte="quoted-printable")
    return message


def describe(exc: BaseException) -> str:
    """An SMTP failure in our own words: verb, code and the exception's class, never the server's text."""
    name = type(exc).__name__
    if isinstance(exc, aiosmtplib.SMTPRecipientsRefused):
        codes = sorted({recipient.code for recipient in exc.recipients})
        return f"refused every recipient, code {', '.join(map(str, codes))} ({name})"
    if isinstance(exc, aiosmtplib.SMTPResponseException):
        verb = next((verb for kind, verb in _VERBS.items() if isinstance(exc, kind)), "a command")
        return f"refused {verb}, code {exc.code} ({name})"
    if isinstance(exc, TimeoutError):
        return f"no answer in time ({name})"
    if isinstance(exc, ssl.SSLError) or isinstance(exc.__cause__, ssl.SSLError):
        return f"no TLS connection: its certificate or protocol is not accepted ({name})"
    if isinstance(exc, aiosmtplib.SMTPConnectError):
        return f"no connection ({name})"
    if isinstance(exc, OSError):
        return f"the connection was lost ({name})"
    if type(exc) is aiosmtplib.SMTPException:
        return f"does not offer what the configuration asks for: STARTTLS or a login ({name})"
    return f"could not be used ({name})"


_VERBS: Final[dict[type[aiosmtplib.SMTPResponseException], str]] = {
    aiosmtplib.SMTPConnectResponseError: "the connection",
    aiosmtplib.SMTPHeloError: "EHLO",
    aiosmtplib.SMTPAuthenticationError: "the login",
    aiosmtplib.SMTPSenderRefused: "the sender (MAIL)",
    aiosmtplib.SMTPRecipientRefused: "a recipient (RCPT)",
    aiosmtplib.SMTPDataError: "the mail (DATA)",
}


def _context(ca_file: Path | str | None, judge: Judge) -> ssl.SSLContext:
    context = DatedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.judge = judge
    if ca_file is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        context.load_verify_locations(cafile=ca_file)
    return context


def _own_name() -> str:
    # Not getfqdn: it asks DNS, which may take as long as the outage that the mail is about.
    name = socket.gethostname()
    return name if name.isascii() and name.isprintable() and name and " " not in name else "localhost"
