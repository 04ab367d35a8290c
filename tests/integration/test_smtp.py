"""The mailer against a real SMTP server on loopback that refuses, drops or accepts at a chosen verb."""

import asyncio
import datetime as dt
import email
import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tpsd.domain.notice import MailRow
from tpsd.domain.time import Micros
from tpsd.errors import ConfigError, MailError
from tpsd.mail.settings import SmtpConfig
from tpsd.mail.smtp import SmtpMailer

DATE = Micros(1_790_000_000_000_000)
MAIL = MailRow(
    id=1,
    message_id="<0123456789abcdef0123456789abcdef@tpsd-01234567.internal>",
    subject="[tpsd] 1 tap permanently failed: timeout",
    text="1 tap permanently failed\n\n.a line that starts with a dot\n… and " + "x" * 1200 + "\n",
    created_at=Micros(1),
    tries=0,
    due=Micros(1),
)
SERVER_WORDS = "the-servers-own-words"


class Server:
    """Answers each verb as scripted. ``drop`` names the verb after which the connection is cut."""

    def __init__(self, replies: dict[str, str] | None = None, drop: str | None = None) -> None:
        self.replies = replies or {}
        self.drop = drop
        self.received: list[tuple[str, list[str], bytes]] = []
        self.logins: list[bytes] = []

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        return self._reply("MAIL", server)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        reply = self.replies.get(address) or self._reply("RCPT", server)
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        reply = self.replies.get("DATA", "250 kept")
        if reply.startswith("250"):
            content = envelope.content
            assert isinstance(content, bytes)
            self.received.append((str(envelope.mail_from), list(envelope.rcpt_tos), content))
        return self._reply("DATA", server)

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        return self._reply("QUIT", server, "221 bye")

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append(data.password)
        return AuthResult(success=data.password == b"p:w/1", handled=False)

    def _reply(self, verb: str, server: SMTP, good: str = "250 OK") -> str:
        if self.drop == verb:
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        return self.replies.get(verb, good)

    def message(self) -> Message:
        ((_, _, content),) = self.received
        return email.message_from_bytes(content)


class Connection(SMTP):
    """Can be waited for, so that no socket outlives its test."""

    async def over(self) -> None:
        if self._handler_coroutine is not None:  # None when the TLS handshake failed before any SMTP
            async with asyncio.timeout(5):
                await asyncio.wait({self._handler_coroutine})
        for transport in (self.transport, self._original_transport):
            if transport is not None:
                transport.close()


@asynccontextmanager
async def listening(server: Server, implicit: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[int]:
    connections: list[Connection] = []

    def factory() -> SMTP:
        connections.append(Connection(server, hostname="test", loop=asyncio.get_running_loop(), **options))
        return connections[-1]

    listener = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0, ssl=implicit)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for connection in connections:
            await connection.over()


def mailer(url: str, *recipients: str, timeout: float = 5.0, **options: Any) -> SmtpMailer:
    everyone = recipients or ("ops@example.com",)
    hook = options.pop("on_refused", None)
    return SmtpMailer(SmtpConfig.from_url(url, "tpsd@example.com", everyone, timeout, **options), hook)


async def test_a_mail_arrives_with_its_headers_and_its_text() -> None:
    server = Server()
    async with listening(server) as port:
        await mailer(f"smtp://127.0.0.1:{port}", "ops@example.com", "duty@example.com").send(MAIL, DATE)
    ((sender, recipients, content),) = server.received
    assert (sender, recipients) == ("tpsd@example.com", ["ops@example.com", "duty@example.com"])
    message = server.message()
    headers = {name: value for name, value in message.items() if name not in ("MIME-Version", "X-Peer")}
    assert headers == {
        "From": "tpsd@example.com",
        "To": "ops@example.com, duty@example.com",
        "Subject": MAIL.subject,
        "Date": "Mon, 21 Sep 2026 14:13:20 +0000",
        "Message-ID": MAIL.message_id,
        "Auto-Submitted": "auto-generated",
        "List-Id": "tpsd notices <notices.tpsd.example.com>",
        "Content-Type": 'text/plain; charset="utf-8"',
        "Content-Transfer-Encoding": "quoted-printable",
    }
    body = message.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert body.decode().replace("\r\n", "\n") == MAIL.text
    assert max(map(len, content.splitlines())) <= 998
    assert content.isascii()


async def test_a_resend_is_the_same_bytes() -> None:
    server = Server()
    async with listening(server) as port:
        out = mailer(f"smtp://127.0.0.1:{port}")
        await out.send(MAIL, DATE)
        await out.send(MAIL, DATE)
    first, second = server.received
    assert first == second


@pytest.mark.parametrize(
    ("replies", "says"),
    [
        ({"MAIL": f"451 {SERVER_WORDS}"}, "refused the sender (MAIL), code 451 (SMTPSenderRefused)"),
        ({"RCPT": f"550 {SERVER_WORDS}"}, "refused every recipient, code 550 (SMTPRecipientsRefused)"),
        ({"DATA": f"554 {SERVER_WORDS}"}, "refused the mail (DATA), code 554 (SMTPDataError)"),
        ({"DATA": f"452 {SERVER_WORDS}"}, "refused the mail (DATA), code 452 (SMTPDataError)"),
    ],
)
async def test_a_refusal_at_each_verb_is_told_in_our_words(replies: dict[str, str], says: str) -> None:
    server = Server(replies)
    async with listening(server) as port:
        with pytest.raises(MailError) as caught:
            await mailer(f"smtp://127.0.0.1:{port}").send(MAIL, DATE)
    assert str(caught.value) == f"SMTP server 127.0.0.1:{port}: {says}"
    assert server.received == []


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
async def test_a_connection_lost_at_each_verb_is_a_failure(verb: str) -> None:
    server = Server(drop=verb)
    async with listening(server) as port:
        with pytest.raises(MailError, match="the connection was lost"):
            await mailer(f"smtp://127.0.0.1:{port}").send(MAIL, DATE)


async def test_a_lost_final_reply_brings_the_mail_twice_under_one_message_id() -> None:
    server = Server(drop="DATA")
    async with listening(server) as port:
        out = mailer(f"smtp://127.0.0.1:{port}")
        with pytest.raises(MailError):
            await out.send(MAIL, DATE)
        server.drop = None
        await out.send(MAIL, DATE)
    ids = [email.message_from_bytes(content)["Message-ID"] for _, _, content in server.received]
    assert ids == [MAIL.message_id] * 2


@pytest.mark.parametrize("server", [Server(drop="QUIT"), Server({"QUIT": "421 no"})])
async def test_what_happens_after_acceptance_changes_nothing(server: Server) -> None:
    async with listening(server) as port:
        await mailer(f"smtp://127.0.0.1:{port}").send(MAIL, DATE)
    assert len(server.received) == 1


async def test_one_refused_recipient_is_told_and_the_others_get_the_mail_once() -> None:
    server = Server({"gone@example.com": f"550 {SERVER_WORDS}"})
    refused: list[tuple[str, int]] = []

    def note(address: str, code: int) -> None:
        refused.append((address, code))

    async with listening(server) as port:
        url = f"smtp://127.0.0.1:{port}"
        await mailer(url, "gone@example.com", "ops@example.com", on_refused=note).send(MAIL, DATE)
        await mailer(url, "gone@example.com", "ops@example.com").send(MAIL, DATE)
    assert [recipients for _, recipients, _ in server.received] == [["ops@example.com"]] * 2
    assert refused == [("gone@example.com", 550)]


async def test_nobody_listening(unused_tcp_port: int) -> None:
    with pytest.raises(MailError, match=r"127\.0\.0\.1:\d+: no connection \(SMTPConnectError\)"):
        await mailer(f"smtp://127.0.0.1:{unused_tcp_port}").send(MAIL, DATE)


@asynccontextmanager
async def saying(greeting: bytes) -> AsyncIterator[int]:
    """A server that says one thing and then nothing until the client leaves."""

    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        while await reader.read(1024):
            pass
        writer.close()
        over.set()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        async with asyncio.timeout(5):
            await over.wait()


@pytest.mark.parametrize("greeting", [b"", b"220 hello\r\n"])
async def test_a_silent_server_costs_no_more_than_the_timeout(greeting: bytes) -> None:
    async with saying(greeting) as port:
        with pytest.raises(MailError, match="no answer in time"):
            await mailer(f"smtp://127.0.0.1:{port}", timeout=0.2).send(MAIL, DATE)


@pytest.mark.parametrize("greeting", [b"554 go away\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
async def test_a_server_that_is_none_is_a_failure(greeting: bytes) -> None:
    async with saying(greeting) as port:
        with pytest.raises(MailError, match=r"127\.0\.0\.1") as caught:
            await mailer(f"smtp://127.0.0.1:{port}", timeout=2.0).send(MAIL, DATE)
    assert "away" not in str(caught.value)
    assert "Bad" not in str(caught.value)


async def test_check_greets_and_sends_nothing() -> None:
    server = Server()
    async with listening(server) as port:
        await mailer(f"smtp://127.0.0.1:{port}").check()
    assert server.received == []
    with pytest.raises(MailError):
        await mailer(f"smtp://127.0.0.1:{port}").check()


# TLS


class Authority:
    """A certificate authority for one test run and one server certificate of it."""

    def __init__(self, folder: Path, host: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail test")])
        now = dt.datetime.now(dt.UTC)
        alternative: x509.GeneralName = x509.DNSName(host)
        if host[0].isdigit():
            alternative = x509.IPAddress(ipaddress.ip_address(host))
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
            .sign(key, hashes.SHA256())
        )
        self.file = folder / "ca.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file = folder / "key.pem"
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(self.file, key_file)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "127.0.0.1")


async def test_smtps_with_a_login(authority: Authority) -> None:
    server = Server()
    options: dict[str, Any] = {"authenticator": server.authenticate, "auth_require_tls": False}
    async with listening(server, authority.server, **options) as port:
        url = f"smtps://ops:p%3Aw%2F1@127.0.0.1:{port}"
        await mailer(url, ca_file=str(authority.file)).send(MAIL, DATE)
        await mailer(url, ca_file=str(authority.file)).check()
        with pytest.raises(MailError, match=r"refused the login, code 535") as caught:
            await mailer(url.replace("p%3A", "hunter2"), ca_file=str(authority.file)).check()
    assert "hunter2" not in str(caught.value)
    assert len(server.received) == 1
    assert server.logins[:2] == [b"p:w/1"] * 2


async def test_starttls_before_the_login(authority: Authority) -> None:
    server = Server()
    options: dict[str, Any] = {"authenticator": server.authenticate, "tls_context": authority.server}
    async with listening(server, **options) as port:
        url = f"smtp://ops:p%3Aw%2F1@127.0.0.1:{port}"
        await mailer(f"{url}?starttls=required", ca_file=str(authority.file)).send(MAIL, DATE)
        await mailer(url, ca_file=str(authority.file)).send(MAIL, DATE)
    assert len(server.received) == 2
    assert server.logins == [b"p:w/1"] * 2


async def test_starttls_required_and_not_offered_is_refused() -> None:
    server = Server()
    async with listening(server) as port:
        with pytest.raises(MailError, match=r"does not offer .* STARTTLS"):
            await mailer(f"smtp://127.0.0.1:{port}?starttls=required").send(MAIL, DATE)
    assert server.received == []


@pytest.mark.parametrize("make_url", ["smtps://{}".format, "smtp://{}?starttls=required".format, "smtp://{}".format])
async def test_a_certificate_of_nobody_we_know_gets_no_mail(
    authority: Authority, make_url: Callable[[str], str]
) -> None:
    server = Server()
    url = make_url("127.0.0.1")
    implicit = authority.server if url.startswith("smtps") else None
    options: dict[str, Any] = {} if implicit else {"tls_context": authority.server}
    async with listening(server, implicit, **options) as port:
        with pytest.raises(MailError, match=r"certificate|connection was lost"):
            await mailer(make_url(f"127.0.0.1:{port}")).send(MAIL, DATE)
    assert server.received == []


async def test_a_certificate_for_another_host_gets_no_mail(tmp_path: Path) -> None:
    other = Authority(tmp_path, "mail.example.com")
    server = Server()
    async with listening(server, other.server) as port:
        with pytest.raises(MailError, match="certificate"):
            await mailer(f"smtps://127.0.0.1:{port}", ca_file=str(other.file)).send(MAIL, DATE)
    assert server.received == []


def test_a_ca_file_that_is_none_is_refused(tmp_path: Path) -> None:
    missing = tmp_path / "none.pem"
    with pytest.raises(ConfigError, match=r"none\.pem"):
        mailer("smtp://localhost", ca_file=str(missing))
    missing.write_text("no certificate\n")
    with pytest.raises(ConfigError, match=r"none\.pem"):
        mailer("smtp://localhost", ca_file=str(missing))
