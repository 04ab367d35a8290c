"""HTTP to TPS: bytes in, a domain value out. A thin shell that decides nothing about taps.

A request is sent once: no retry, no redirect, no cookie, no proxy, no compression. The path and the body go
out as they were stored (I2).
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Final

import aiohttp
from yarl import URL

from tpsd.domain.outcome import Answer, CredentialRefused, Exchange, NoAnswer, NoConnection
from tpsd.domain.time import Micros
from tpsd.errors import ConfigError
from tpsd.sfey.connections import Credential, Line, Trail
from tpsd.sfey.faults import NETWORK_TROUBLE, exchange_of
from tpsd.sfey.messages import read_answer, read_date
from tpsd.sfey.wire import DEVICE_V1, Profile

ANSWER_BYTES_MAX = 65_536  # bytes: the contract's answers are under 1 KiB; more is a page of somebody else's

_BUSY: Final = NoConnection("busy")
_NOT_OURS: Final = NoConnection("lease")
_UNUSABLE: Final = CredentialRefused("tls.own")  # its files could not be read at the start: TPS never saw it
_UNDATED: Final = NoConnection("tls.server")  # nothing of a tap leaves to a server whose certificate may have expired


@dataclass(frozen=True, slots=True)
class ServerDate:
    """TPS's own time: ``date`` as it said, ``heard_at`` in seconds of the client's monotonic clock."""

    date: Micros
    heard_at: float


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer as it came; ``body`` None when it was longer than was allowed."""

    http: int
    headers: Mapping[str, str]
    body: bytes | None = field(repr=False)


class TpsClient:
    """One base URL under any number of credentials, each with connections of its own.

    ``credentials`` maps a name to its TLS context (``tpsd.sfey.tls.tls_context``), None only for http://.
    ``timeout_seconds`` bounds one exchange, CONNECT_SECONDS_MAX of it the connection. ``concurrency``
    exchanges run at once; further callers wait, and no time runs for them. ``monotonic`` in seconds. To be
    made inside a running event loop, and closed by ``close()``. ``token`` goes with every request as a
    bearer's. ``dated`` says whether a certificate's dates can be judged now; while it says no, only probes
    leave. ``on_date`` hears TPS's time. Under an ``unusable`` name nothing is sent until ``renew``. ``may_send`` is
    asked just before a request with a body; where it says no, that is ``NoConnection("lease")``. Raises ConfigError
    for a base URL that cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        credentials: Mapping[str, ssl.SSLContext | None],
        *,
        monotonic: Callable[[], float],
        timeout_seconds: float = 10.0,
        concurrency: int = 32,
        profile: Profile = DEVICE_V1,
        token: str | None = None,
        dated: Callable[[], bool] = lambda: True,
        on_date: Callable[[Micros], None] = lambda _date: None,
        unusable: Collection[str] = (),
        may_send: Callable[[], bool] = lambda: True,
    ) -> None:
        self._may_send = may_send
        self._dated = dated
        self._on_date = on_date
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._base = checked_base_url(base_url)
        if self._base.startswith("https:") and None in credentials.values():
            raise ConfigError(f"a credential has no TLS context, and {self._base} needs one")
        self._monotonic = monotonic
        self._timeout = timeout_seconds
        self._slots = asyncio.Semaphore(concurrency)
        self._profile = profile
        self._credentials = {name: self._credential(context) for name, context in credentials.items()}
        self._unusable = frozenset(unusable)
        self.last_date: ServerDate | None = None

    async def post(self, credential: str, path: str, body: bytes, *, within: float | None = None) -> Exchange:
        """Send ``body`` to ``path`` under ``credential``, once, after ``ready``; network trouble is a value.

        Takes at most twice ``timeout_seconds`` (the probe, the request) beside the wait for its turn. A
        credential it does not know is refused with the cause ``no_credential``; nothing was sent. ``within``
        seconds bound all of it where somebody waits: then it waits for no turn, and what could not leave in time
        is ``NoConnection("busy")``.
        """
        began = self._monotonic()
        try:
            async with asyncio.timeout(within):
                failure = await self.ready(credential)
        except TimeoutError:
            return _BUSY
        if failure is not None:
            return failure
        known = self._credentials[credential]
        if within is None:
            return await self._exchange(known, path, body)
        left = began + within - self._monotonic()
        return await self._exchange(known, path, body, left) if left > 0 else _BUSY

    async def get(self, credential: str, path: str) -> Exchange:
        """One GET without effect: a probe, an enquiry; network trouble is a value.

        aiohttp itself repeats a GET once when the connection was closed on it.
        """
        known = self._credentials.get(credential)
        if known is None:
            return self._unknown(credential)
        if not await self._is_dated(known):
            return _UNDATED
        return await self._exchange(known, path, None)

    async def fetch(self, credential: str, path: str, bytes_max: int) -> Raw | Exchange:
        """One GET whose answer is wanted as it is; its text stays within ``tpsd.sfey``. Trouble as from ``get``."""
        known = self._credentials.get(credential)
        if known is None:
            return self._unknown(credential)
        if not await self._is_dated(known):
            return _UNDATED
        return await self._carry(known, path, None, None, bytes_max)

    async def submit(self, credential: str, path: str, body: bytes, bytes_max: int) -> Raw | Exchange:
        """One POST that moves no money, after ``ready``, whose answer is wanted as it is, like that of ``fetch``."""
        failure = await self.ready(credential)
        if failure is not None:
            return failure
        return await self._carry(self._credentials[credential], path, body, None, bytes_max)

    async def knock(self, credential: str) -> Exchange:
        """One harmless GET on a fresh connection: whatever comes but ``NoConnection``, the host can be reached."""
        known = self._credentials.get(credential)
        if known is None:
            return self._unknown(credential)
        await known.doubt()
        return await self._exchange(known, self._profile.probe_path, None)

    async def ready(self, credential: str) -> Exchange | None:
        """None when the credential was answered within PROVEN_SECONDS, or is now; else why it cannot be used.

        A TLS 1.3 server refuses a client certificate after the request was written, and the client sees a
        closed connection (sfey.md 4). So an unproven credential first sends one harmless GET on a fresh
        connection, and any HTTP answer proves it. A GET without an answer is ``NoConnection("probe")``: who
        closed is not known, but no byte of a tap has left. ``CredentialRefused`` where OpenSSL reports the
        alert. Callers that come while a probe is under way share its result.

        Where the certificate's dates could not be judged at first, the probe's ``Date`` may have changed that;
        then a second one shows that they are good. ``NoConnection("tls.server")`` where nobody knows the time.
        """
        known = self._credentials.get(credential)
        if known is None:
            return self._unknown(credential)
        if known.is_proven(self._monotonic()):
            return None
        seen = known.probes
        async with known.probing:
            if known.probes == seen:
                known.failure = await self._prove(known)
                known.probes += 1
            return known.failure

    async def _prove(self, known: Credential) -> Exchange | None:
        for _ in range(2):
            dated = await self._is_dated(known)
            failure = _failure_of(await self._exchange(known, self._profile.probe_path, None))
            if dated or failure is not None:
                return failure
        return _UNDATED

    async def _is_dated(self, known: Credential) -> bool:
        """Whether its line's certificates are judged by their dates; one from before they could be is replaced."""
        if not known.line.dated and self._dated():
            await known.doubt()
        return known.line.dated

    async def renew(self, name: str, context: ssl.SSLContext | None) -> None:
        """A credential's new certificate, or a new credential; exchanges under way end on the old connections."""
        if self._base.startswith("https:") and context is None:
            raise ConfigError(f"credential {name} has no TLS context, and {self._base} needs one")
        old = self._credentials.get(name)
        self._credentials[name] = self._credential(context)
        if old is not None:
            await old.line.retire()

    async def close(self) -> None:
        """Close every connection. Exchanges under way end as ``closed``; new ones are an error."""
        for credential in self._credentials.values():
            await credential.close()

    def _unknown(self, name: str) -> CredentialRefused:
        return _UNUSABLE if name in self._unusable else CredentialRefused("no_credential")

    def _credential(self, context: ssl.SSLContext | None) -> Credential:
        def line() -> Line:
            return Line(context, self._timeout, context is None or self._dated())

        return Credential(line)

    async def _exchange(
        self, credential: Credential, path: str, body: bytes | None, urgent: float | None = None
    ) -> Exchange:
        """A POST of ``body``, a GET where that is None; an ``urgent`` one has so many seconds and takes no turn."""
        raw = await self._carry(credential, path, body, urgent, ANSWER_BYTES_MAX)
        return read_answer(raw.http, raw.headers, raw.body or b"", self._profile) if isinstance(raw, Raw) else raw

    async def _carry(
        self, credential: Credential, path: str, body: bytes | None, urgent: float | None, bytes_max: int
    ) -> Raw | Exchange:
        trail = Trail()
        async with self._slots if urgent is None else nullcontext():
            if body is not None and not self._may_send():
                return _NOT_OURS
            line = credential.line
            line.enter()
            try:
                async with asyncio.timeout(self._timeout if urgent is None else min(urgent, self._timeout)):
                    raw = await self._send(line.session, path, body, trail, bytes_max)
            except NETWORK_TROUBLE as exc:
                failed = exchange_of(exc, trail.phase, harmless=body is None)
                if isinstance(failed, CredentialRefused) or (trail.fresh and failed == NoAnswer("closed")):
                    await credential.doubt()
                return failed
            finally:
                await line.leave()
        self._heard(credential, line, raw)
        return raw

    async def _send(
        self, session: aiohttp.ClientSession, path: str, body: bytes | None, trail: Trail, bytes_max: int
    ) -> Raw:
        async with session.request(
            "GET" if body is None else "POST",
            URL(self._base + path, encoded=True),
            data=body,
            headers=self._headers if body is None else {**self._headers, "Content-Type": "application/json"},
            allow_redirects=False,
            trace_request_ctx=trail,
        ) as response:
            content = await _read_capped(response, bytes_max)
            if content is None:
                response.close()
            return Raw(response.status, response.headers, content)

    def _heard(self, credential: Credential, line: Line, raw: Raw) -> None:
        now = self._monotonic()
        credential.prove(line, now)
        date = read_date(raw.headers)
        if date is not None:
            self.last_date = ServerDate(date, now)
            self._on_date(date)


def checked_base_url(text: str) -> str:
    """The base URL without its last slash. Raises ConfigError unless https, or http to a loopback host."""
    try:
        url = URL(text)
        port_is_good = url.port is not None
    except ValueError as exc:
        raise ConfigError(f"{text!r} is not a URL ({exc})") from exc
    if url.scheme not in ("http", "https") or not url.host or not port_is_good:
        raise ConfigError(f"{text!r}: a base URL starts with https:// and names a host")
    if url.scheme == "http" and not _is_loopback(url.host):
        raise ConfigError(f"{text!r}: card data goes over TLS only; http:// is for loopback hosts")
    if url.user is not None or url.raw_query_string or url.raw_fragment:
        raise ConfigError(f"{text!r}: a base URL has no user, no query and no fragment")
    return text.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _failure_of(probe: Exchange) -> Exchange | None:
    match probe:
        case Answer():
            return None
        case NoAnswer():
            return NoConnection("probe")
        case NoConnection() | CredentialRefused():
            return probe


async def _read_capped(response: aiohttp.ClientResponse, bytes_max: int) -> bytes | None:
    """The body, or None as soon as it is known to be longer than ``bytes_max``."""
    if (response.content_length or 0) > bytes_max:
        return None
    content = bytearray()
    async for part in response.content.iter_any():
        content += part
        if len(content) > bytes_max:
            return None
    return bytes(content)
