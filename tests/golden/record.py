"""``python -m tests.golden.record``: makes the golden cases anew, from the real daemon between its simulated ends.

Only for a change of the log's version or of what is meant: what a case holds is what the code did when it was made.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from device.vl1.cards import CARDS, EXPIRED
from device.vl1.codes import Oda, TapKind
from tests import configurations
from tests.integration.stage import Stage, opened
from tpsd.core.byhand import CheckOutOrder, RefundOrder
from tpsd.domain.audit import AuditDraft
from tpsd.domain.journey import JourneyState
from tpsd.replay import Asked
from tpsd.replay.golden import save
from tpsd.sfey.certificates import make
from tpsd.sfey.fates import Choose, by_amount
from tpsd.sfey.simulator import AFC_BASE_PATH

CASES = Path(__file__).parent / "cases"
DECLINED, REFUSED, HELD, TWICE_503, NEVER, AFTER_CHARGE = 90_116, 80_060, 80_041, 60_004, 60_003, 60_002
LAST_TOKEN = "SELECT token FROM tap WHERE token IS NOT NULL ORDER BY id DESC LIMIT 1"
QUICK = {"sfey": {"timeout_seconds": 0.5}}

Play = Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True)
class Scene:
    """What happens in a case, and where."""

    name: str
    play: Play
    lane: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)
    choose: Choose = by_amount
    listens: bool = True
    lanes: int = 1


def taps(*amounts: int, **given: Any) -> Play:
    """Each is tapped on, and its verdict waited for; then the ladder's time passes."""

    async def play(stage: Stage) -> None:
        for amount in amounts:
            await stage.gate.verdict(stage.gate.tap(amount, **given))
        await stage.pass_time()

    return play


async def turned_away(stage: Stage) -> None:
    await stage.gate.verdict(stage.gate.tap(250, card=EXPIRED))
    await stage.gate.verdict(stage.gate.tap(250, oda=Oda.FAILED))
    await stage.gate.verdict(stage.gate.tap(250_000))
    first = stage.gate.tap(250, card=CARDS[1])
    await stage.gate.verdict(first)
    token = await stage.daemon.journal._writer.read(lambda link: link.execute(LAST_TOKEN).get)
    await stage.daemon.journal.denylist.add([bytes.fromhex(token)], AuditDraft(stage.clock.wall(), "x", "enter", ""))
    await stage.gate.verdict(stage.gate.tap(250, card=CARDS[1]))
    await stage.pass_time()


async def cut_off(stage: Stage) -> None:
    """Nobody listens; the outage is mailed, then that the tap was given up."""
    await stage.gate.verdict(stage.gate.tap(250))
    await stage.pass_time(lambda: len(stage.post.mails) == 2)


async def held(stage: Stage) -> None:
    await stage.gate.verdict(stage.gate.tap(HELD))
    await stage.until(lambda: stage.daemon.dispatcher.in_flight == 0, "its refusal")
    await stage.gate.verdict(stage.gate.tap(250, card=CARDS[1]))


async def ride(stage: Stage, amount: int, card: int = 0) -> None:
    gate = stage.gates[0]
    await gate.verdict(gate.tap(amount, card=CARDS[card], kind=TapKind.CHECK_IN_OR_OUT))


async def riding(stage: Stage) -> None:
    await ride(stage, 500)
    await ride(stage, 320)
    await ride(stage, 500, card=1)
    for _ in range(3):
        await ride(stage, DECLINED, card=1)
    await ride(stage, DECLINED, card=2)
    await stage.pass_time()
    for row in await stage.daemon.journal.asked.rows((JourneyState.ENDED_UNPAID,), 10):
        await stage.daemon.cashier.check_out(str(row.id), CheckOutOrder(320), "x", "the camera shows it")


async def refunding(stage: Stage) -> None:
    tap = stage.gate.tap(250, kind=TapKind.RETAIL_PAYMENT)
    await stage.gate.verdict(tap)
    await stage.daemon.cashier.refund(tap.id, RefundOrder(100), "x", "the line was cut short")


paying = taps(250, DECLINED, REFUSED, AFTER_CHARGE, kind=TapKind.RETAIL_PAYMENT)

SCENES = (
    Scene("mtt_approved", taps(250, 0)),
    Scene("mtt_turned_away", turned_away),
    Scene("mtt_declined", taps(DECLINED)),
    Scene("mtt_tap_refused", taps(REFUSED)),
    Scene("mtt_terminal_refused", held),
    Scene("mtt_try_again", taps(TWICE_503)),
    Scene("mtt_unknown", taps(AFTER_CHARGE)),
    Scene("mtt_ladder", taps(NEVER), changes=QUICK),
    Scene("mtt_not_sent", cut_off, listens=False, changes={"retry": {"hold_while_offline": False}}),
    Scene("kft_deferred", taps(250, DECLINED), {"kind": "KFT"}),
    Scene("kft_realtime", taps(250, DECLINED, kind=TapKind.KFT_REALTIME), {"kind": "KFT", "timing": "realtime"}),
    Scene("retail_payment", paying, {"kind": "RETAIL_PAYMENT"}),
    Scene("retail_check_in_out", riding, {"kind": "RETAIL_CHECK_IN_OUT"}),
    Scene("retail_refund", refunding, {"kind": "RETAIL_PAYMENT"}),
)  # fmt: skip


async def record(scene: Scene) -> None:
    """Play it and save its case."""
    folder = Path(tempfile.mkdtemp(prefix="tpsd-golden-"))
    log = folder / "log"
    log.mkdir()
    files = make(folder, datetime.now(UTC))
    changes = {**scene.changes, "taplog": {"folder": str(log)}}
    async with opened(
        folder, files, changes=changes, lane_changes=scene.lane, choose=scene.choose, tps_listens=scene.listens
    ) as stage:
        given = tomllib.loads(stage.config_file.read_text())
        given["sfey"]["afc_base_url"] = given["sfey"]["base_url"] + AFC_BASE_PATH
        configurations.write(stage.folder, given)
        async with stage.daemon_running():
            await scene.play(stage)
    shutil.rmtree(CASES / scene.name, ignore_errors=True)
    case = await asyncio.to_thread(save, Asked([log]), CASES / scene.name)
    print(scene.name, len(case.expected), "differences")
    for one in case.expected:
        print("   ", one)
    shutil.rmtree(folder)


def main() -> None:
    """All, or those that are named."""
    random.seed(1)
    for scene in SCENES:
        if not sys.argv[1:] or scene.name in sys.argv[1:]:
            asyncio.run(record(scene))


if __name__ == "__main__":
    main()
