"""What stands around the daemon: a folder with keys and configuration, TPS over TLS, a mail server, ptys."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import secrets
import tty
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from schemas.config import Configuration
from tpsd.config import load
from tpsd.ports import Clock
from tpsd.sfey.certificates import Files, make, server_context
from tpsd.sfey.fates import Asked, Delivery, Fate, by_amount
from tpsd.sfey.simulator import Simulator
from tpsd.sfey.teller import AFC_BASE_PATH

SEND_SECONDS = 5.0  # the demo's send time-out: no answer of a busy machine comes so late
SILENT_SECONDS = 0.5  # after so long TPS hangs up instead of an answer: each costs this much of the demo's half minute
LANES = ("front", "middle", "rear")
GATES = ("gate-in", "gate-out")  # check-in and check-out
READER = "side"  # a ViVOpay reader's


@dataclass(slots=True)
class Mailbox:
    """The mail server's handler: what it accepted, in order."""

    mails: list[EmailMessage] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Accept every mail."""
        del server, session
        content = envelope.content
        raw = content.encode() if isinstance(content, str) else content or b""
        mail = message_from_bytes(raw, policy=policy.default)
        if isinstance(mail, EmailMessage):
            self.mails.append(mail)
        return "250 kept"


@dataclass(frozen=True, slots=True)
class Line:
    """One pty: the validator's end as a descriptor, the daemon's as a path."""

    descriptor: int
    path: str


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything but the daemon and the validators."""

    config: Configuration
    tps: Simulator
    mailbox: Mailbox
    lines: tuple[Line, ...]  # the doors', the gates', the reader's


@contextlib.asynccontextmanager
async def built(folder: Path, clock: Clock, record: Path | None = None) -> AsyncIterator[Stage]:
    """Build the stage in ``folder``, on loopback and free ports; take it down at the end. ``record``: for a tap log."""
    certificates = make(folder, datetime.now(UTC))
    tps = Simulator(_by_amount, wall=clock.wall)
    mailbox = Mailbox()
    loop = asyncio.get_running_loop()
    mail_server = await loop.create_server(lambda: SMTP(mailbox, enable_SMTPUTF8=True), "127.0.0.1", 0)
    tls = server_context(certificates.server_cert, certificates.server_key, certificates.ca)
    try:
        with _ptys(len(LANES) + len(GATES) + 1) as lines:
            async with tps.serving(ssl_context=tls) as serving:
                smtp_port = mail_server.sockets[0].getsockname()[1]
                path = _write_config(folder, certificates, serving.url, smtp_port, lines, record)
                yield Stage(load(path), tps, mailbox, lines)
    finally:
        mail_server.close()
        await mail_server.wait_closed()


def _by_amount(asked: Asked) -> Sequence[Fate]:
    """As everywhere, but silence ends by itself: how long it lasts must not depend on how fast this machine is."""
    return [
        replace(fate, delivery=Delivery.CLOSE, delay_seconds=SILENT_SECONDS) if fate.delivery is Delivery.HOLD else fate
        for fate in by_amount(asked)
    ]


@contextlib.contextmanager
def _ptys(count: int) -> Iterator[tuple[Line, ...]]:
    opened: list[int] = []
    lines = []
    try:
        for _ in range(count):
            master, slave = pty.openpty()
            opened += (master, slave)  # the slave stays open here: a pty with nobody attached loses what is written
            tty.setraw(slave)
            os.set_blocking(master, False)
            lines.append(Line(master, os.ttyname(slave)))
        yield tuple(lines)
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _write_config(
    folder: Path, files: Files, url: str, smtp_port: int, lines: tuple[Line, ...], record: Path | None
) -> Path:
    for name, size in (("kek", 32), ("salt", 32)):
        key = folder / f"{name}.hex"
        key.touch(mode=0o600)
        key.write_text(secrets.token_hex(size))
    (folder / "journal").mkdir(mode=0o700)
    lanes = "\n".join(
        f'[[lanes]]\nname = "{name}"\nalias = "{name.title()} door"\nport = "{line.path}"\nfare = 250\n'
        "amount_limit = 99999\n"
        for name, line in zip(LANES, lines, strict=False)
    )
    lanes += "\n".join(
        f'[[lanes]]\nname = "{name}"\nalias = "{name.replace("-", " ").capitalize()}"\nport = "{line.path}"\n'
        f'fare = 500\namount_limit = 99999\nkind = "RETAIL_CHECK_IN_OUT"\n'
        for name, line in zip(GATES, lines[len(LANES) : -1], strict=True)
    )
    lanes += (
        f'[[lanes]]\nname = "{READER}"\nalias = "{READER.title()} door"\nport = "{lines[-1].path}"\nfare = 250\n'
        'protocol = "vivopay"\ntokens = "none"\n'
    )
    path = folder / "tpsd.toml"
    path.write_text(
        f"""mode = "test"

[operator]
company_id = 1001
stock_location_id = 42
currency = "978"

[sfey]
base_url = "{url}"
afc_base_url = "{url}{AFC_BASE_PATH}"
ca_file = "{files.ca}"
client_cert_file = "{files.client_cert}"
client_key_file = "{files.client_key}"
timeout_seconds = {SEND_SECONDS}

[store]
url = "sqlite:///{folder}/journal/journal.db"

[keys]
kek_file = "kek.hex"
epoch_dir = "{folder}/epochs"
token_key_file = "salt.hex"

[retry]
jitter = 0.0

[email]
smtp_url = "smtp://127.0.0.1:{smtp_port}?starttls=never"
sender = "tpsd@transit.example"
recipients = ["operations@transit.example"]

[admin]
socket = "{folder}/tpsd.sock"

[realtime]
found_approved = "refund"

[feed]
enabled = true
poll_minutes = 60
{_recorded(record)}
{lanes}"""
    )
    return path


def _recorded(record: Path | None) -> str:
    """The section of a tap log in that folder, which is made."""
    if record is None:
        return ""
    record.mkdir(parents=True, exist_ok=True)
    return f"\n[taplog]\nfolder = {json.dumps(str(record.resolve()))}\n"
