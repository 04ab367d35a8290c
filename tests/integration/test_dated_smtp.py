"""Mails over TLS from a machine whose clock was never set: the server's certificate is judged by the known time."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.integration.test_smtp import DATE, MAIL, Server, listening
from tests.machine import Machine
from tpsd.clock import SystemClock
from tpsd.dating import Judge, by_the_system
from tpsd.domain.time import SECOND, Micros
from tpsd.errors import MailError
from tpsd.mail.settings import SmtpConfig
from tpsd.mail.smtp import SmtpMailer
from tpsd.sfey.certificates import Authority

FUTURE = datetime(2050, 6, 1, tzinfo=UTC)


def micros(moment: datetime) -> Micros:
    return Micros(int(moment.timestamp()) * SECOND)


class Post:
    """A mail server of another time, and the authority to believe."""

    def __init__(self, folder: Path, at: datetime) -> None:
        authority = Authority("Mail", at)
        self.ca = folder / "mail-ca.crt"
        self.ca.write_bytes(authority.certificate)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*authority.server(("127.0.0.1",)).write(folder, "mail"))


async def sent(post: Post, judge: Judge, url: str) -> int:
    """How many mails arrived."""
    server = Server()
    implicit = post.context if url.startswith("smtps") else None
    options = {} if implicit else {"tls_context": post.context}
    async with listening(server, implicit, **options) as port:
        config = SmtpConfig.from_url(url.format(port), "tpsd@example.com", ("ops@example.com",), ca_file=str(post.ca))
        try:
            await SmtpMailer(config, None, judge).send(MAIL, DATE)
        except MailError:
            assert server.received == []
    return len(server.received)


def told(true: datetime) -> SystemClock:
    clock = Machine(micros(true)).clock()
    clock.adopt(micros(true))
    return clock


@pytest.mark.parametrize("url", ["smtps://127.0.0.1:{}", "smtp://127.0.0.1:{}?starttls=required"])
async def test_by_the_known_time(tmp_path: Path, url: str) -> None:
    post = Post(tmp_path, FUTURE)
    assert await sent(post, told(FUTURE).judging, url) == 1
    assert await sent(post, told(datetime.now(UTC)).judging, url) == 0
    assert await sent(post, by_the_system, url) == 0


async def test_before_the_time_is_known_the_system_judges(tmp_path: Path) -> None:
    """It may be right all the same; a password is never given to a certificate that nobody judged."""
    unset = Machine(micros(datetime.now(UTC))).clock()
    assert await sent(Post(tmp_path, datetime.now(UTC)), unset.judging, "smtps://127.0.0.1:{}") == 1
    assert await sent(Post(tmp_path, FUTURE), unset.judging, "smtps://127.0.0.1:{}") == 0
