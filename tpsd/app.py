"""The composition root: the only place that names concrete parts, wires them, starts and stops them."""

from __future__ import annotations

import asyncio
import random
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from schemas.config import Configuration
from tpsd import __version__
from tpsd import config as settings
from tpsd.admin import denylist, mailing, operations, upkeep, watching
from tpsd.admin.health import HealthServer
from tpsd.admin.metrics import Metrics
from tpsd.admin.server import AdminServer
from tpsd.clock import SystemClock
from tpsd.config.changes import Changes
from tpsd.config.keys import read_hex_key
from tpsd.core.intake import Setting
from tpsd.core.notices import Totals, close_window
from tpsd.core.outcomes import classify
from tpsd.core.places import deferred_places
from tpsd.core.settlement import Settlement
from tpsd.core.texts import load as load_texts
from tpsd.domain.authorisation import Claimed
from tpsd.domain.notice import Episode, NoticeRow
from tpsd.domain.outcome import NoAnswer, Outcome
from tpsd.domain.time import DAY, HOUR, SECOND, iso_millis
from tpsd.doubts import Ask
from tpsd.errors import ConfigError, TpsdError
from tpsd.hardening import harden
from tpsd.lanes import COMMON_CREDENTIAL, Lanes, policy_of, port_of, setting_anew, setting_of, wire_profile
from tpsd.link.serial import SerialPort
from tpsd.mail.render import all_clear_mail, window_mail
from tpsd.mail.smtp import SmtpMailer
from tpsd.mail.trial import Trial, try_mail
from tpsd.observer import MeteredTps, Observer
from tpsd.ports import Clock, Port, Postman, Taken, Tps, WindowPlan
from tpsd.reloading import Reloading
from tpsd.sfey.afc import AfcClient
from tpsd.sfey.client import TpsClient
from tpsd.sfey.tls import tls_context
from tpsd.store.epochs import KeyFolder
from tpsd.store.housekeeping import Keep
from tpsd.store.seal import KEY_BYTES
from tpsd.store.sqlite import Identity, Secrets, SqliteJournal
from tpsd.store.viewing import JournalView
from tpsd.workers.desk import Desk
from tpsd.workers.dispatcher import Dispatcher, Pace
from tpsd.workers.enquirer import Enquirer, Heed, conclude_crashed
from tpsd.workers.examiner import Examiner
from tpsd.workers.mailer import Mailer
from tpsd.workers.reader import Lane, LaneParts
from tpsd.workers.uplink import Uplink, Waiting, WatchedTps
from tpsd.workers.warden import Warden

STOP_SECONDS_BEYOND_SEND = 5.0  # the last settlements, mails and the last checkpoint after the last send ended

log = structlog.get_logger("tpsd")


@dataclass(frozen=True, slots=True)
class World:
    """What a daemon is given from outside: clocks and chance. The demo and tests hand in others."""

    clock: Clock
    rng: random.Random


def real_world() -> World:
    """This machine's clocks and its own entropy."""
    return World(SystemClock(), random.SystemRandom())


Renew = Callable[[str, ssl.SSLContext | None], Awaitable[None]]
"""A credential's new certificate, by name."""


class Daemon:
    """A journal with its loops. Made by ``assembled``; ``run`` until ``stop``."""

    def __init__(
        self,
        config: Configuration,
        world: World,
        journal: SqliteJournal,
        tps: Tps,
        postman: Postman,
        ports: Sequence[Port],
        credentials: frozenset[str],
        enquire: Ask | None = None,
        renew: Renew | None = None,
    ) -> None:
        self.config = config
        self.journal = journal
        self.clock = world.clock
        self._credentials = credentials
        self._catalogue = load_texts(config.operator.language)
        pace = Pace(_deferred_places(config), config.retry.jitter)
        self.mailer = Mailer(journal, postman, world.clock, self._close_window)
        self.uplink = Uplink(
            urlsplit(str(config.sfey.base_url)).netloc,
            sorted(credentials),
            tps,
            journal.outages,
            world.clock,
            world.rng,
            _waiting(config),
            on_change=self._wake_sends,
            on_notice=self.mailer.wake.set,
        )
        doubt = settings.doubt(config)
        self.enquirer: Enquirer | None = None
        if enquire is not None:
            heed = Heed(noticed=self.mailer.wake.set, released=self._wake_sends, may_ask=self.uplink.is_up)
            self.enquirer = Enquirer(journal.doubts, enquire, world.clock, doubt, heed)
        metrics = Metrics(__version__, config.mode)
        watched = WatchedTps(MeteredTps(tps, metrics, world.clock), self.uplink)
        self.desk = Desk(
            journal.operations,
            world.clock,
            world.rng,
            doubt,
            credentials,
            config.retry.spread_seconds * SECOND,
            on_release=self._wake_sends,
        )
        self.dispatcher = Dispatcher(
            journal,
            watched,
            world.clock,
            world.rng,
            pace,
            self.uplink,
            doubt,
            on_notice=self.mailer.wake.set,
            on_doubt=self._wake_enquirer,
            on_judged=self.desk.free,
        )
        self.warden = Warden(journal, world.clock, self.mailer.wake.set)
        self._rng, self._renew = world.rng, renew
        self._metrics = self.dispatcher.meter = metrics
        setting = setting_of(config, journal)
        self.fleet = Lanes(config, ports, setting, self._lane, world.rng)
        self.lanes = self.fleet.running
        self.observer = Observer(
            journal,
            world.clock,
            metrics,
            lanes=lambda: [lane.state for lane in self.lanes],
            uplinks=lambda: [self.uplink.status()],
            in_flight=lambda: self.dispatcher.in_flight,
        )
        self.reloading = Reloading(self.adopt, world.clock)
        self.desk.setting = setting
        self.desk.lanes = {lane.name: policy_of(lane) for lane in config.lanes}
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Recover what a crash left, then work until ``stop``; returns when everything in flight is settled."""
        done = await self.journal.recover(self.clock.schedule(), self._credentials, self._after_crash)
        log.info("recovered", **done)
        await self.uplink.load()
        now = self.clock.schedule()
        asked = await self.journal.doubts.begin(now, self.enquirer is not None, partial(conclude_crashed, now=now))
        log.info("doubts_recovered", **asked)
        async with asyncio.TaskGroup() as loops:
            self.fleet.start(loops)
            reloading = loops.create_task(self.reloading.run(), name="reloading")
            examiner = loops.create_task(Examiner(self.journal.upkeep).run(), name="examiner")
            uplink = loops.create_task(self.uplink.run(), name="uplink")
            sends = loops.create_task(self.dispatcher.run(), name="dispatcher")
            if self.enquirer is not None:
                loops.create_task(self.enquirer.run(), name="enquirer")
            loops.create_task(self.mailer.run(), name="mailer")
            loops.create_task(self.warden.run(), name="warden")
            log.info("ready", lanes=len(self.lanes))
            await self._stopping.wait()
            # Stop reading, then claiming, then let the sends in flight finish (design 10).
            for loop in (reloading, uplink, examiner):
                loop.cancel()
            self.fleet.stop()
            self.dispatcher.stop()
            if self.enquirer is not None:
                self.enquirer.stop()
            await asyncio.wait((sends,), timeout=2 * self.config.sfey.timeout_seconds + STOP_SECONDS_BEYOND_SEND)
            if not sends.done():
                log.error("sends_cut", in_flight=self.dispatcher.in_flight)  # they end as unknown at the next start
                sends.cancel()
            self.mailer.stop()
            self.warden.stop()
        log.info("stopped")

    def stop(self) -> None:
        """Begin an orderly end."""
        self._stopping.set()

    async def status(self) -> dict[str, object]:
        """The daemon on one screen, as plain values."""
        totals = await self.observer.totals()
        now = self.clock.schedule()
        journal = asdict(totals)
        oldest, due = journal.pop("oldest_pending"), journal.pop("next_due")
        journal["oldest_pending_seconds"] = None if oldest is None else (now - oldest) / SECOND
        journal["next_due_seconds"] = None if due is None else (due - now) / SECOND
        return {
            "journal": journal,
            "lanes": [asdict(lane.state) for lane in self.lanes],
            "clock": iso_millis(now),
            "mode": self.config.mode,
            "in_flight": self.dispatcher.in_flight,
            "uplink": self.uplink.status(),
            "config_digest": self.fleet.setting.config_digest,
            "reload": None if self.reloading.last is None else asdict(self.reloading.last),
            **await self.observer.report(),
        }

    async def adopt(self, new: Configuration) -> Changes:
        """Put a checked configuration in force from now on. Raises TpsdError, and then nothing was changed."""
        changes = settings.changes(self.config, new)
        if changes.refused:
            raise ConfigError(f"needs a restart: {'; '.join(changes.refused)}; put it back, or restart tpsd")
        catalogue, postman = load_texts(new.operator.language), _postman(new)
        contexts = {name: tls_contexts(new)[name] for name in _certified_anew(self.config, new)}
        ports = self.fleet.claim(new, changes.lanes)
        for name, context in contexts.items():
            if self._renew is not None:
                await self._renew(name, context)
        self._credentials |= contexts.keys()
        self.desk.credentials = self._credentials
        setting = setting_anew(self.fleet.setting, new)
        await self.fleet.change(new, changes.lanes, ports, setting)
        self.desk.setting, self.desk.lanes = setting, {lane.name: policy_of(lane) for lane in new.lanes}
        self._catalogue, self.config = catalogue, new
        self.mailer.use(postman)
        return changes

    async def try_mail(self) -> Trial:
        """A test mail to those who get the notices now."""
        return await try_mail(settings.mail_settings(self.config), self.clock.wall())

    def _lane(self, parts: LaneParts, alias: str, setting: Setting) -> Lane:
        lane = Lane(parts, alias, self.journal, setting, self.clock, self._rng, self._on_taken)
        lane.meter = self._metrics
        return lane

    def _wake_sends(self) -> None:
        self.dispatcher.wake.set()
        self._wake_enquirer()

    def _wake_enquirer(self) -> None:
        if self.enquirer is not None:
            self.enquirer.wake.set()

    def _on_taken(self, taken: Taken) -> None:
        self.dispatcher.wake.set()  # a repeat too may leave something to send: let in after a denial
        if taken.noticed:
            self.mailer.wake.set()

    def _after_crash(self, claimed: Claimed) -> tuple[Outcome, Settlement]:
        outcome = classify(NoAnswer("crash"))
        return outcome, self.dispatcher.decide(claimed, outcome, self.clock.schedule())

    def _close_window(self, episode: Episode, rows: Sequence[NoticeRow], totals: Totals) -> WindowPlan:
        now = self.clock.schedule()
        closed = close_window(episode, rows, now, totals)
        mail = None
        if closed.mail is not None:
            mail = window_mail(
                self.journal.journal_id, episode, closed.mail, closed.totals, now=now, catalogue=self._catalogue
            )
        elif closed.all_clear:
            currency = self.config.operator.currency
            mail = all_clear_mail(self.journal.journal_id, episode, now=now, currency=currency)
        return WindowPlan(mail, closed.next_episode)


@asynccontextmanager
async def assembled(config: Configuration, world: World | None = None) -> AsyncIterator[Daemon]:
    """A daemon with everything open but nothing running; closes it all. Raises TpsdError."""
    world = world or real_world()
    ports = [port_of(section) for section in config.lanes]
    contexts = tls_contexts(config)
    locked = [port for port in ports if isinstance(port, SerialPort)]
    try:
        for port in locked:
            port.lock()
        async with open_journal(config) as journal:
            client = TpsClient(
                str(config.sfey.base_url),
                contexts,
                monotonic=world.clock.monotonic,
                timeout_seconds=config.sfey.timeout_seconds,
                concurrency=config.retry.concurrency,
                profile=wire_profile(config),
            )
            afc = None
            try:
                afc = _afc_client(config, world)
                ask = None if afc is None else afc.ask
                names = frozenset(contexts)
                daemon = Daemon(config, world, journal, client, _postman(config), ports, names, ask, client.renew)
                try:
                    yield daemon
                finally:
                    daemon.fleet.release()
            finally:
                await client.close()
                if afc is not None:
                    await afc.close()
    finally:
        for port in locked:
            port.release()


def run(config: Configuration, read: Callable[[], Configuration] | None = None) -> int:
    """The daemon in the foreground until SIGTERM or SIGINT; the exit code. Raises TpsdError.

    ``read`` gives the configuration anew on SIGHUP.
    """
    harden()
    try:
        asyncio.run(_run(config, read))
    except TpsdError:
        raise
    except Exception:
        log.exception("stopped_by_a_surprise")  # through the log, which masks: an error's text may hold anything
        return 1
    return 0


@asynccontextmanager
async def open_journal(config: Configuration) -> AsyncIterator[SqliteJournal]:
    """The journal of this configuration, with its keys. Raises TpsdError."""
    private = config.mode == "production"
    kek = read_hex_key(config.keys.kek_file, KEY_BYTES, "the key-encryption key", private=private)
    identity = Identity(config.mode, urlsplit(str(config.sfey.base_url)).netloc, config.operator.company_id)
    keys = config.keys
    keep = Keep(keys.keep_failed_days * DAY, keys.keep_held_days * DAY, config.store.retention_days * DAY)
    secrets = Secrets(kek, KeyFolder(config.keys.epoch_dir))
    journal = await SqliteJournal.open(settings.store_path(config), identity, secrets, keep)
    try:
        yield journal
    finally:
        await journal.close()


@asynccontextmanager
async def open_journal_readonly(config: Configuration) -> AsyncIterator[JournalView]:
    """The journal of this configuration to look at, when no daemon runs. Raises JournalError."""
    view = JournalView(settings.store_path(config))
    try:
        yield view
    finally:
        view.close()


def tls_contexts(config: Configuration) -> dict[str, ssl.SSLContext | None]:
    """Every credential by its name. Raises ConfigError naming the file that is wrong."""
    if urlsplit(str(config.sfey.base_url)).scheme == "http":
        names = [COMMON_CREDENTIAL, *(lane.name for lane in config.lanes if lane.client_cert_file)]
        return dict.fromkeys(names)
    sfey = config.sfey
    contexts: dict[str, ssl.SSLContext | None] = {
        COMMON_CREDENTIAL: tls_context(sfey.ca_file, sfey.client_cert_file, sfey.client_key_file)
    }
    for lane in config.lanes:
        if lane.client_cert_file is not None:
            contexts[lane.name] = tls_context(sfey.ca_file, lane.client_cert_file, lane.client_key_file)
    return contexts


def _afc_client(config: Configuration, world: World) -> AfcClient | None:
    """The line for enquiries, where one is configured. Raises ConfigError."""
    sfey = config.sfey
    if sfey.afc_base_url is None:
        return None
    context = None
    if urlsplit(str(sfey.afc_base_url)).scheme == "https":
        context = tls_context(sfey.ca_file, sfey.client_cert_file, sfey.client_key_file)
    token = None
    if sfey.afc_token_file is not None:
        token = settings.read_token(sfey.afc_token_file, private=config.mode == "production")
    return AfcClient(
        str(sfey.afc_base_url),
        context,
        config.operator.company_id,
        token=token,
        monotonic=world.clock.monotonic,
        timeout_seconds=sfey.timeout_seconds,
        profile=wire_profile(config),
    )


def _deferred_places(config: Configuration) -> int:
    realtime = any(lane.timing != "deferred" for lane in config.lanes)
    return deferred_places(config.retry.concurrency, config.retry.realtime_share, realtime=realtime)


def _waiting(config: Configuration) -> Waiting:
    retry = config.retry
    hold_us = round(retry.hold_hours_max * HOUR) if retry.hold_while_offline else None
    return Waiting(hold_us, retry.spread_seconds * SECOND)


def admin_routes(daemon: Daemon) -> list[web.RouteDef]:
    """What the command line may have a running daemon do, topic by topic."""
    clock = daemon.clock
    return [
        *upkeep.routes(daemon.journal.upkeep, clock.schedule, clock.wall),
        *operations.routes(daemon.journal.operations, daemon.desk),
        *mailing.routes(daemon.try_mail),
        *watching.routes(daemon.observer.queue),
        *denylist.routes(daemon.journal.denylist, clock.wall),
    ]


async def _run(config: Configuration, read: Callable[[], Configuration] | None) -> None:
    async with assembled(config) as daemon, AsyncExitStack() as stack:
        daemon.reloading.read = read
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, daemon.stop)
        loop.add_signal_handler(signal.SIGHUP, daemon.reloading.ask)
        for server in _servers(config, daemon):
            await server.start()
            stack.push_async_callback(server.stop)
        await _unwrapped(daemon.run)


def _servers(config: Configuration, daemon: Daemon) -> list[AdminServer | HealthServer]:
    servers: list[AdminServer | HealthServer] = [
        AdminServer(config.admin.socket, daemon.journal, daemon.status, admin_routes(daemon))
    ]
    address = settings.listen_address(config)
    if address is not None:
        servers.append(HealthServer(address, daemon.observer.health, daemon.observer.page))
    return servers


def _postman(config: Configuration) -> SmtpMailer:
    return SmtpMailer(settings.mail_settings(config), _recipient_refused)


def _certified_anew(old: Configuration, new: Configuration) -> list[str]:
    """Lanes with a certificate of their own that they had not before."""
    before = {lane.name: (lane.client_cert_file, lane.client_key_file) for lane in old.lanes}
    return [
        lane.name
        for lane in new.lanes
        if lane.client_cert_file is not None and before.get(lane.name) != (lane.client_cert_file, lane.client_key_file)
    ]


def _recipient_refused(address: str, code: int) -> None:
    log.error("recipient_refused", address=address, smtp=code)  # the others have the mail; this one hears of nothing


async def _unwrapped(work: Callable[[], Awaitable[None]]) -> None:
    """Run it; where TaskGroups failed for reasons of ours alone, raise the first of these."""
    try:
        await work()
    except ExceptionGroup as group:
        reason = _reason(group)
        if reason is None:
            raise
        raise reason from None


def _reason(group: ExceptionGroup[Exception]) -> TpsdError | None:
    """The first error for people, however deep; None where there is a surprise beside it."""
    first: TpsdError | None = None
    for error in group.exceptions:
        found = _reason(error) if isinstance(error, ExceptionGroup) else error
        if not isinstance(found, TpsdError):
            return None
        first = first or found
    return first
