"""Trying everything that a configuration names, without sending a tap, a mail or a byte to a validator."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import serial

from schemas.config import Configuration, Lane
from tpsd.config import database_url, mail_settings, read_hex_key, read_token, read_ttk, spool_path, store_path
from tpsd.config.keys import read_exchange_key
from tpsd.domain.outcome import Answer, Exchange
from tpsd.errors import ConfigError, PortError, TpsdError
from tpsd.mail.smtp import SmtpMailer
from tpsd.sfey.afc import AfcClient
from tpsd.sfey.client import TpsClient
from tpsd.sfey.tls import tls_context
from tpsd.sfey.wire import PROFILES, override

KEY_BYTES = 32  # the key-encryption key (AES-256) and SALT (HMAC-SHA256)
NOBODY = UUID(int=0)  # no transaction's: TPS says that it never had it
CONNECT_SECONDS = 5.0  # a port on the local network answers in milliseconds


@dataclass(frozen=True, slots=True)
class Reached:
    """One thing tried. ``reason``: what was found, or why it failed."""

    name: str
    ok: bool
    reason: str


Trial = Callable[[], Awaitable[str]]


async def reach(config: Configuration, *, ports: bool = True) -> list[Reached]:
    """Keys, folders, ports, TPS under each credential, SMTP, in this order; a failure stops none of the others.

    Without ``ports`` those are left alone: a running daemon has them.
    """
    return [await _try(name, trial) for name, trial in _trials(config, ports)]


async def _try(name: str, trial: Trial) -> Reached:
    try:
        return Reached(name, True, await trial())
    except TpsdError as exc:
        return Reached(name, False, str(exc))


def _trials(config: Configuration, ports: bool) -> Iterator[tuple[str, Trial]]:
    private = config.mode == "production"
    keys = config.keys
    yield (
        "key kek_file",
        _key(lambda: read_hex_key(keys.kek_file, KEY_BYTES, "the key-encryption key", private=private)),
    )
    token_key, ttk = keys.token_key_file, keys.ttk_file
    if token_key is not None:
        yield "key token_key_file", _key(lambda: read_hex_key(token_key, KEY_BYTES, "SALT", private=private))
    if ttk is not None:
        yield "key ttk_file", _key(lambda: read_ttk(ttk, private=private))
    exchange = keys.exchange_key_file
    if exchange is not None:
        yield "key exchange_key_file", _key(lambda: read_exchange_key(exchange, private=private))
    token = config.sfey.afc_token_file
    if token is not None:
        yield "key afc_token_file", _key(lambda: read_token(token, private=private))
    if database_url(config) is not None:
        yield "database of the journal", _database(config)
    for name, folder in journal_folders(config).items():
        yield name, _folder(folder)
    for lane in config.lanes if ports else ():
        yield f"port of lane {lane.name}", _port(lane)
    yield from _credentials(config)
    yield "SMTP server", _smtp(config)


def _key(read: Callable[[], object]) -> Trial:
    async def trial() -> str:
        read()
        return "read"

    return trial


def journal_folders(config: Configuration) -> dict[str, Path]:
    """Those that the journal needs, by what they are called here; in a database it needs none, but for a spool."""
    if database_url(config) is not None:
        spool = spool_path(config)
        return {} if spool is None else {"folder of the spool": spool.parent, "folder epoch_dir": config.keys.epoch_dir}
    return {"folder of the journal": store_path(config).parent, "folder epoch_dir": config.keys.epoch_dir}


def _database(config: Configuration) -> Trial:
    from tpsd.database import database_of
    from tpsd.store.entering import try_to_connect

    async def trial() -> str:
        database = database_of(config)
        return "" if database is None else await asyncio.to_thread(try_to_connect, database)

    return trial


def _folder(path: Path) -> Trial:
    async def trial() -> str:
        return _writable(path)

    return trial


def _writable(path: Path) -> str:
    if not path.is_dir():
        raise ConfigError(f"{path} is not a folder; create it")
    if not os.access(path, os.W_OK | os.X_OK):
        raise ConfigError(f"{path} cannot be written to by this user; change its owner")
    return "writable"


def _port(lane: Lane) -> Trial:
    async def over_socket() -> str:
        parts = urlsplit(lane.port)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, writer = await asyncio.open_connection(parts.hostname, parts.port)
        except (OSError, TimeoutError) as exc:
            raise PortError(f"{lane.port}: {_why(exc)}; is the converter on, and the port number right?") from exc
        writer.close()
        return "connected"

    async def over_serial() -> str:
        try:
            with serial.Serial(lane.port, lane.baud, exclusive=True):
                return f"opened at {lane.baud} baud"
        except (OSError, ValueError) as exc:
            raise PortError(f"{lane.port}: {_why(exc)}; is it plugged in, and does another program hold it?") from exc

    return over_socket if lane.port.startswith("socket://") else over_serial


def _credentials(config: Configuration) -> Iterator[tuple[str, Trial]]:
    sfey = config.sfey
    own = [lane for lane in config.lanes if lane.client_cert_file is not None]
    if len(own) < len(config.lanes) or not config.lanes:
        yield "TPS, common certificate", _tps(config, sfey.client_cert_file, sfey.client_key_file)
    for lane in own:
        yield f"TPS, certificate of lane {lane.name}", _tps(config, lane.client_cert_file, lane.client_key_file)
    if sfey.afc_base_url is not None:
        yield "AFC API", _afc(config, sfey.afc_base_url)


def _tps(config: Configuration, cert: Path | None, key: Path | None) -> Trial:
    async def trial() -> str:
        sfey = config.sfey
        profile = override(PROFILES[sfey.profile], sfey.wire)
        context = None if sfey.base_url.startswith("http:") else tls_context(sfey.ca_file, cert, key)
        client = TpsClient(
            sfey.base_url,
            {"checked": context},
            monotonic=time.monotonic,
            timeout_seconds=sfey.timeout_seconds,
            profile=profile,
        )
        try:
            return _answered(await client.get("checked", profile.probe_path))
        finally:
            await client.close()

    return trial


def _afc(config: Configuration, base_url: str) -> Trial:
    async def trial() -> str:
        sfey, private = config.sfey, config.mode == "production"
        token = None if sfey.afc_token_file is None else read_token(sfey.afc_token_file, private=private)
        client = AfcClient(
            base_url,
            None if base_url.startswith("http:") else tls_context(*_common(config)),
            config.operator.company_id,
            token=token,
            monotonic=time.monotonic,
            timeout_seconds=sfey.timeout_seconds,
            profile=override(PROFILES[sfey.profile], sfey.wire),
        )
        try:
            return _answered(await client.ask(NOBODY))
        finally:
            await client.close()

    return trial


def _common(config: Configuration) -> tuple[Path | None, Path | None, Path | None]:
    return config.sfey.ca_file, config.sfey.client_cert_file, config.sfey.client_key_file


def _answered(exchange: Exchange) -> str:
    if isinstance(exchange, Answer):
        return f"answered with HTTP {exchange.http}"
    raise ConfigError(f"no answer ({exchange.cause}); check base_url, ca_file, the certificate and the network")


def _smtp(config: Configuration) -> Trial:
    async def trial() -> str:
        await SmtpMailer(mail_settings(config)).check()
        return "greeted"

    return trial


def _why(exc: BaseException) -> str:
    strerror = getattr(exc, "strerror", None)
    return str(strerror or exc or type(exc).__name__)
