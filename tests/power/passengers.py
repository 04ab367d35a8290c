"""Taps as validators hand them in, drawn by seed. Scheme test cards only."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any
from uuid import UUID

import apsw

from tests.power.ledger import Contradiction, Ledger
from tests.store.builders import LANE, MASTERCARD, candidate, card, report
from tpsd.core.intake import Candidate, Decision, Facts, decide
from tpsd.domain.notice import NoticeDraft, NoticeKind
from tpsd.domain.tap import Shown, TapReport
from tpsd.store.sqlite import SqliteJournal

LANES = {"VAL00042": LANE, "VAL00043": replace(LANE, name="gate-2", fare=300, terminal_sn="VAL00043")}
CARDS = (card(), card(MASTERCARD), card(expiry="2001"))
ODD: tuple[dict[str, Any], ...] = (
    {"shown": Shown.TURNED_AWAY},
    {"fault": "no card data", "card": ()},
    {"kind": 4, "shown": Shown.LET_IN},
    {"amount": 0},
)
"""What may be about a tap."""


def new_tap(ledger: Ledger, luck: Random, *, odd: bool = False) -> TapReport:
    """Of any lane and card; an odd one may have no number, too."""
    ledger.made += 1
    fields: dict[str, Any] = {"serial": luck.choice(sorted(LANES)), "card": luck.choice(CARDS)}
    if odd:
        fields |= luck.choice(ODD)
    made = report(ledger.made, received_at=ledger.now, tapped_at=ledger.now, **fields)
    return replace(made, boot=None, counter=None) if odd and luck.random() < 0.3 else made


def known_tap(ledger: Ledger, luck: Random) -> TapReport:
    """One that comes again: one that was never answered, if there is one; a new one if there is none at all."""
    known = list(ledger.unanswered.values()) or list(ledger.reports.values())
    if not known:
        return new_tap(ledger, luck)
    shown = luck.choice([Shown.NOTHING, Shown.NOTHING, Shown.LET_IN, Shown.TURNED_AWAY])
    return replace(luck.choice(known[-12:]), shown=shown)


async def hand_in(journal: SqliteJournal, ledger: Ledger, luck: Random, tap: TapReport) -> None:
    """Commit 1, and the verdict."""
    one = candidate(journal, tap, LANES[tap.serial], UUID(bytes=luck.randbytes(16), version=4))
    ledger.hand_in(one)
    ledger.tell(tap, one.digest, await journal.take(one, decide, ledger.now))


async def hand_in_refused(journal: SqliteJournal, ledger: Ledger, luck: Random, tap: TapReport) -> None:
    """A tap that the journal refuses when most of it is written: it is kept rejected, as the reader does."""
    one = candidate(journal, tap, LANES[tap.serial], UUID(bytes=luck.randbytes(16), version=4))
    ledger.hand_in_undecided(tap)
    try:
        await journal.take(one, _decide_badly, ledger.now)
    except apsw.ConstraintError:
        taken = await journal.reject(tap, one.lane, one.terminal, "c0ffee", ledger.now)
    else:
        raise Contradiction("a notice without a cause was taken")
    if not taken.new:
        raise Contradiction("what a refused write had written is still there")
    ledger.tell(tap, one.digest, taken)


def _decide_badly(candidate: Candidate, facts: Facts) -> Decision:
    """With a notice that a constraint refuses; notices are written last."""
    nameless = NoticeDraft(NoticeKind.ALARM, None, "")  # type: ignore[arg-type]
    return replace(decide(candidate, facts), notices=(nameless,))
