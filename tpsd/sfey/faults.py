"""Foreign exceptions to domain values: the one place where aiohttp's, ssl's and the system's errors are read.

Which value depends first on how far the exchange had come (``Phase``), which tracing knows exactly, and only
then on the exception: before a connection stood, no byte of the request can have left.
"""

from __future__ import annotations

from enum import IntEnum

import aiohttp
from aiohttp.http import HttpProcessingError

from tpsd.domain.outcome import CredentialRefused, Exchange, NoAnswer, NoConnection
from tpsd.sfey.tls import certificate_alert

NETWORK_TROUBLE = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError)
"""All that an exchange raises short of a bug: TimeoutError is an OSError; idna and ssl raise ValueErrors."""


class Phase(IntEnum):
    """How far an exchange had come."""

    STARTED = 0
    RESOLVING = 1
    CONNECTING = 2  # TCP and TLS; aiohttp reports both as one step
    CONNECTED = 3  # made or reused: bytes may have left


def exchange_of(error: BaseException, phase: Phase, *, harmless: bool = False) -> Exchange:
    """What an exception from ``NETWORK_TROUBLE`` means for the request.

    Causes before a connection: ``dns``, ``connect``, ``connect_timeout``, ``tls.server`` (its certificate did
    not verify), ``tls`` (the handshake broke), ``tls.client`` (an alert against ours). After: ``timeout``,
    ``closed``, ``protocol`` (what came back was not HTTP). ``harmless``: the request moves no money, so an
    alert against our certificate may be called that although bytes have left.
    """
    if certificate_alert(error) and (harmless or phase is not Phase.CONNECTED):
        return CredentialRefused("tls.client")
    if phase is Phase.CONNECTED:
        return NoAnswer(_after(error))
    return NoConnection(_before(error, phase))


def _before(error: BaseException, phase: Phase) -> str:
    # aiohttp's certificate error is a TLS error of its, and that a connection error: the narrow come first.
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return "tls.server"
        case aiohttp.ClientSSLError():
            return "tls"
        case aiohttp.ClientConnectorDNSError():
            return "dns"
        case aiohttp.ClientConnectorError(os_error=ConnectionResetError() | ConnectionAbortedError()):
            return "tls"  # TCP refuses by other errors: the other side left in the middle of the handshake
        case TimeoutError() | aiohttp.ClientConnectorError(os_error=TimeoutError()):
            return "dns" if phase is Phase.RESOLVING else "connect_timeout"
        case ValueError() if not isinstance(error, aiohttp.ClientError):
            return "dns"  # a host name that cannot be encoded
        case _:
            return "connect"


def _after(error: BaseException) -> str:
    match error:
        case TimeoutError():
            return "timeout"
        case aiohttp.ClientResponseError() | HttpProcessingError():
            return "protocol"
        case _:
            return "closed"
