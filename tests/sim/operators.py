"""People with commands: they look at what rests, sometimes at TPS's own books, and order something.

Each order runs inside the daemon's life, as it does when the socket brings it, and dies with it.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from device.vl1.cards import CARDS
from tests.sim.doors import token_of
from tests.sim.events import Happened
from tpsd.core.byhand import CheckOutOrder, RefundOrder
from tpsd.core.operations import Order
from tpsd.daemon import Daemon
from tpsd.domain.audit import AuditDraft
from tpsd.domain.authorisation import State
from tpsd.domain.denial import BY_HAND
from tpsd.errors import JournalUnavailableError, NotFoundError, RefusedError
from tpsd.operating import Ordered, Selection

if TYPE_CHECKING:
    from tests.sim.world import World

REFUSALS: Final = (RefusedError, NotFoundError, JournalUnavailableError)
"""What a person is told; nothing was changed."""

_QUIET_SECONDS: Final = 120.0  # after a row's last request: what TPS works on has come to its end

_PERSON: Final = ("operator", "because the plan says so")

_JOURNEYS: Final = "SELECT id, held FROM journey_now WHERE state <> 'closed' OR id % 4 = 0 ORDER BY id"
_PAID: Final = """
SELECT uuid, coalesce(approved_amount, amount) FROM authorisation
WHERE state IN ('approved', 'in_doubt') AND timing = 'realtime' AND type <> 'RETAIL_REFUND' ORDER BY created_at, uuid
"""
_RESTING: Final = "SELECT uuid, cause FROM authorisation WHERE state IN ({}) ORDER BY created_at, uuid"

Command = Callable[["World", Daemon, random.Random], Awaitable[object]]


async def _release(world: World, daemon: Daemon, rng: random.Random) -> None:
    row = _one(world, rng, "'held'")
    if row is not None:
        held = Selection(row[1], states=frozenset({State.HELD}))
        await daemon.desk.many(_ordered(Order.RELEASE), held, None, dry=False)


def _on_one(order: Order, states: str) -> Command:
    async def command(world: World, daemon: Daemon, rng: random.Random) -> None:
        row = _one(world, rng, states)
        if row is not None:
            await daemon.desk.one(_ordered(order), row[0])

    return command


async def _resolve(world: World, daemon: Daemon, rng: random.Random) -> None:
    """As TPS's books say, once TPS has nothing of it at work any more."""
    row = _one(world, rng, "'in_doubt', 'permanently_failed', 'awaiting_tap'")
    if row is None or not world.is_quiet(row[0], _QUIET_SECONDS):
        return
    charged = any(charge.uuid == row[0] for charge in world.ledger.charges())
    await daemon.desk.one(_ordered(Order.CHARGED if charged else Order.NOT_CHARGED), row[0])


async def _check_out(world: World, daemon: Daemon, rng: random.Random) -> None:
    """Of what the check-in holds, of another amount, or of nothing: then it is only released."""
    rows = world.eye.rows(_JOURNEYS)
    if rows:
        number, held = rng.choice(rows)
        amount = rng.choice([held, held, held // 2, 0])
        order = CheckOutOrder(amount, release=amount == 0)
        await daemon.cashier.check_out(str(number), order, *_PERSON)


async def _refund(world: World, daemon: Daemon, rng: random.Random) -> None:
    """All that is left of a payment, a part, or too much."""
    rows = world.eye.rows(_PAID)
    if rows:
        uuid, amount = rng.choice(rows)
        part = rng.choice([None, None, amount // 2, amount + 1])
        await daemon.cashier.refund(uuid, RefundOrder(part, again=rng.random() < 0.5), *_PERSON)


async def _deny(world: World, daemon: Daemon, rng: random.Random) -> None:
    await daemon.journal.denylist.add([token_of(rng.randrange(len(CARDS)))], _audit(world, "denylist add"))


async def _allow(world: World, daemon: Daemon, rng: random.Random) -> None:
    """From every list; where TPS feeds one, only from people's own: a person may not say what TPS lists."""
    source = None if world.plan.style.feed is None else BY_HAND
    card = [token_of(rng.randrange(len(CARDS)))]
    await daemon.journal.denylist.remove(card, source, _audit(world, "denylist remove"))


async def _import(world: World, daemon: Daemon, rng: random.Random) -> None:
    denylist = daemon.journal.denylist
    generation = await denylist.begin("partner", world.machine.wall())
    for card in sorted(rng.sample(range(len(CARDS)), 3)):
        await denylist.fill(generation, token_of(card))
    await denylist.go_live(generation, True, _audit(world, "denylist import"))


NEEDED_BY_HAND: Final = ("checkout", "refund", "resolve")
"""What only realtime taps need; ordered more often than the rest."""

COMMANDS: Final[Mapping[str, Command]] = {
    "release": _release,
    "resend": _on_one(Order.RESEND, "'held', 'permanently_failed'"),
    "rebuild": _on_one(Order.REBUILD, "'held', 'permanently_failed'"),
    "close": _on_one(Order.CLOSE, "'held', 'permanently_failed'"),
    "resolve": _resolve,
    "checkout": _check_out,
    "refund": _refund,
    "deny": _deny,
    "allow": _allow,
    "import": _import,
}


def order(world: World, name: str, draw: float) -> None:
    """Begin a command on the daemon that lives now, if there is one; ``draw`` chooses among what it may act on."""
    life = world.life
    if life is None or life.daemon is None or not life.is_ready:
        return
    daemon = life.daemon

    async def carried_out() -> None:
        try:
            await COMMANDS[name](world, daemon, random.Random(draw))
        except REFUSALS as exc:
            world.emit(Happened(f"{name} was refused: {type(exc).__name__}"))

    world.in_life(life, carried_out(), f"order {name}")


def _one(world: World, rng: random.Random, states: str) -> Any:
    rows = world.eye.rows(_RESTING.format(states))
    return rng.choice(rows) if rows else None


def _ordered(what: Order) -> Ordered:
    return Ordered(what, *_PERSON)


def _audit(world: World, what: str) -> AuditDraft:
    who, why = _PERSON
    return AuditDraft(world.machine.wall(), who, what, why)
