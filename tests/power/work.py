"""A bit of everything that a daemon does with its journal, drawn by seed. What returns is written into the ledger."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from functools import partial
from random import Random
from typing import Any

import apsw

from tests.power.answers import POLICY, TO_ENQUIRIES, TO_SENDS, crashed, settled, too_old
from tests.power.ledger import Contradiction, Ledger
from tests.power.life import Life
from tests.power.passengers import hand_in, hand_in_refused, known_tap, new_tap
from tests.store.builders import SALT, TERMINAL, VISA, closer
from tpsd.core.enquiry import conclude, read
from tpsd.core.operations import Change, InForce, Order, judge
from tpsd.domain.audit import AuditDraft
from tpsd.domain.authorisation import Claimed
from tpsd.domain.card import Pan
from tpsd.domain.time import HOUR, MINUTE, Micros
from tpsd.emv.reading import card_token
from tpsd.operating import Cursor, Selection
from tpsd.ports import SettledLate
from tpsd.workers.enquirer import conclude_crashed

TOKENS = (bytes.fromhex(card_token(SALT, Pan(VISA))), bytes(range(32)), bytes(range(1, 33)))


class Work:
    """One process's. What was claimed and not settled dies with it. ``did``: how often each action, and what it did."""

    def __init__(self, life: Life, ledger: Ledger, luck: Random) -> None:
        self.ledger = ledger
        self.did: Counter[str] = Counter()
        self._life = life
        self._journal = life.journal
        self._luck = luck
        self._sending: list[Claimed] = []

    def drawn(self) -> str:
        """The name of any action."""
        (name,) = self._luck.choices(list(WEIGHTS), list(WEIGHTS.values()))
        return name

    async def do(self, name: str) -> None:
        """One of ACTIONS, some time later; or what a process does first and last."""
        match name:
            case "start":
                await self._start()
            case "close":
                with suppress(apsw.Error):  # what fails in closing, SQLite keeps to itself; a VFS in Python cannot
                    await self._journal.close()
            case _:
                self._pass(self._luck.randrange(20 * MINUTE))
                await ACTIONS[name](self)
        self.did[name] += 1

    async def _start(self) -> None:
        await self._life.recover(self._now, partial(crashed, now=self._now))
        await self._journal.doubts.begin(self._now, True, partial(conclude_crashed, now=self._now))

    # --- commit 1 ---

    async def _take(self) -> None:
        for _ in range(2):
            await hand_in(self._journal, self.ledger, self._luck, new_tap(self.ledger, self._luck))

    async def _take_odd(self) -> None:
        await hand_in(self._journal, self.ledger, self._luck, new_tap(self.ledger, self._luck, odd=True))

    async def _repeat(self) -> None:
        await hand_in(self._journal, self.ledger, self._luck, known_tap(self.ledger, self._luck))

    async def _reject(self) -> None:
        tap = new_tap(self.ledger, self._luck)
        self.ledger.hand_in_undecided(tap)
        taken = await self._journal.reject(tap, "gate-1", TERMINAL, "c0ffee", self._now)
        self.ledger.tell(tap, self._journal.digest(tap.fingerprint), taken)

    # --- commits 2 and 3 ---

    async def _claim(self) -> None:
        for claimed in await self._journal.claim(self._now, self._luck.randint(1, 4), None, too_old(self._now)):
            self.ledger.send(claimed)
            self._sending.append(claimed)

    async def _settle(self) -> None:
        for _ in range(min(2, len(self._sending))):
            await self._answered(self._sending.pop(self._luck.randrange(len(self._sending))))

    async def _answered(self, claimed: Claimed) -> None:
        outcome, settlement = settled(claimed, self._luck.choice(TO_SENDS), self._now)
        await self._journal.settle(claimed, outcome, settlement, self._now)
        self.ledger.settle(str(claimed.uuid), settlement.state)

    async def _answered_late(self, claimed: Claimed) -> None:
        """Its answer a second time."""
        try:
            await self._answered(claimed)
        except SettledLate:
            return
        raise Contradiction(f"{claimed.uuid} was settled twice by one attempt")

    # --- all of them at one moment ---

    async def _group(self) -> None:
        """What comes at one moment shares a commit; a write that fails undoes itself alone."""
        shared, undone = self._life.writer.shared, self._life.writer.undone
        results = await asyncio.gather(*self._at_once(), return_exceptions=True)
        self.did["shared"] += self._life.writer.shared - shared
        self.did["undone"] += self._life.writer.undone - undone
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def _at_once(self) -> Iterator[Coroutine[Any, Any, None]]:
        luck = self._luck
        for _ in range(luck.randint(1, 3)):
            tap = new_tap(self.ledger, luck)
            yield hand_in(self._journal, self.ledger, luck, tap)
            if luck.random() < 0.3:
                yield hand_in(self._journal, self.ledger, luck, tap)
        if luck.random() < 0.5:
            yield hand_in_refused(self._journal, self.ledger, luck, new_tap(self.ledger, luck))
        for _ in range(min(luck.randint(0, 2), len(self._sending))):
            claimed = self._sending.pop(luck.randrange(len(self._sending)))
            yield self._answered(claimed)
            if luck.random() < 0.3:
                yield self._answered_late(claimed)
        yield self._claim()

    async def _enquire(self) -> None:
        for enquired in await self._journal.doubts.claim(self._now, 2):
            self.ledger.attempt(str(enquired.uuid), enquired.number)
            heard = read(self._luck.choice(TO_ENQUIRIES))
            conclusion = conclude(enquired, heard, believed=self._luck.random() < 0.5, ended_at=self._now)
            if await self._journal.doubts.conclude(enquired, heard, conclusion, self._now):
                self.ledger.settle(str(enquired.uuid), conclusion.state)

    # --- mail, the house, people ---

    async def _mail(self) -> None:
        await self._journal.close_windows(self._now, closer(self._now))
        for row in await self._journal.mails_due(self._now, 2):
            self.ledger.mail(row)
            if self._luck.random() < 0.7:
                await self._journal.mail_accepted(row.id, self._now)
                self.ledger.delivered.add(row.message_id)
            else:
                await self._journal.mail_refused(row.id, Micros(self._now + MINUTE), "421 later")

    async def _house(self) -> None:
        await self._keep(self._luck.choice([1, 8, 25, 25, 50]))

    async def _two_days(self) -> None:
        await self._keep(48)

    async def _keep(self, hours: int) -> None:
        self._pass(hours * HOUR)
        self.did.update(await self._journal.keep_house(hours * HOUR))

    async def _order(self) -> None:
        order = self._luck.choice([Order.RELEASE, Order.RESEND, Order.CLOSE, Order.CLOSE])
        operations = self._journal.operations
        causes = [cause.cause for cause in [*await operations.held(), *await operations.doubts()]]
        if not causes:
            return
        rows = await operations.page(Selection(self._luck.choice(causes)), Cursor(), 3)
        in_force = InForce(POLICY, frozenset({"common"}), self._now)
        done = await operations.carry_out(
            [row.uuid for row in rows],
            lambda row: judge(order, row, in_force),
            [self._now] * len(rows),
            self._now,
            self._audit(order.value),
        )
        for one in done:
            if isinstance(one.verdict, Change):
                self.ledger.settle(one.row.uuid, one.verdict.state)

    async def _deny(self) -> None:
        denylist, audit = self._journal.denylist, self._audit("denylist")
        match self._luck.randrange(3):
            case 0:
                await denylist.add([self._luck.choice(TOKENS)], audit)
            case 1:
                await denylist.remove([self._luck.choice(TOKENS)], None, audit)
            case _:
                generation = await denylist.begin("file", self._now)
                await denylist.fill(generation, b"".join(TOKENS[1:]))
                await denylist.go_live(generation, True, audit)

    async def _probe(self) -> None:
        await self._journal.probe()

    # --- within ---

    @property
    def _now(self) -> Micros:
        return self.ledger.now

    def _pass(self, us: int) -> None:
        self.ledger.now = Micros(self.ledger.now + us)

    def _audit(self, what: str) -> AuditDraft:
        return AuditDraft(self._now, "alice (1000)", what, "because")


ACTIONS: dict[str, Callable[[Work], Awaitable[None]]] = {
    "take": Work._take,
    "take odd": Work._take_odd,
    "repeat": Work._repeat,
    "reject": Work._reject,
    "claim": Work._claim,
    "settle": Work._settle,
    "group": Work._group,
    "enquire": Work._enquire,
    "mail": Work._mail,
    "house": Work._house,  # hours pass: epochs turn, rows are wrapped anew, keys, bodies and old rows go
    "two days": Work._two_days,  # long enough for an epoch that has closed to lose its key
    "order": Work._order,  # by hand: some rows of a cause that rests are sent again or given up
    "deny": Work._deny,
    "probe": Work._probe,
}

WEIGHTS = {
    "take": 8, "take odd": 2, "repeat": 3, "reject": 1, "claim": 6, "settle": 7, "group": 5, "enquire": 1, "mail": 2,
    "house": 4, "order": 2, "deny": 1, "probe": 1,
}  # fmt: skip
"""How often each is drawn."""
