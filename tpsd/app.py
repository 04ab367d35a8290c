"""The composition root: the only place that names concrete parts; it opens them, hands them over and closes them."""

from __future__ import annotations

import random
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from schemas.config import Configuration
from tpsd import __version__
from tpsd import config as settings
from tpsd.admin import (
    denylist,
    explaining,
    feed,
    journeys,
    keys,
    lanes,
    mailing,
    operations,
    preflight,
    reporting,
    terminals,
    upkeep,
    watching,
)
from tpsd.clock import SystemClock
from tpsd.config.keys import read_hex_key
from tpsd.credentials import (
    afc_client,
    update_client,
    usable_contexts,
)
from tpsd.daemon import Daemon, Ends, World
from tpsd.database import database_of
from tpsd.domain.device_key import DeviceKey
from tpsd.domain.time import DAY, SECOND
from tpsd.errors import ConfigError
from tpsd.lanes import COMMON_CREDENTIAL, port_of, wire_profile
from tpsd.leases import Hold, Leases
from tpsd.link.serial import SerialPort
from tpsd.mail.smtp import SmtpMailer
from tpsd.ports import Timepiece
from tpsd.sfey.afc import AfcClient
from tpsd.sfey.client import TpsClient
from tpsd.sfey.device_keys import read_keys
from tpsd.sfey.registration import RegistrationClient
from tpsd.sfey.terminals import ask_about
from tpsd.sfey.updates import UpdateClient
from tpsd.store.epochs import KeyFolder
from tpsd.store.housekeeping import Keep
from tpsd.store.journal import Identity, Secrets, SqlJournal
from tpsd.store.postgres import PostgresJournal, PostgresView
from tpsd.store.seal import KEY_BYTES
from tpsd.store.session import Database
from tpsd.store.spool import Spool
from tpsd.store.spooled import SpooledJournal, confirming
from tpsd.store.sqlite import SqliteJournal
from tpsd.store.viewing import JournalView, Reading
from tpsd.taplog import TapLog
from tpsd.taplog.folder import Folder
from tpsd.taplog.lines import outline_of

NEVER_US = 100 * 365 * DAY  # microseconds: what a spool holds is never pruned, only drained

log = structlog.get_logger("tpsd")


def real_world(config: Configuration) -> World:
    """This machine's clocks and its own entropy."""
    return World(SystemClock(settings.clock_floor(config)), random.SystemRandom())


@asynccontextmanager
async def assembled(config: Configuration, world: World | None = None) -> AsyncIterator[Daemon]:
    """A daemon with everything open but nothing running; closes it all. Raises TpsdError."""
    world = world or real_world(config)
    clock = world.clock
    recorder = tap_log(config, clock)
    if recorder is not None:
        world = replace(world, witness=recorder)
    ports = [port_of(section) for section in config.lanes]
    contexts, unusable = usable_contexts(config, clock.judging)
    if COMMON_CREDENTIAL in unusable:
        raise ConfigError(unusable[COMMON_CREDENTIAL])
    for name, why in unusable.items():
        log.error("certificate_unusable", credential=name, why=why)
    locked = [port for port in ports if isinstance(port, SerialPort)]
    try:
        for port in locked:
            port.lock()
        async with open_journal(config) as journal:
            hold = await _hold(config, journal.leases, clock)
            client = TpsClient(
                str(config.sfey.base_url),
                contexts,
                monotonic=world.clock.monotonic,
                timeout_seconds=config.sfey.timeout_seconds,
                concurrency=config.retry.concurrency,
                profile=wire_profile(config),
                dated=lambda: clock.trusted,
                on_date=clock.adopt,
                unusable=unusable,
                may_send=(lambda: True) if hold is None else hold.lasts,
            )
            afc = updates = None
            try:
                afc = afc_client(config, clock)
                updates = update_client(config, contexts, clock)
                ends = Ends(
                    client,
                    partial(_postman, clock),
                    ports,
                    frozenset(contexts) | unusable.keys(),
                    enquire=None if afc is None else afc.ask,
                    renew=partial(_renew_all, client, afc, updates),
                    updates=None if updates is None else updates.ask,
                    registration=RegistrationClient(
                        client,
                        config.sfey.registration_root_file or config.sfey.ca_file,
                        clock.wall,
                        wire_profile(config),
                    ),
                    ask_keys=None if updates is None else updates.ask_keys,
                    ask_terminal=partial(ask_about, client, profile=wire_profile(config)),
                    parameters=None if updates is None else updates.ask_raw,
                    hold=hold,
                )
                daemon = Daemon(config, world, journal, ends)
                if recorder is not None:
                    _begin_log(recorder, daemon)
                try:
                    yield daemon
                finally:
                    daemon.fleet.release()
                    if recorder is not None:
                        recorder.close()
            finally:
                await client.close()
                if afc is not None:
                    await afc.close()
                if updates is not None:
                    await updates.close()
    finally:
        for port in locked:
            port.release()


async def _hold(config: Configuration, leases: Leases | None, clock: Timepiece) -> Hold | None:
    """Of a journal that several daemons share: due times go by the clock that all of them follow."""
    if leases is None:
        return None
    if isinstance(clock, SystemClock):
        clock.follow(await leases.clock())
    return Hold(clock.schedule, round(config.sfey.timeout_seconds * SECOND))


@asynccontextmanager
async def open_journal(config: Configuration) -> AsyncIterator[SqlJournal]:
    """The journal of this configuration, with its keys. Raises TpsdError."""
    private = config.mode == "production"
    kek = read_hex_key(config.keys.kek_file, KEY_BYTES, "the key-encryption key", private=private)
    identity = Identity(config.mode, urlsplit(str(config.sfey.base_url)).netloc, config.operator.company_id)
    kept = settings.keeping(config)
    keep = Keep(kept.failed_us, kept.held_us, kept.retention_us)
    database = database_of(config)
    journal: SqlJournal
    spool = settings.spool_path(config)
    if database is not None and spool is not None:
        journal = await _open_spooled(config, spool, database, identity, kek, keep)
    elif database is not None:
        journal = await PostgresJournal.open(database, identity, kek, keep)
    else:
        secrets = Secrets(kek, KeyFolder(config.keys.epoch_dir))
        journal = await SqliteJournal.open(settings.store_path(config), identity, secrets, keep)
    try:
        yield journal
    finally:
        await journal.close()


async def _open_spooled(
    config: Configuration, path: Path, database: Database, identity: Identity, kek: bytes, keep: Keep
) -> SpooledJournal:
    secrets = Secrets(kek, KeyFolder(config.keys.epoch_dir))
    spool = await Spool.open(path, identity, secrets, replace(keep, retention_us=NEVER_US))
    try:
        journal = await SpooledJournal.open(database, identity, kek, keep, make_writer=confirming)
    except BaseException:
        await spool.close()
        raise
    try:
        await journal.begin(spool, config.store.slow_ms / 1000)
    except BaseException:
        await journal.close()
        raise
    return journal


@asynccontextmanager
async def open_journal_readonly(config: Configuration) -> AsyncIterator[Reading]:
    """The journal of this configuration to look at, when no daemon runs. Raises TpsdError."""
    database = database_of(config)
    if database is not None:
        looked_at = PostgresView(database)
        try:
            yield looked_at
        finally:
            await looked_at.close()
        return
    view = JournalView(settings.store_path(config))
    try:
        yield view
    finally:
        view.close()


def tap_log(config: Configuration, clock: Timepiece) -> TapLog | None:
    """The tap log of this configuration, not yet started; None where none is wanted."""
    section = config.taplog
    if section.folder is None:
        return None
    folder = Folder(section.folder, keep_days=section.keep_days, bytes_max=section.megabytes_max * 2**20)
    return TapLog(folder, clock, outline_of(wire_profile(config).fields["tag"]))


def _begin_log(recorder: TapLog, daemon: Daemon) -> None:
    def say(why: str) -> None:
        config = daemon.config
        recorder.configured(why, __version__, settings.config_digest(config), settings.effective(config))

    recorder.start()
    say("start")
    daemon.on_adopted = lambda: say("reload")
    daemon.observer.taplog = recorder.facts


def admin_routes(daemon: Daemon) -> list[web.RouteDef]:
    """What the command line may have a running daemon do, topic by topic."""
    clock = daemon.clock
    return [
        *upkeep.routes(daemon.journal.upkeep, clock.schedule, clock.wall),
        *operations.routes(daemon.journal.operations, daemon.desk),
        *mailing.routes(daemon.try_mail),
        *watching.routes(daemon.observer.queue),
        *preflight.routes(daemon.inspector),
        *keys.routes(daemon.journal.device_keys, daemon.courier, partial(_read_keys, daemon.config), clock.wall),
        *terminals.routes(daemon.registrar),
        *lanes.routes(daemon.doorkeeper, daemon.observer.lanes),
        *denylist.routes(daemon.journal.denylist, clock.wall),
        *explaining.routes(daemon.journal.histories, lambda: settings.keeping(daemon.config), clock.wall),
        *reporting.routes(daemon.journal.counts, clock.wall),
        *feed.routes(daemon.journal.feed, daemon.feed, clock.wall, daemon.journal.parameters),
        *journeys.routes(daemon.journal.asked, daemon.cashier, lambda: settings.labels(daemon.config), clock.wall),
    ]


def _read_keys(config: Configuration, document: str) -> list[DeviceKey]:
    return read_keys(document, wire_profile(config))


async def _renew_all(
    client: TpsClient, afc: AfcClient | None, updates: UpdateClient | None, name: str, context: ssl.SSLContext | None
) -> None:
    await client.renew(name, context)
    if afc is not None and name == COMMON_CREDENTIAL:
        await afc.renew(context)
    if updates is not None:
        await updates.renew(name, context)


def _postman(clock: Timepiece, config: Configuration) -> SmtpMailer:
    return SmtpMailer(settings.mail_settings(config), _recipient_refused, clock.judging)


def _recipient_refused(address: str, code: int) -> None:
    log.error("recipient_refused", address=address, smtp=code)  # the others have the mail; this one hears of nothing
