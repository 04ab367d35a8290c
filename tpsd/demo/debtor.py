"""The demo's debtor: a card that TPS lists over its feed is turned away; its debt is recovered, and it rides again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from device.vl1.cards import INDEBTED
from tpsd.daemon import Daemon
from tpsd.demo.riders import FARE, HELD
from tpsd.demo.validator import Told, Validator
from tpsd.domain.card import Pan
from tpsd.emv.reading import card_token
from tpsd.sfey.update_desk import UpdateDesk

LOOK_SECONDS = 0.005  # how often it is looked whether the list has come


@dataclass(frozen=True, slots=True)
class Debt:
    """How it went. ``denied``: by which reason; ``let_in``: after the debt was recovered."""

    denied: str | None = None
    let_in: bool = False


class Debtor:
    """One card at both gates. ``updates`` is TPS's deny list, ``salt`` the key of card tokens."""

    def __init__(self, gate_in: Validator, gate_out: Validator, updates: UpdateDesk, salt: Path) -> None:
        self._gate_in = gate_in
        self._gate_out = gate_out
        self._updates = updates
        self._token = bytes.fromhex(card_token(bytes.fromhex(salt.read_text()), Pan(INDEBTED.pan)))
        self.debt = Debt()
        updates.add([self._token])

    async def ride(self, daemon: Daemon) -> None:
        """Turned away at the entry; then, once TPS has struck the card, in and out."""
        feed = daemon.feed
        if feed is None:
            return
        await _until(lambda: feed.facts().tokens == 1)
        turned_away = await self._gate_in.ride(INDEBTED, HELD)
        self.debt = Debt(None if turned_away.verdict is None else turned_away.verdict.verdict.reason)
        self._updates.lift([self._token])
        feed.look()  # as the poll of the next five minutes would
        await _until(lambda: feed.facts().tokens == 0)
        rides = await self._gate_in.ride(INDEBTED, HELD)
        await self._gate_out.ride(INDEBTED, FARE)
        self.debt = Debt(self.debt.denied, _is_in(rides))


def _is_in(told: Told) -> bool:
    return told.verdict is not None and told.verdict.verdict.accepts


async def _until(condition: Callable[[], bool]) -> None:
    while True:
        if condition():
            return
        await asyncio.sleep(LOOK_SECONDS)
