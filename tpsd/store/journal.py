"""The journal on whatever engine: its three commits, its house, and what people read of it (design 6).

Every call is work on the engine's one connection, run by its writer. How the engine is opened, checked and copied is
its own business: see ``sqlite`` and ``postgres``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol, TypeVar

from tpsd.asking import Judge as AskedJudge
from tpsd.core.candidate import Candidate, Decision
from tpsd.core.notices import cause_key
from tpsd.core.settlement import Settlement
from tpsd.core.uplink import put_back
from tpsd.domain.authorisation import Claimed, State
from tpsd.domain.notice import MailRow, NoticeDraft, NoticeKind
from tpsd.domain.outcome import NotSent, Outcome
from tpsd.domain.picture import SpoolFacts
from tpsd.domain.tap import TapReport
from tpsd.domain.time import Micros
from tpsd.domain.upkeep import Pruned
from tpsd.domain.views import JournalTotals, TapFilter, TapRow, TapStory
from tpsd.doubts import Judge, never_judged
from tpsd.errors import JournalError, JournalUnavailableError, SealError
from tpsd.hints import Hint, Hints
from tpsd.leases import Leases
from tpsd.ports import CloseWindow, Decide, SettledLate, Taken
from tpsd.store import (
    commits,
    hints,
    holds,
    housekeeping,
    journeys,
    mailroom,
    reading,
    realtime,
    recovery,
    warning,
    wounds,
)
from tpsd.store.asked import SqlAsked
from tpsd.store.bodies import SqlBodies
from tpsd.store.commits import ClaimedRow, SealedParts, Stamp
from tpsd.store.connection import Connection
from tpsd.store.denylist import SqlDenyList
from tpsd.store.device_keys import SqlDeviceKeys
from tpsd.store.enquiries import SqlDoubts, set_aside
from tpsd.store.epochs import EpochKeys, KeyShelf
from tpsd.store.feed import SqlFeed
from tpsd.store.figures import JournalNumbers
from tpsd.store.group import Work
from tpsd.store.history import Histories
from tpsd.store.housekeeping import Keep
from tpsd.store.identities import SqlIdentities
from tpsd.store.lanes import SqlLanes
from tpsd.store.operations import SqlOperations
from tpsd.store.outages import SqlOutages
from tpsd.store.parameters import SqlParameters
from tpsd.store.queries import Q
from tpsd.store.reporting import Counts
from tpsd.store.rotation import SLICES_MAX, Rotation
from tpsd.store.seal import KEY_BYTES, Entropy, Pool, Sealed, keyed_digest, unwrap, wrap
from tpsd.store.settling import Settling
from tpsd.store.totals import totals
from tpsd.store.writer import Urgency, Writer
from tpsd.upkeep import Upkeep

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Identity:
    """What a journal was used with; another value while rows work or rest is refused (design 4)."""

    mode: str
    host: str
    company_id: int


@dataclass(frozen=True, slots=True)
class Secrets:
    """The key-encryption key and where the epoch keys stand."""

    kek: bytes = field(repr=False)
    shelf: KeyShelf
    entropy: Entropy = field(default_factory=Pool, repr=False)


class OwnUpkeep(Upkeep, Protocol):
    """An engine's upkeep, with what the house does by itself."""

    async def retire(self, now: Micros, ran: int, keep_us: int) -> Pruned:
        """A round of pruning: rows final ``keep_us`` ago in both clocks, then identities."""


class SqlJournal:
    """``ports.Journal`` on an engine's writer."""

    KEYS: ClassVar[str]
    """What a person must give where the keys do not fit."""

    leases: Leases | None = None
    """Of a journal that several daemons share."""

    hints: Hints | None = None
    """What those tell one another."""

    def __init__(self, writer: Writer, keep: Keep, entropy: Entropy, upkeep: OwnUpkeep, daemon: str = "") -> None:
        self._writer = writer
        self._daemon = daemon
        self.denylist = SqlDenyList(writer)
        self.feed = SqlFeed(writer)
        self.parameters = SqlParameters(writer)
        self.doubts: SqlDoubts
        self.asked: SqlAsked
        self._keep = keep
        self._entropy = entropy
        self._epochs: Rotation
        self.upkeep = upkeep
        self._digest_key: bytes
        self._ran = 0
        self._probes = 0
        self._wounds: dict[str, int] = {}  # mended at opening, and not yet told of
        self._unopened: list[Claimed] = []  # claimed, and not yet failed for good
        self._unsent: list[tuple[Claimed, str]] = []  # claimed, and not yet put back, and why
        self._seen_at = Micros(0)  # the schedule clock as callers last gave it
        self.journal_id = ""
        self.outages = SqlOutages(writer)
        self.numbers = JournalNumbers(writer)
        self.lanes = SqlLanes(writer, daemon)
        self.histories = Histories(writer)
        self.counts = Counts(writer)
        self.pulse = writer.pulse
        self.operations: SqlOperations
        self.bodies: SqlBodies
        self.device_keys: SqlDeviceKeys
        self.identities: SqlIdentities

    async def close(self) -> None:
        """Finish what was submitted and let go of the engine."""
        await self._writer.close()

    # --- commit 1 ---

    def digest(self, fingerprint: bytes) -> bytes:
        """HMAC-SHA256 under the journal's own key."""
        return keyed_digest(self._digest_key, fingerprint)

    async def take(self, candidate: Candidate, decide: Decide, now: Micros) -> Taken:
        """Commit 1. Sealing happens here, before the writer's turn."""
        parts, stamp = self._sealed(candidate), self._stamp(now)

        def ask(connection: Connection, candidate: Candidate, decision: Decision) -> tuple[str, Claimed, Sealed | None]:
            return realtime.ask(connection, candidate, decision, parts, self.asked.seal_body, stamp)

        def work(connection: Connection) -> tuple[Taken, ClaimedRow | None]:
            self._alone_with(connection, candidate.digest, candidate.token)
            return commits.take(connection, candidate, decide, parts, stamp, ask)

        taken, row = await self._commit_tap(work, patient=candidate.keeps_journeys)
        if row is None:
            return taken
        return replace(taken, asked=self._opened(row))

    async def reject(
        self,
        report: TapReport,
        lane: str,
        terminal: str,
        config_digest: str,
        now: Micros,
        untrusted: str | None = None,
    ) -> Taken:
        """Keep an undecidable tap, its payload sealed until ``keep_failed_days`` have run."""
        digest, stamp = self.digest(report.fingerprint), self._stamp(now)

        def payload(owner: str) -> Sealed:
            return self._epochs.seal(owner, "payload", report.payload)

        def work(connection: Connection) -> Taken:
            self._alone_with(connection, digest, None)
            return commits.reject(connection, report, lane, terminal, config_digest, digest, payload, stamp, untrusted)

        return await self._commit_tap(work)

    async def _commit_tap(self, work: Work[T], *, patient: bool = False) -> T:
        """Commit 1 waits for as long as it takes."""
        del patient
        return await self._writer.write(work, Urgency.INTAKE)

    # --- commits 2 and 3 ---

    async def claim(
        self, now: Micros, limit: int, created_by: Micros | None = None, judge: Judge = never_judged
    ) -> Sequence[Claimed]:
        """Commit 2, then the bodies are opened. A body that does not open fails its row for good, with an alarm."""
        aside = set_aside(judge, self._stamp(now))

        def work(connection: Connection) -> list[ClaimedRow]:
            if created_by is not None:
                return commits.claim(connection, now, limit, created_by, aside)
            whole = self._claim_together(connection, now, limit)
            if len(whole) == limit:
                return whole
            canaries = holds.claim_canaries(connection, now, limit - len(whole))
            left = limit - len(whole) - len(canaries)
            return [*whole, *canaries, *commits.claim(connection, now, left, None, aside)]

        if not await self.outages.spread():
            return []
        rows = await self._writer.write(work)
        claims, away = [], await self._learn_keys(rows)
        for row in rows:
            try:
                if away is not None and row.sealed is not None and self._epochs.lacks(row.sealed.epoch):
                    self._unsent.append((row.claimed, "keys"))
                else:
                    claims.append(replace(row.claimed, body=self._open_body(row)))
            except SealError:
                self._unopened.append(row.claimed)
        with suppress(JournalUnavailableError) if claims else nullcontext():  # those that open are sent all the same
            await self._put_back(now)
            await self._fail_unopened(now)
            if away is not None:
                raise away
        return claims

    async def _learn_keys(self, rows: Sequence[ClaimedRow]) -> JournalUnavailableError | None:
        """None where every key is here that is anywhere."""
        try:
            await self._epochs.learn(row.sealed.epoch for row in rows if row.sealed is not None)
        except JournalUnavailableError as exc:
            return exc
        return None

    async def _put_back(self, now: Micros) -> None:
        """What was claimed and is not to be sent now waits on."""
        while self._unsent:
            claimed, why = self._unsent[0]
            unsent = NotSent(why, clean=True)
            with suppress(SettledLate):  # its claim was not committed, or was ended after a lost connection
                await self.settle(claimed, unsent, put_back(claimed, unsent), now)
            del self._unsent[0]

    async def settle(self, claimed: Claimed, outcome: Outcome, settlement: Settlement, ended_at: Micros) -> bool:
        """Commit 3."""
        stamp = self._stamp(ended_at)

        def work(connection: Connection) -> bool:
            commits.settle(connection, claimed, outcome, settlement, stamp)
            told = journeys.follow(connection, str(claimed.uuid), settlement.state, stamp)
            return told or bool(settlement.notices)

        return await self._writer.write(self._with_others(work, Settling(claimed, outcome, settlement, stamp)))

    def _with_others(self, alone: Work[bool], settling: Settling) -> Work[bool]:
        """The work of a settlement, or what may be done with that of others: SQLite has nothing for it."""
        del settling
        return alone

    async def next_due(self) -> Micros | None:
        """The earliest due time of a pending row, or of a canary."""
        return await self._writer.read(holds.next_due)

    async def recover(
        self,
        now: Micros,
        credentials: Collection[str],
        settle: Callable[[Claimed], tuple[Outcome, Settlement]],
        judge: AskedJudge,
        spared: Collection[str] = (),
    ) -> dict[str, int]:
        """At start, in one transaction; the wounds that were mended are among what was done."""
        stamp, whole = self._stamp(now), not self.upkeep.is_unexamined()

        def end(connection: Connection, claimed: Claimed) -> None:
            self.asked.end_crashed(connection, claimed, judge, stamp)

        def work(connection: Connection) -> dict[str, int]:
            mended = wounds.mend(connection, stamp, self._wounds, whole=whole)
            return {**recovery.recover(connection, stamp, credentials, settle, end, spared), **mended}

        done = await self._writer.write(work)
        self._wounds = {}
        return done

    # --- mail ---

    async def tell(self, notice: NoticeDraft, now: Micros) -> None:
        """A notice that is about no tap."""

        def work(connection: Connection) -> None:
            commits.insert_notices(connection, (notice,), None, None, now)
            if not self.presides:
                hints.say(connection, Hint.MAIL)

        await self._writer.write(work)

    async def close_windows(self, now: Micros, close: CloseWindow) -> int:
        """Close all windows that are over, some a commit."""
        frozen = 0
        if not self.presides:
            return frozen
        while True:
            closed, mails = await self._writer.write(lambda connection: mailroom.close_windows(connection, now, close))
            frozen += mails
            if closed < mailroom.WINDOWS_PER_COMMIT:
                return frozen

    async def mails_due(self, now: Micros, limit: int) -> Sequence[MailRow]:
        """Frozen mails whose next try is due."""
        if not self.presides:
            return []
        return await self._writer.read(lambda connection: mailroom.mails_due(connection, now, limit))

    async def mail_accepted(self, mail: int, at: Micros) -> None:
        """SMTP took it."""
        await self._execute("mail_accepted", (at, mail))

    async def mail_refused(self, mail: int, due: Micros, error: str) -> None:
        """SMTP did not take it."""
        await self._execute("mail_refused", (due, error, mail))

    async def next_mail(self) -> Micros | None:
        """When the mailer has work next."""
        if not self.presides:
            return None
        return await self._writer.read(lambda connection: _scalar(connection, "next_mail"))

    # --- the house ---

    async def probe(self) -> None:
        """Commit more than a tap does, each time something else: SQLite does not write what stands there already."""
        self._probes += 1
        content = self._probes.to_bytes(8, "big") * (housekeeping.PROBE_BYTES // 8)
        await self._writer.write(lambda connection: housekeeping.write_probe(connection, content))

    async def keep_house(self, ran_us: int) -> dict[str, int]:
        """See ``housekeeping``; every step is its own commit, and each may be interrupted by a crash."""
        try:
            return await self._keep_house(ran_us) if await self._is_to_preside() else await self._follow_house()
        except SealError as exc:
            raise JournalUnavailableError(f"the epoch keys cannot be kept in order: {exc}; it is tried again") from exc

    async def _keep_house(self, ran_us: int) -> dict[str, int]:
        self._ran = ran = await self._writer.write(lambda connection: housekeeping.add_ran(connection, ran_us))
        warned = await self._warn_rested(ran)
        erased = await self._erase_rested(ran)
        turned = await self._epochs.turn(ran, self._seen_at)
        pruned = await self.upkeep.retire(self._seen_at, ran, self._keep.retention_us)
        tidied = await self.denylist.tidy(SLICES_MAX)
        return {
            "bodies_warned": warned,
            "taps_erased": erased,
            "taps_pruned": pruned.taps,
            **turned,
            "deny_entries_tidied": tidied,
        }

    async def _warn_rested(self, ran: int) -> int:
        warned = 0
        for _ in range(SLICES_MAX):
            some = await self._writer.write(
                lambda connection: warning.warn_rested(connection, ran, self._keep, self._seen_at)
            )
            if not some:
                break
            warned += some
        return warned

    async def _erase_rested(self, ran: int) -> int:
        erased = 0
        for _ in range(SLICES_MAX):
            some = await self._writer.write(lambda connection: housekeeping.erase_rested(connection, ran, self._keep))
            if not some:
                break
            erased += some
        return erased

    # --- a spool before it, where it has one: see ``spooled`` ---

    @property
    def may_claim(self) -> bool:
        """Whether everything that was told is in the journal itself, so that rows may be sent."""
        return True

    async def spool_facts(self, wall: Micros) -> SpoolFacts | None:
        """What waits in the spool, ages from ``wall``; None where there is none."""
        del wall
        return None

    # --- for people ---

    async def taps(self, which: TapFilter) -> Sequence[TapRow]:
        """Taps, newest first."""
        return await self._writer.read(lambda connection: reading.taps(connection, which))

    async def story(self, reference: str) -> TapStory:
        """One tap. Raises NotFoundError."""
        return await self._writer.read(lambda connection: reading.story(connection, reference))

    async def totals(self) -> JournalTotals:
        """The journal in numbers."""
        return await totals(self._writer)

    # --- within ---

    @property
    def presides(self) -> bool:
        """Whether this daemon does what one does for all who share the journal."""
        return self.leases is None or self.leases.presides

    async def _is_to_preside(self) -> bool:
        """Whether this daemon is to keep the house from now on."""
        return self.presides

    async def _follow_house(self) -> dict[str, int]:
        """Another daemon keeps the house: take note of how far it is."""
        self._ran = await self._writer.read(housekeeping.read_ran)
        await self._epochs.follow()
        return {}

    def _asking(self, operator: int) -> SqlAsked:
        return SqlAsked(self._writer, self._epochs, self.digest, self._stamp, operator)

    def _claim_together(self, connection: Connection, now: Micros, limit: int) -> list[ClaimedRow]:
        """Those of the oldest due rows that can be claimed in one statement, where the engine has one."""
        del connection, now, limit
        return []

    def _alone_with(self, connection: Connection, digest: bytes, token: str | None) -> None:
        """Until the transaction ends nobody else decides about this tap, nor about its card: SQLite has nobody else."""

    def _others_here(self, connection: Connection) -> bool:
        """Whether other daemons use the journal now."""
        del connection
        return False

    async def _unlock(self, identity: Identity, keys: Secrets) -> None:
        """Open or make the journal's own keys, check what it was used with, and open or begin an epoch."""

        def first(connection: Connection) -> tuple[str, bytes, int, list[housekeeping.EpochRow]]:
            if _meta(connection, "journal_id") is None:
                _name(connection, keys)
            _check_identity(connection, identity, self._others_here(connection))
            return (
                str(_meta(connection, "journal_id")),
                bytes(_meta(connection, "digest_key")),
                housekeeping.read_ran(connection),
                housekeeping.live_epochs(connection),
            )

        self.journal_id, wrapped, self._ran, live = await self._writer.write(first)
        epoch_keys = EpochKeys(keys.shelf, keys.kek, self.journal_id, keys.entropy)
        self._epochs = Rotation(self._writer, epoch_keys, keys.entropy)
        self.device_keys = SqlDeviceKeys(self._writer, keys.kek, self.journal_id, self.digest, keys.entropy)
        self.identities = SqlIdentities(self._writer, keys.kek, self.journal_id, keys.entropy)
        self.operations = SqlOperations(self._writer, self._epochs, self.digest, self._stamp)
        self.bodies = SqlBodies(self._writer, self._epochs, self.digest, self._stamp, self._daemon)
        self.asked = self._asking(identity.company_id)
        self.doubts = SqlDoubts(self._writer, self.asked, self._stamp)
        try:
            self._digest_key = unwrap(keys.kek, wrapped, f"digest key of journal {self.journal_id}")
            self._wounds = await wounds.reopen_epochs(self._writer, epoch_keys, self._ran)
            if self._wounds:
                live = await self._writer.read(housekeeping.live_epochs)
            await self._epochs.open(live, self._ran, alone=await self._is_to_preside())
        except SealError as exc:
            raise JournalError(f"the keys do not fit this journal ({exc}): {self.KEYS}") from exc

    def _sealed(self, candidate: Candidate) -> SealedParts | None:
        """What stays sealed of a candidate: nothing of a realtime tap that can never be sent a second time."""
        draft = candidate.draft
        if draft is None:
            return None
        owner, body = str(draft.uuid), draft.body
        digest = None if body is None else self.digest(body)
        if candidate.realtime and draft.initial is None:
            return SealedParts(None, None, digest)
        sealed = None if body is None else self._epochs.seal(owner, "body", body)
        card = None if candidate.realtime else self._epochs.seal(owner, "tap", candidate.card or b"")
        return SealedParts(sealed, card, digest)

    def _opened(self, row: ClaimedRow) -> Claimed:
        """A realtime claim with its bytes; one whose sealed body does not open goes without, and fails."""
        if row.sealed is None:
            return row.claimed
        with suppress(SealError):
            return replace(row.claimed, body=self._open_body(row))
        return row.claimed

    def _open_body(self, row: ClaimedRow) -> bytes:
        if row.sealed is None:
            raise SealError(f"the body of {row.claimed.uuid} is gone")
        return self._epochs.unseal(str(row.claimed.uuid), "body", row.sealed)

    async def _fail_unopened(self, now: Micros) -> None:
        notices = tuple(
            NoticeDraft(kind, cause_key(kind, "seal"), "its sealed body did not open, so it cannot be sent")
            for kind in (NoticeKind.PERMANENTLY_FAILED, NoticeKind.ALARM)
        )
        while self._unopened:
            claimed = self._unopened[0]
            failed = Settlement(State.PERMANENTLY_FAILED, "seal", None, claimed.progress.may_have_charged, notices)
            await self.settle(claimed, NotSent("seal", clean=True), failed, now)
            del self._unopened[0]

    def _stamp(self, at: Micros) -> Stamp:
        self._seen_at = at
        return Stamp(at, self._ran)

    async def _execute(self, name: str, bindings: tuple[object, ...]) -> None:
        await self._writer.write(lambda connection: connection.execute(Q[name], bindings) and None)


def _name(connection: Connection, keys: Secrets) -> None:
    """A new journal's id and digest key. Of daemons that come to it at once one gives them; the others wait for it."""
    journal_id = keys.entropy(8).hex()
    _make_meta(connection, "journal_id", journal_id)
    if connection.changes():
        label = f"digest key of journal {journal_id}"
        _set_meta(connection, "digest_key", wrap(keys.kek, keys.entropy(KEY_BYTES), label, keys.entropy))


def _check_identity(connection: Connection, identity: Identity, shared: bool) -> None:
    now = {"mode": identity.mode, "host": identity.host, "company": str(identity.company_id)}
    for name, value in now.items():
        _make_meta(connection, name, value)
    before = {name: _meta(connection, name) for name in now}
    different = [name for name in now if before[name] != now[name]]
    if different and shared:
        what = ", ".join(f"{name} is {before[name]} there, {now[name]} here" for name in different)
        raise JournalError(
            f"other daemons are using this journal for another set-up ({what}): stop them first, correct the "
            "configuration, or use another journal"
        )
    # A wrong company is mended in the configuration, and its refused taps are rebuilt under the right one.
    query = "any_not_rebuildable" if different == ["company"] else "any_unfinished"
    if different and connection.execute(Q[query]).get:
        what = ", ".join(f"{name} was {before[name]}, is {now[name]}" for name in different)
        raise JournalError(
            f"this journal holds unfinished taps of another set-up ({what}): finish or close them under the old "
            "configuration, or use another journal"
        )
    for name, value in now.items():
        _set_meta(connection, name, value)


def _meta(connection: Connection, key: str) -> Any:
    return connection.execute(Q["get_meta"], (key,)).get


def _make_meta(connection: Connection, key: str, value: object) -> None:
    """What is there already stays."""
    connection.execute(Q["make_meta"], (key, value))


def _set_meta(connection: Connection, key: str, value: object) -> None:
    connection.execute(Q["set_meta"], (key, value))


def _scalar(connection: Connection, name: str) -> Micros | None:
    value = connection.execute(Q[name]).get
    return None if value is None else Micros(value)
