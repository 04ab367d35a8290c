"""The composition root: the only place that names concrete parts, wires them, starts and stops them."""

from __future__ import annotations

import asyncio
import random
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

import structlog

from schemas.config import Configuration
from schemas.config import Lane as LaneSection
from tpsd import config as settings
from tpsd.admin.server import AdminServer
from tpsd.clock import SystemClock
from tpsd.config.keys import read_hex_key, read_ttk
from tpsd.core.intake import CardKeys, LanePolicy, Operator, Setting
from tpsd.core.notices import Totals, close_window
from tpsd.core.outcomes import classify
from tpsd.core.settlement import Settlement
from tpsd.core.texts import Catalogue
from tpsd.core.texts import load as load_texts
from tpsd.domain.authorisation import Claimed
from tpsd.domain.notice import Episode, NoticeRow
from tpsd.domain.outcome import NoAnswer, Outcome
from tpsd.domain.tap import Kind
from tpsd.domain.time import DAY, SECOND, iso_millis
from tpsd.errors import ConfigError, TpsdError
from tpsd.hardening import harden
from tpsd.link.network import NetworkPort
from tpsd.link.reconnect import Backoff
from tpsd.link.serial import SerialPort
from tpsd.link.vl1 import Vl1Device
from tpsd.mail.render import all_clear_mail, window_mail
from tpsd.mail.smtp import SmtpMailer
from tpsd.ports import Clock, Journal, Port, Postman, Taken, Tps, WindowPlan
from tpsd.sfey.client import TpsClient
from tpsd.sfey.messages import transaction
from tpsd.sfey.tls import tls_context
from tpsd.sfey.wire import DEVICE_V1, Profile, override
from tpsd.store.epochs import KeyFolder
from tpsd.store.housekeeping import Keep
from tpsd.store.seal import KEY_BYTES
from tpsd.store.sqlite import Identity, Secrets, SqliteJournal
from tpsd.store.viewing import JournalView
from tpsd.workers.dispatcher import Dispatcher, Pace
from tpsd.workers.mailer import Mailer
from tpsd.workers.reader import Lane, LaneParts
from tpsd.workers.warden import Warden

COMMON_CREDENTIAL = "common"  # [sfey]'s own certificate; a lane's is called by the lane's name
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
    ) -> None:
        self.config = config
        self.journal = journal
        self.clock = world.clock
        self._credentials = credentials
        self._catalogue = load_texts(config.operator.language)
        pace = Pace(config.retry.concurrency, config.retry.jitter)
        self.mailer = Mailer(journal, postman, world.clock, self._close_window)
        self.dispatcher = Dispatcher(journal, tps, world.clock, world.rng, pace, self.mailer.wake.set)
        self.warden = Warden(journal, world.clock)
        setting = _setting(config, journal)
        self.lanes = [
            Lane(
                _lane_parts(section, port, config, world.rng),
                section.alias or section.name,
                journal,
                setting,
                world.clock,
                world.rng,
                self._on_taken,
            )
            for section, port in zip(config.lanes, ports, strict=True)
        ]
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Recover what a crash left, then work until ``stop``; returns when everything in flight is settled."""
        done = await self.journal.recover(self.clock.schedule(), self._credentials, self._after_crash)
        log.info("recovered", **done)
        async with asyncio.TaskGroup() as loops:
            lanes = [loops.create_task(lane.run(), name=f"lane {lane.state.name}") for lane in self.lanes]
            sends = loops.create_task(self.dispatcher.run(), name="dispatcher")
            loops.create_task(self.mailer.run(), name="mailer")
            loops.create_task(self.warden.run(), name="warden")
            log.info("ready", lanes=len(lanes))
            await self._stopping.wait()
            # Stop reading, then claiming, then let the sends in flight finish (design 10).
            for lane in lanes:
                lane.cancel()
            self.dispatcher.stop()
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
        totals = await self.journal.totals()
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
        }

    def _on_taken(self, taken: Taken) -> None:
        if taken.new:
            self.dispatcher.wake.set()
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
    ports = [_port(section) for section in config.lanes]
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
            try:
                postman = SmtpMailer(settings.mail_settings(config), _recipient_refused)
                yield Daemon(config, world, journal, client, postman, ports, frozenset(contexts))
            finally:
                await client.close()
    finally:
        for port in locked:
            port.release()


def run(config: Configuration) -> int:
    """The daemon in the foreground until SIGTERM or SIGINT; the exit code."""
    harden()
    asyncio.run(_run(config))
    return 0


@asynccontextmanager
async def open_journal(config: Configuration) -> AsyncIterator[SqliteJournal]:
    """The journal of this configuration, with its keys. Raises TpsdError."""
    private = config.mode == "production"
    kek = read_hex_key(config.keys.kek_file, KEY_BYTES, "the key-encryption key", private=private)
    identity = Identity(config.mode, urlsplit(str(config.sfey.base_url)).netloc, config.operator.company_id)
    keep = Keep(config.keys.keep_failed_days * DAY, config.keys.keep_held_days * DAY)
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


def wire_profile(config: Configuration) -> Profile:
    """The wire profile with the configuration's overrides. Raises ConfigError."""
    return override(DEVICE_V1, config.sfey.wire)


def _setting(config: Configuration, journal: Journal) -> Setting:
    private = config.mode == "production"
    keys = config.keys
    salt = None
    if keys.token_key_file is not None:
        salt = read_hex_key(keys.token_key_file, KEY_BYTES, "the token key (SALT)", private=private)
    ttk = None if keys.ttk_file is None else read_ttk(keys.ttk_file, private=private)
    profile = wire_profile(config)
    operator = config.operator
    return Setting(
        operator=Operator(operator.company_id, operator.stock_location_id, operator.currency),
        keys=CardKeys(salt, ttk),
        ladder=settings.ladder(config),
        production=private,
        config_digest=settings.config_digest(config),
        serialise=lambda request: transaction(profile, request),
        digest=journal.digest,
    )


def _port(section: LaneSection) -> Port:
    if section.port.startswith("socket://"):
        parts = urlsplit(section.port)
        if parts.hostname is None or parts.port is None:
            raise ConfigError(f"lane {section.name}: {section.port} needs a host and a port, socket://host:port")
        return NetworkPort(section.port, parts.hostname, parts.port)
    return SerialPort(section.port, section.baud)


def _lane_parts(section: LaneSection, port: Port, config: Configuration, rng: random.Random) -> LaneParts:
    kind = Kind(section.kind)
    language = section.language or config.operator.language
    catalogue: Catalogue = load_texts(language)
    policy = LanePolicy(
        name=section.name,
        kinds=frozenset({kind}),
        kind=kind,
        fare=section.fare,
        amount_limit=section.amount_limit,
        zero_allowed=section.zero_allowed,
        credential=section.name if section.client_cert_file is not None else COMMON_CREDENTIAL,
        terminal_sn=section.terminal_sn,
        terminal_type=section.terminal_type,
    )
    device = Vl1Device(rng=rng, baud=section.baud, language=language, idle_text=section.alias or section.name)
    backoff = Backoff(rng)
    return LaneParts(port, device, policy, catalogue, backoff.pause, backoff.reset)


async def _run(config: Configuration) -> None:
    async with assembled(config) as daemon:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, daemon.stop)
        admin = AdminServer(config.admin.socket, daemon.journal, daemon.status)
        await admin.start()
        try:
            await _unwrapped(daemon.run)
        finally:
            await admin.stop()


def _recipient_refused(address: str, code: int) -> None:
    log.error("recipient_refused", address=address, smtp=code)  # the others have the mail; this one hears of nothing


async def _unwrapped(work: Callable[[], Awaitable[None]]) -> None:
    """Run it; where a TaskGroup failed for one reason of ours, raise that reason."""
    try:
        await work()
    except* TpsdError as group:
        raise group.exceptions[0] from None
