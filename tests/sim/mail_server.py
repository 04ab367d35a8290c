"""One connection to the mail server: it answers verb by verb, and stumbles where its script says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from enum import Enum
from typing import Final

_END: Final = b"\r\n.\r\n"


class Verb(Enum):
    """Where a mail server can stumble, in the order of a delivery."""

    CONNECT = "connect"
    EHLO = "EHLO"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    END = "the end of data"


class Way(Enum):
    """How. ``LOST``: all goes well, and the reply does not arrive."""

    AGAIN = "4XX"
    NEVER = "5XX"
    CUT = "cut"
    SILENT = "silent"
    LOST = "lost"


REFUSALS: Final = (Way.AGAIN, Way.NEVER, Way.CUT)

_CODES: Final = {
    Verb.CONNECT: (421, 554),
    Verb.EHLO: (421, 550),
    Verb.MAIL: (451, 553),
    Verb.RCPT: (450, 550),
    Verb.DATA: (451, 554),
    Verb.END: (452, 552),
}
_GOOD: Final = {
    Verb.CONNECT: b"220 mail.example\r\n",
    Verb.EHLO: b"250-mail.example\r\n250 8BITMIME\r\n",
    Verb.DATA: b"354 go on\r\n",
}
_OK: Final = b"250 ok\r\n"
_VERBS: Final = {b"EHLO": Verb.EHLO, b"HELO": Verb.EHLO, b"MAIL": Verb.MAIL, b"RCPT": Verb.RCPT, b"DATA": Verb.DATA}


@dataclass(frozen=True, slots=True)
class Stumble:
    """At which verb, and how."""

    at: Verb
    way: Way

    def __str__(self) -> str:
        return f"{self.way.value} at {self.at.value}"


class Conversation:
    """Bytes in, bytes out: b"" is silence, None the end of the connection. ``take`` gets each mail that is accepted.

    A client that sends what nobody awaits is told 503, which no client of ours ever is.
    """

    def __init__(self, stumble: Stumble | None, take: Callable[[EmailMessage], None]) -> None:
        self._stumble = stumble
        self._take = take
        self._unread = bytearray()
        self._reads_mail = False

    def greet(self) -> bytes | None:
        """What it says to who connects."""
        return self._reply(Verb.CONNECT)

    def hear(self, data: bytes) -> bytes | None:
        """What it says to what came in; one command is answered before the next comes."""
        self._unread += data
        end = _END if self._reads_mail else b"\r\n"
        if not self._unread.endswith(end):
            return b""
        said = bytes(self._unread)
        self._unread.clear()
        if self._reads_mail:
            self._reads_mail = False
            return self._content(said[: -len(_END)] + b"\r\n")
        return self._command(said[:4].upper())

    def _command(self, word: bytes) -> bytes | None:
        if word == b"QUIT":
            return None
        if word == b"RSET":
            return _OK
        verb = _VERBS.get(word)
        if verb is None:
            return b"503 bad sequence of commands\r\n"
        self._reads_mail = verb is Verb.DATA and not self._stumbles_at(verb)
        return self._reply(verb)

    def _content(self, raw: bytes) -> bytes | None:
        lost = self._stumbles_at(Verb.END) and self._stumble is not None and self._stumble.way is Way.LOST
        if lost or not self._stumbles_at(Verb.END):
            mail = message_from_bytes(raw.replace(b"\r\n..", b"\r\n."), policy=policy.default)
            self._take(mail)
        return None if lost else self._reply(Verb.END)

    def _stumbles_at(self, verb: Verb) -> bool:
        return self._stumble is not None and self._stumble.at is verb

    def _reply(self, verb: Verb) -> bytes | None:
        if self._stumble is None or self._stumble.at is not verb:
            return _GOOD.get(verb, _OK)
        match self._stumble.way:
            case Way.AGAIN | Way.NEVER:
                return b"%d no\r\n" % _CODES[verb][self._stumble.way is Way.NEVER]
            case Way.SILENT:
                return b""
            case Way.CUT | Way.LOST:
                return None
