"""What is seen of a lane before it opens: its files, its certificate, what TPS says of its terminal."""

from __future__ import annotations

from dataclasses import dataclass

from tpsd.domain.time import Micros

_UNREAD = Micros(0)


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file that the lane needs. ``unread``: why it cannot be read, empty where it can; ``secret``: it holds a key."""

    setting: str
    path: str
    unread: str = ""
    secret: bool = False
    exposed: bool = False


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """A terminal's certificate with its key. The dates are those for which the whole chain of the file is valid.

    ``own``: no other lane shares it, so that it may name the terminal. ``unfit``: what is wrong with the pair, in
    words, empty where key and certificate belong together; ``broken``: where the chain breaks, empty where it holds.
    """

    path: str
    own: bool
    unfit: str = ""
    broken: str = ""
    common_name: str = ""
    issuer: str = ""
    begins: Micros = _UNREAD
    ends: Micros = _UNREAD


@dataclass(frozen=True, slots=True)
class TerminalSaid:
    """TPS's answer about a terminal; None for what it did not say. ``date`` is its own time."""

    http: int
    system_code: int | None = None
    company_id: int | None = None
    stock_location_id: int | None = None
    date: Micros | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """What the configuration says of a lane. ``terminal``: ``TYPE:SERIAL``, None while nobody knows it.

    ``clear``: card data of it would go to TPS unencrypted (mode 00).
    """

    production: bool
    host: str
    company_id: int
    stock_location_id: int
    terminal: str | None
    clear: bool = False
