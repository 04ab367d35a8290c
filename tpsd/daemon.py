"""The daemon: its journal with the loops over it, who wakes whom, and how they start, change and stop.

It makes loops and knows no adapter: those are handed in by ``tpsd.app``.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from urllib.parse import urlsplit
from uuid import UUID

import structlog

from schemas.config import Configuration
from tpsd import __version__, draws, pacing
from tpsd import config as settings
from tpsd.admin.metrics import Metrics
from tpsd.asking import Answered
from tpsd.config.changes import Changes
from tpsd.core.answering import Ending, Policy, Waiting, cut_off
from tpsd.core.answering import settle as settle_asked
from tpsd.core.candidate import CardKeys, Setting
from tpsd.core.feed import NOBODY
from tpsd.core.key_choice import UseFed
from tpsd.core.notices import Totals, cause_key, close_window
from tpsd.core.outcomes import classify
from tpsd.core.settlement import Settlement
from tpsd.core.texts import load as load_texts
from tpsd.credentials import (
    certified_anew,
    context_of,
    files_of,
    speaks_tls,
    terminals_of,
    tls_contexts,
    whom,
)
from tpsd.domain.authorisation import Claimed
from tpsd.domain.device_key import DeviceKey
from tpsd.domain.feed import Heard, Parameters, RawHeard
from tpsd.domain.identity import Identity
from tpsd.domain.notice import Episode, NoticeDraft, NoticeKind, NoticeRow
from tpsd.domain.outcome import Exchange, NoAnswer, NoConnection, Outcome
from tpsd.domain.time import HOUR, SECOND, iso_millis
from tpsd.doubts import Ask
from tpsd.errors import ConfigError, JournalUnavailableError
from tpsd.hints import Hint, Hints
from tpsd.identities import Registration
from tpsd.lanes import Lanes, MakeDevice, PortOf, in_force, policy_of, port_of, setting_anew, setting_of
from tpsd.leases import Endings, Hold, Leases
from tpsd.mail.render import all_clear_mail, window_mail
from tpsd.mail.trial import Trial, try_mail
from tpsd.observer import MeteredTps, Observer
from tpsd.ports import Port, Postman, Taken, Timepiece, Tps, WindowPlan
from tpsd.preflight import AskTerminal, Preflight
from tpsd.reloading import Reloading
from tpsd.renewal import Renewal
from tpsd.sfey.updates import Terminal
from tpsd.store.journal import SqlJournal
from tpsd.store.spooled import SpooledJournal
from tpsd.store.wounds import WOUNDS
from tpsd.uuids import Drawn, Uuids
from tpsd.witness import UNWITNESSED, Witness
from tpsd.workers.attendant import Attendant
from tpsd.workers.authoriser import Authoriser, terms_of
from tpsd.workers.bodies import BodyMaker
from tpsd.workers.cashier import Cashier
from tpsd.workers.courier import Courier, Filed
from tpsd.workers.desk import Desk
from tpsd.workers.dispatcher import Dispatcher
from tpsd.workers.doorkeeper import Doorkeeper
from tpsd.workers.drainer import Drainer
from tpsd.workers.enquirer import Enquirer, Heed, conclude_crashed
from tpsd.workers.examiner import Examiner
from tpsd.workers.feed import Feed, Pace
from tpsd.workers.inspector import Inspector
from tpsd.workers.leaseholder import Leaseholder
from tpsd.workers.list_follower import ListFollower
from tpsd.workers.listener import Listener
from tpsd.workers.mailer import Mailer
from tpsd.workers.parameters import ParameterFeed, Stream
from tpsd.workers.reader import Asking, Lane, LaneParts
from tpsd.workers.registrar import Registrar
from tpsd.workers.roll import Roll
from tpsd.workers.timekeeper import Timekeeper
from tpsd.workers.uplink import Uplink, WatchedTps
from tpsd.workers.warden import Warden

STOP_SECONDS_BEYOND_SEND = 5.0  # the last settlements, mails and the last checkpoint after the last send ended

log = structlog.get_logger("tpsd")


@dataclass(frozen=True, slots=True)
class World:
    """What a daemon is given from outside: clocks and chance. The demo and tests hand in others.

    ``witness`` hears of everything; ``uuids`` names transactions and ``draws`` spreads them where chance is not to;
    ``device`` makes what speaks with a lane's validator where it is none that the configuration names.
    """

    clock: Timepiece
    rng: random.Random
    witness: Witness = UNWITNESSED
    uuids: Uuids | None = None
    draws: draws.Draws | None = None
    device: MakeDevice | None = None


@dataclass(frozen=True, slots=True)
class Ends:
    """Whom it speaks to. ``postman`` is made anew of a configuration that is reloaded; ``credentials`` by name.

    ``enquire`` asks what became of a transaction, ``updates`` for the deny list's next page, ``parameters`` for that of
    another record type, where that is configured; ``renew`` takes a credential's new certificate. ``ask_terminal`` asks
    TPS about a terminal; with it lanes pass a preflight before they open. ``registration`` asks for terminals'
    identities, ``ask_keys`` for a terminal's device keys, where the feed is on. ``port_of`` makes the port of a
    lane that a reload brings. ``hold``: how long the work is this daemon's own, in a journal that several share.
    """

    tps: Tps
    postman: Callable[[Configuration], Postman]
    ports: Sequence[Port]
    credentials: frozenset[str]
    enquire: Ask | None = None
    renew: Callable[[str, ssl.SSLContext | None], Awaitable[None]] | None = None
    updates: Callable[[Terminal, str | None], Awaitable[Heard]] | None = None
    ask_terminal: AskTerminal | None = None
    registration: Registration | None = None
    ask_keys: Callable[[Terminal], Awaitable[list[DeviceKey] | str]] | None = None
    parameters: Callable[[Terminal, Parameters, str | None], Awaitable[RawHeard]] | None = None
    port_of: PortOf = port_of
    hold: Hold | None = None


class Daemon:
    """A journal with its loops. Made by ``tpsd.app.assembled``; ``run`` until ``stop``."""

    def __init__(
        self,
        config: Configuration,
        world: World,
        journal: SqlJournal,
        ends: Ends,
    ) -> None:
        self.config = config
        self.journal = journal
        self.clock = world.clock
        self._ends = ends
        self._credentials = ends.credentials
        self._catalogue = load_texts(config.operator.language)
        self.mailer = Mailer(journal, ends.postman(config), world.clock, self._close_window)
        self.uplink = Uplink(
            urlsplit(str(config.sfey.base_url)).netloc,
            sorted(ends.credentials),
            ends.tps,
            journal.outages,
            world.clock,
            world.rng,
            pacing.waiting(config),
            on_change=self._wake_sends,
            on_notice=self.mailer.wake.set,
        )
        doubt = settings.doubt(config)
        self.enquirer: Enquirer | None = None
        if ends.enquire is not None:
            heed = Heed(noticed=self.mailer.wake.set, released=self._wake_sends, may_ask=self._may_ask)
            self.enquirer = Enquirer(journal.doubts, self._enquire, world.clock, doubt, heed)
        metrics = Metrics(__version__, config.mode)
        self._line = WatchedTps(MeteredTps(ends.tps, metrics, world.clock), self.uplink)
        self.desk = Desk(
            journal.operations,
            world.clock,
            world.rng,
            doubt,
            ends.credentials,
            config.retry.spread_seconds * SECOND,
            on_release=self._wake_sends,
            on_notice=self.mailer.wake.set,
        )
        self.dispatcher = Dispatcher(
            journal,
            self._line,
            world.clock,
            world.rng,
            pacing.pace(config),
            self.uplink,
            doubt,
            on_notice=self.mailer.wake.set,
            on_doubt=self._wake_enquirer,
            on_judged=self.desk.free,
        )
        self.warden = Warden(journal, world.clock, self.mailer.wake.set)
        setting, tell = setting_of(config, journal), self.mailer.wake.set
        self._policy = Policy(doubt, gives_back=setting.gives_back)
        self.authoriser = Authoriser(
            journal,
            self._line,
            world.clock,
            world.rng,
            setting,
            config.sfey.timeout_seconds,
            on_notice=tell,
            on_doubt=self._wake_enquirer,
            on_follower=self._wake_sends,
            ask_first=None if self.enquirer is None else self.enquirer.first,
        )
        if self.enquirer is not None:
            self.enquirer.follow, self.enquirer.gives_back = self.authoriser.follow, setting.gives_back
        self.cashier = Cashier(journal.asked, self.authoriser, world.clock, self._policy, self._check_out_limit)
        self.attendant = Attendant(
            journal.asked,
            world.clock,
            round(config.realtime.journey_hours * HOUR),
            enquires=doubt.enquires,
            on_notice=tell,
            on_doubt=self._wake_enquirer,
        )
        self.bodies = BodyMaker(journal.bodies, world.clock, setting, on_given=self._wake_sends, on_notice=tell)
        self.dispatcher.may_claim = self._may_claim
        self.timekeeper = Timekeeper(world.clock, sorted(ends.credentials), self._ask_time, self._time_is_known)
        self._rng = world.rng
        self.doorkeeper = Doorkeeper(journal.lanes, lambda: self.lanes, world.clock)
        self._let_hear(world)
        self._metrics = self.dispatcher.meter = self.authoriser.meter = metrics
        self.roll = Roll(journal.lanes, lambda: [lane.state for lane in self.lanes], world.clock, tell)
        self.courier = self._courier(config, setting.keys)
        self.registrar = None if ends.registration is None else self._registrar(ends.registration)
        self.inspector = None if ends.ask_terminal is None else self._inspector(ends.ask_terminal)
        self.fleet = Lanes(config, ends.ports, ends.port_of, setting, self._lane, world.rng, world.device)
        self.lanes = self.fleet.running
        self.observer = Observer(
            journal,
            world.clock,
            metrics,
            lanes=lambda: [lane.state for lane in self.lanes],
            uplinks=lambda: [self.uplink.status()],
            in_flight=lambda: self.dispatcher.in_flight + self.authoriser.in_flight,
        )
        self.feed = None if ends.updates is None else self._feed(world)
        self.drainer, self.lists = self._spooling(journal)
        self._let_observe()
        self.reloading = Reloading(self.adopt, world.clock)
        self.renewal = Renewal(lambda: files_of(self.config), self._put_certificate, self._alarm_of_certificate)
        self.desk.setting = setting
        self.desk.lanes = {lane.name: policy_of(lane) for lane in config.lanes}
        self.leaseholder, self.listener = self._among_others(journal, ends.hold)
        self._stopping = asyncio.Event()
        self.on_ready: Callable[[], None] = lambda: None
        self.on_adopted: Callable[[], None] = lambda: None  # another configuration is in force

    async def run(self) -> None:
        """Recover what a crash left, then work until ``stop``; returns when everything in flight is settled."""
        self._hear_connection()
        await self._recover()
        async with asyncio.TaskGroup() as loops:
            self.fleet.start(loops)
            inspector = None if self.inspector is None else loops.create_task(self.inspector.run(), name="inspector")
            reloading = loops.create_task(self.reloading.run(), name="reloading")
            renewal = loops.create_task(self.renewal.run(), name="renewal") if speaks_tls(self.config) else None
            bodies = loops.create_task(self.bodies.run(), name="bodies")
            timekeeper = loops.create_task(self.timekeeper.run(), name="timekeeper")
            examiner = loops.create_task(Examiner(self.journal.upkeep).run(), name="examiner")
            uplink = loops.create_task(self.uplink.run(), name="uplink")
            sends = loops.create_task(self.dispatcher.run(), name="dispatcher")
            if self.enquirer is not None:
                loops.create_task(self.enquirer.run(), name="enquirer")
            loops.create_task(self.mailer.run(), name="mailer")
            loops.create_task(self.warden.run(), name="warden")
            roll = loops.create_task(self.roll.run(), name="roll")
            attendant = loops.create_task(self.attendant.run(), name="attendant")
            feed = None if self.feed is None else loops.create_task(self.feed.run(), name="feed")
            courier = loops.create_task(self.courier.run(), name="courier")
            drainer = None if self.drainer is None else loops.create_task(self.drainer.run(), name="drainer")
            lists = None if self.lists is None else loops.create_task(self.lists.run(), name="list follower")
            listener = None if self.listener is None else loops.create_task(self.listener.run(), name="listener")
            holder = self.leaseholder
            holding = None if holder is None else loops.create_task(holder.run(), name="leaseholder")
            log.info("ready", lanes=len(self.lanes))
            self.on_ready()
            await self._stopping.wait()
            # Stop reading, then claiming, then let the sends in flight finish (design 10).
            for loop in (
                reloading,
                renewal,
                uplink,
                examiner,
                bodies,
                timekeeper,
                roll,
                attendant,
                feed,
                inspector,
                courier,
                drainer,
                lists,
                listener,
            ):
                if loop is not None:
                    loop.cancel()
            self.fleet.stop()
            self.dispatcher.stop()
            if self.enquirer is not None:
                self.enquirer.stop()
            await asyncio.wait((sends,), timeout=2 * self.config.sfey.timeout_seconds + STOP_SECONDS_BEYOND_SEND)
            is_cut = not sends.done()
            if is_cut:
                log.error("sends_cut", in_flight=self.dispatcher.in_flight)  # they end as unknown at the next start
                sends.cancel()
            is_cut = not await self.authoriser.drain(self._patience() + STOP_SECONDS_BEYOND_SEND) or is_cut
            self.mailer.stop()
            self.warden.stop()
            if holding is not None:
                holding.cancel()
        has_all = self.drainer is None or await self.drainer.finish(STOP_SECONDS_BEYOND_SEND)
        # What was cut may still come to its end at TPS, and of what waits here others know less: that takes a lease.
        if holder is not None and not is_cut and has_all:
            await holder.leave()
        log.info("stopped")

    async def _recover(self) -> None:
        floor = settings.clock_floor(self.config)
        log.info("ages_mended", rows=await self.journal.bodies.begin(self.clock.schedule(), floor))
        await self._end_open()
        self._let_hear_of_crashes()
        if self.leaseholder is not None:
            await self.leaseholder.begin()
        await self._remember()
        await self._recover_doubts()

    async def _end_open(self) -> None:
        """End what is open in the journal and is nobody's."""
        now, under_way = self.clock.schedule(), self.authoriser.under_way
        done = await self.journal.recover(now, self._credentials, self._after_crash, self._after_crash_asked, under_way)
        log.info("recovered", **done)
        if mended := {name: count for name, count in done.items() if name in WOUNDS}:
            log.error("wounds_mended", **mended)

    async def _recover_doubts(self) -> None:
        now = self.clock.schedule()
        asked = await self.journal.doubts.begin(now, self.enquirer is not None, partial(conclude_crashed, now=now))
        log.info("doubts_recovered", **asked)

    async def _recover_after_loss(self) -> None:
        """Commits that nobody heard of may have claimed rows or begun enquiries."""
        await self._end_open()
        await self._recover_doubts()

    def _spooling(self, journal: SqlJournal) -> tuple[Drainer | None, ListFollower | None]:
        if not isinstance(journal, SpooledJournal):
            return None, None
        drainer = Drainer(journal, self.clock, self._is_quiet, self._recover_after_loss, self._wake_everybody)
        journal.on_wait = drainer.wake.set
        return drainer, ListFollower(journal, self.clock)

    def _hear_connection(self) -> None:
        """From the writer's thread; not before there is a loop."""
        if self.drainer is not None and isinstance(self.journal, SpooledJournal):
            loop, wake = asyncio.get_running_loop(), self.drainer.wake.set
            self.journal.on_connection(lambda: loop.call_soon_threadsafe(wake))

    def _is_quiet(self) -> bool:
        """Realtime taps go on, and what is under way of them is spared; there may always be some."""
        enquiring = self.enquirer is not None and self.enquirer.busy
        sending = self.dispatcher.claiming or self.dispatcher.in_flight or self.authoriser.enquiring
        return not (sending or enquiring)

    def _wake_everybody(self) -> None:
        self._wake_sends()
        self.mailer.wake.set()

    async def _remember(self) -> None:
        """What earlier lives knew, before a lane opens and a tap asks."""
        await self.doorkeeper.begin()
        await self.courier.begin()
        if self.registrar is not None:
            await self.registrar.load()
        if self.feed is not None:
            await self.feed.begin()
        await self.uplink.load()

    def stop(self) -> None:
        """Begin an orderly end."""
        self._stopping.set()

    async def status(self) -> dict[str, object]:
        """The daemon on one screen, as plain values."""
        now = self.clock.schedule()
        try:
            journal = asdict(await self.observer.totals())
            oldest, due = journal.pop("oldest_pending"), journal.pop("next_due")
            journal["oldest_pending_seconds"] = None if oldest is None else (now - oldest) / SECOND
            journal["next_due_seconds"] = None if due is None else (due - now) / SECOND
        except JournalUnavailableError as exc:
            journal = {"trouble": str(exc)}
        return {
            "journal": journal,
            "lanes": [asdict(lane.state) for lane in self.lanes],
            "clock": iso_millis(self.clock.wall()),
            "mode": self.config.mode,
            "in_flight": self.dispatcher.in_flight,
            "uplink": self.uplink.status(),
            "config_digest": self.fleet.setting.config_digest,
            "reload": None if self.reloading.last is None else asdict(self.reloading.last),
            **await self.observer.report(),
        }

    def _check_out_limit(self) -> int:
        return settings.check_out_limit(self.config)

    async def adopt(self, new: Configuration) -> Changes:
        """Put a checked configuration in force from now on. Raises TpsdError, and then nothing was changed."""
        changes = settings.changes(self.config, new)
        if changes.refused:
            raise ConfigError(f"needs a restart: {'; '.join(changes.refused)}; put it back, or restart tpsd")
        catalogue, postman = load_texts(new.operator.language), self._ends.postman(new)
        made = tls_contexts(new, self.clock.judging)
        changed = {*certified_anew(self.config, new), *self.renewal.changed(files_of(new))}
        contexts = {name: made[name] for name in sorted(changed)}
        ports = self.fleet.claim(new, changes.lanes)
        for name, context in contexts.items():
            if self._ends.renew is not None:
                await self._ends.renew(name, context)
        self.renewal.settled(files_of(new))
        self._credentials |= contexts.keys()
        self.desk.credentials = self._credentials
        setting = setting_anew(self.fleet.setting, new)
        await self.fleet.change(new, changes.lanes, ports, setting)
        self.desk.setting, self.desk.lanes = setting, {lane.name: policy_of(lane) for lane in new.lanes}
        self.bodies.setting = self.authoriser.setting = setting
        self._catalogue, self.config = catalogue, new
        self.on_adopted()
        self._show()
        self.mailer.use(postman)
        self._inspect()
        self._wake_sends()  # a lane that left may have kept a tap and told nobody
        self.mailer.wake.set()
        return changes

    async def _put_certificate(self, name: str) -> None:
        context = await asyncio.to_thread(context_of, self.config, name, self.clock.judging)
        if self._ends.renew is not None:
            await self._ends.renew(name, context)
        self._show()
        self._inspect()

    def _show(self) -> None:
        """Who shows TPS the same certificate may go on with what another leaves; the files are those in force."""
        if self.leaseholder is not None:
            self.leaseholder.show(whom(self.config))

    async def _alarm_of_certificate(self, name: str, why: str) -> None:
        cause = cause_key(NoticeKind.ALARM, "certificate", name)
        words = f"the certificate of {name} was changed and is refused, the old one stays in force: {why}"
        await self.journal.tell(NoticeDraft(NoticeKind.ALARM, cause, words), self.clock.schedule())
        self.mailer.wake.set()

    async def try_mail(self) -> Trial:
        """A test mail to those who get the notices now."""
        return await try_mail(settings.mail_settings(self.config), self.clock.wall())

    def _lane(self, parts: LaneParts, alias: str, setting: Setting) -> Lane:
        lane = Lane(parts, alias, self.journal, setting, self.clock, self._rng, self._on_taken, self._ask)
        lane.meter, lane.on_up, lane.witness = self._metrics, partial(self._on_up, lane), self._witness
        lane.uuids = self._uuids
        lane.list_is_stale = lambda: self.feed is not None and self.feed.is_stale()
        self.doorkeeper.greet(lane)
        if self.registrar is not None:
            self.registrar.greet(lane)
        if self.inspector is not None:
            self.inspector.greet(lane)
        return lane

    def _let_observe(self) -> None:
        self.observer.time = lambda: (self.clock.trusted, self.clock.offset_us / SECOND)
        self.observer.feed = lambda: None if self.feed is None else self.feed.facts()
        self.observer.preflight = lambda: [] if self.inspector is None else self.inspector.warnings()

    def _let_hear(self, world: World) -> None:
        self._uuids = self.authoriser.uuids = self.desk.uuids = world.uuids or Drawn(world.rng)
        self.dispatcher.draws = self.desk.draws = world.draws or draws.Drawn(world.rng)
        self.desk.witness = self.doorkeeper.witness = world.witness
        self._crashed: list[tuple[Claimed, Outcome, Settlement, float | None]] = []  # what a start found open
        self._witness = self.dispatcher.witness = self.authoriser.witness = world.witness
        self.uplink.witness = self.mailer.witness = self.cashier.witness = self.attendant.witness = world.witness

    def _ask(self, asking: Asking) -> None:
        """A realtime tap's request goes now; its lane tells what came of it."""
        taken, lane = asking.taken, asking.policy
        if taken.asked is None:
            return
        terms = terms_of(
            self._policy,
            partial_accepted=lane.partial_accepted,
            can_take_pin=asking.can_take_pin,
            patience=lane.verdict_us / SECOND,
            send_away=None if self.drainer is None else asking.send_away,
        )
        task = self.authoriser.begin(taken.asked, terms, taken.asks_first)
        task.add_done_callback(partial(self._tell, asking.tell))

    def _tell(self, tell: Callable[[Answered], None], task: asyncio.Task[Answered | None]) -> None:
        if task.cancelled():
            return
        answered = task.result()
        if answered is not None:
            tell(answered)
            self.attendant.answered()

    def _patience(self) -> float:
        """The longest that anybody may still wait for an answer, in seconds."""
        lanes = (lane.verdict_seconds for lane in self.config.lanes if settings.is_realtime(lane))
        return max((*lanes, self.config.sfey.timeout_seconds))

    def _feed(self, world: World) -> Feed:
        clock, told = world.clock, self.mailer.wake.set
        pace = Pace(settings.poll_us(self.config), settings.max_age_us(self.config))
        feed = Feed(self.journal.feed, self._ask_for_updates, clock, world.rng, pace, self.journal.tell, told)
        if self._ends.parameters is not None:
            feed.beside = ParameterFeed(self.journal.parameters, self._ask_for_parameters, clock, self._streams).look
        return feed

    def _among_others(self, journal: SqlJournal, hold: Hold | None) -> tuple[Leaseholder | None, Listener | None]:
        """Of a journal that several daemons share."""
        if journal.leases is None or hold is None:
            return None, None
        leaseholder = self._leaseholder(journal.leases, hold)
        return leaseholder, None if journal.hints is None else self._listener(journal.hints, leaseholder)

    def _leaseholder(self, leases: Leases, hold: Hold) -> Leaseholder:
        """What only one of all does waits until this daemon presides."""
        self.attendant.may_attend = lambda: leases.presides
        if self.feed is not None:
            self.feed.may_ask = lambda: leases.presides
        enquire = None if self.enquirer is None else lambda one: conclude_crashed(one, now=self.clock.schedule())
        endings = Endings(self._after_crash, self._after_crash_asked, self._after_crash_alone, enquire)
        leaseholder = Leaseholder(leases, hold, self.clock, endings, self._look_around)
        leaseholder.show(whom(self.config))
        self.observer.fleet = leaseholder.facts
        return leaseholder

    def _listener(self, hints: Hints, leaseholder: Leaseholder) -> Listener:
        wake = {
            Hint.WORK: leaseholder.wake.set,
            Hint.ROWS: self._wake_sends,
            Hint.LIST: (lambda: None) if self.lists is None else self.lists.wake.set,
            Hint.MAIL: self.mailer.wake.set,
        }
        return Listener(hints, wake, self.clock)

    def _may_claim(self) -> bool:
        hold = self._ends.hold
        return self.bodies.ready and (hold is None or hold.lasts()) and self.journal.may_claim

    def _let_hear_of_crashes(self) -> None:
        """What a start found open, or another daemon left so."""
        for ended in self._crashed:
            self._witness.settled(*ended)
        self._crashed.clear()

    def _look_around(self) -> None:
        """Other daemons may have left something to do, and wake nobody here."""
        self._let_hear_of_crashes()
        self._wake_everybody()
        self.attendant.wake.set()

    def _registrar(self, wire: Registration) -> Registrar:
        company = self.config.operator.company_id
        return Registrar(self.journal.identities, wire, lambda: self.lanes, self.clock, company, self.courier.receive)

    def _courier(self, config: Configuration, cards: CardKeys) -> Courier:
        use = UseFed(config.keys.use_fed)
        filed = Filed(cards, settings.exchange_key(config), in_force(cards), use)
        fetch = None if self._ends.ask_keys is None else self._fetch_keys
        keys = self.journal.device_keys
        courier = Courier(keys, filed, self.clock, fetch, self._take_keys, self.mailer.wake.set)
        self.dispatcher.on_answered = self.authoriser.on_answered = courier.answered
        return courier

    def _inspector(self, ask: AskTerminal) -> Inspector:
        looks = Preflight(lambda: self.config, ask, self.clock, self._identity)
        return Inspector(looks, lambda: self.lanes, self.clock, self.journal.tell, self.mailer.wake.set)

    def _identity(self, lane: str) -> Identity | None:
        return None if self.registrar is None else self.registrar.known.get(lane)

    def _inspect(self) -> None:
        if self.inspector is not None:
            self.inspector.look()

    def _on_up(self, lane: Lane) -> None:
        if self.inspector is not None:
            self.inspector.terminal_is_known(lane)
        self.roll.wake.set()
        self.courier.terminal_is_known()
        if self.feed is not None:
            self.feed.terminal_is_known()

    async def _ask_for_updates(self, token: str | None, turn: int) -> Heard:
        terminals = terminals_of(self.config, {lane.state.name: lane.state.terminal for lane in self.lanes})
        if not terminals or self._ends.updates is None:
            return NOBODY
        return await self._ends.updates(terminals[turn % len(terminals)], token)

    def _take_keys(self, keys: CardKeys) -> None:
        """From the next tap on these are used."""
        before = self.fleet.setting
        if before.keys != keys:
            setting = replace(before, keys=keys)
            self.fleet.honour(setting)
            self.desk.setting = self.bodies.setting = self.authoriser.setting = setting

    async def _fetch_keys(self) -> dict[str, list[DeviceKey] | str]:
        ask = self._ends.ask_keys
        if ask is None:
            return {}
        return {name: await ask(terminal) for name, terminal in self._terminals(every=True).items()}

    def _streams(self) -> list[Stream]:
        """The company's lists once, through the terminal that asks for the deny list; of the others each its own."""
        own = [(kind, terminal) for terminal in self._terminals(every=True) for kind in Parameters if kind.of_terminals]
        return [*((kind, "") for kind in Parameters if not kind.of_terminals), *own]

    def _terminals(self, *, every: bool) -> dict[str, Terminal]:
        known = {lane.state.name: lane.state.terminal for lane in self.lanes}
        return {f"{one.type_name}:{one.serial}": one for one in terminals_of(self.config, known, every=every)}

    async def _ask_for_parameters(self, stream: Stream, token: str | None) -> RawHeard:
        kind, name = stream
        terminals = self._terminals(every=kind.of_terminals)
        terminal = terminals.get(name) if name else next(iter(terminals.values()), None)
        if terminal is None or self._ends.parameters is None:
            return NOBODY
        return await self._ends.parameters(terminal, kind, token)

    def _wake_sends(self) -> None:
        self.bodies.wake.set()  # what was released may wait for its body
        self.dispatcher.wake.set()
        self._wake_enquirer()

    def _may_ask(self) -> bool:
        return self.bodies.ready and self.uplink.is_up() and self.journal.may_claim

    async def _enquire(self, uuid: UUID) -> Exchange:
        if self._ends.enquire is None:
            return NoConnection("connect")
        began = self.clock.monotonic()
        exchange = await self._ends.enquire(uuid)
        self._witness.enquired(uuid, exchange, self.clock.monotonic() - began)
        return exchange

    async def _ask_time(self, credential: str) -> None:
        """The clock hears the answer by itself; the uplink hears here that the host was there or was not."""
        era = self.uplink.era
        self.uplink.heard(await self._line.knock(credential), credential, era)

    def _time_is_known(self) -> None:
        self.bodies.wake.set()
        self.attendant.wake.set()
        self._inspect()
        if self.feed is not None:
            self.feed.look()  # before that no certificate could be judged
        for lane in self.lanes:
            lane.time_is_known()

    def _wake_enquirer(self) -> None:
        if self.enquirer is not None:
            self.enquirer.wake.set()

    def _on_taken(self, taken: Taken) -> None:
        if taken.untimed:
            self.bodies.wake.set()
        if taken.asked is None or taken.follows:  # a repeat too may leave something to send: let in after a denial
            self.dispatcher.wake.set()
        if taken.noticed:
            self.mailer.wake.set()

    def _after_crash(self, claimed: Claimed) -> tuple[Outcome, Settlement]:
        outcome = classify(NoAnswer("crash"))
        if not self.clock.trusted:  # attempts are stamped in true time, which this life cannot compare with its own
            claimed = replace(claimed, started_at=self.clock.schedule())
        jitter = self.dispatcher.draws.of_attempt(claimed.uuid)
        settlement = self.dispatcher.decide(claimed, outcome, self.clock.schedule(), jitter)
        self._crashed.append((claimed, outcome, settlement, jitter))
        return outcome, settlement

    def _after_crash_asked(self, waiting: Waiting) -> Ending:
        return self._after_crash_under(self._policy, waiting)

    def _after_crash_alone(self, waiting: Waiting) -> Ending:
        """Of another daemon's attempt under a certificate that nobody here holds, so that nobody can enquire."""
        return self._after_crash_under(
            replace(self._policy, doubt=replace(self._policy.doubt, enquires=False)), waiting
        )

    def _after_crash_under(self, policy: Policy, waiting: Waiting) -> Ending:
        now, outcome = self.clock.schedule(), classify(NoAnswer("crash"))
        ending = settle_asked(waiting, outcome, policy, number=1, ended_at=now)
        self._crashed.append((cut_off(waiting, now), outcome, ending.settlement, None))
        return ending

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
