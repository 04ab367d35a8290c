"""Known card numbers go in; they are looked for wherever the daemon writes, while it works and afterwards."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import structlog

from device.tlv import Tlv, encode
from device.vl1.cards import CARDS, EXPIRED, SimulatedCard
from device.vl1.codes import Oda
from tests.card_search import findings, findings_in_files
from tests.integration.conftest import Opens
from tests.integration.stage import Stage, Tap
from tests.integration.test_daemon_intake import UNDECIDABLE, lane_with_a_bug
from tpsd.admin.server import AdminServer
from tpsd.app import admin_routes
from tpsd.daemon import Daemon
from tpsd.log import configure
from tpsd.sfey.fates import by_amount, close_before, scripted, system

PLANTED = "4000056655665556"  # a scheme's test number of which no card here is made
IN_BASE64 = b64encode(PLANTED.encode()).decode()  # digits as such are masked in a validator's texts
PANS = [*(card.pan for card in CARDS), EXPIRED.pan]
IN_DOUBT = 1234
FATES: dict[str, int] = {
    "approved": 250,
    "declined": 90_116,
    "tap_refused": 80_060,
    "permanently_failed": 70_503,
    "unreadable": 60_005,
    "in_doubt": IN_DOUBT,
    "denied": 100_000,
}


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything the process logs, libraries included, as ``tpsd run --log-level debug`` writes it."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = io.StringIO()
    configure("debug", stream=stream)
    yield stream
    root.handlers[:], root.level = before
    structlog.reset_defaults()


@asynccontextmanager
async def admin(stage: Stage) -> AsyncIterator[None]:
    socket = stage.folder / "tpsd.sock"
    server = AdminServer(socket, stage.daemon.journal, stage.daemon.status, admin_routes(stage.daemon))
    await server.start()
    try:
        yield
    finally:
        await server.stop()


async def command(stage: Stage, *arguments: str) -> bytes:
    """What ``tpsd`` prints, on both streams."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tpsd", *arguments, "--socket", str(stage.folder / "tpsd.sock"),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0, output
    return output


async def tap_everything(stage: Stage) -> list[Tap]:
    """A tap of every fate, each with another card."""
    cards = iter(CARDS)
    first, second = stage.gates
    taps = []
    for amount in FATES.values():
        taps.append(first.tap(amount, next(cards)))
        await first.verdict(taps[-1])
    taps.append(first.tap(250, EXPIRED, oda=Oda.FAILED))
    await first.verdict(taps[-1])
    number, at = first.next()
    damaged = bytearray(encode((Tlv(0xDF8A01, number.encode()), *first.reading(next(cards), 250, at, number))))
    damaged[-5] = 0x7F  # the last value's length: it would end far behind the payload
    taps.append(first.send(b"\x01" + damaged, number, at))
    await first.verdict(taps[-1])
    taps.append(second.tap(UNDECIDABLE, next(cards)))
    await second.verdict(taps[-1])
    taps.append(first.tap(80_041, next(cards)))
    await first.verdict(taps[-1])
    await stage.settled(taps[-1])
    taps.append(first.tap(250, SimulatedCard("control", CARDS[0].pan, CARDS[0].aid), stop=IN_BASE64))
    await first.verdict(taps[-1])
    taps.insert(0, first.tap(250, SimulatedCard("told", CARDS[0].pan, CARDS[0].aid), stop=f"Stop {CARDS[0].pan}"))
    await first.verdict(taps[0])
    return taps


def search(stage: Stage, log: str, pans: list[str]) -> list[str]:
    """In everything that is written down: files, mails, the log."""
    found = findings_in_files([stage.folder / "journal", stage.folder / "epochs"], pans)
    for mail in stage.post.mails:
        found += findings("mail", mail.as_bytes(), pans)
        found += findings("mail", mail.get_content().encode(), pans)
    return [*found, *findings("log", log.encode(), pans)]


async def test_no_card_number_is_written_down(open_stage: Opens, log: io.StringIO) -> None:
    fates = scripted({IN_DOUBT: (close_before(), system(60))}, otherwise=by_amount)
    one_resend = {"retry": {"jitter": 0.0, "tiers": [{"tries": 1, "every_minutes": 1}]}}
    async with open_stage(lanes=2, choose=fates, changes=one_resend) as stage:

        def add_lane(daemon: Daemon) -> None:
            daemon.lanes[1] = lane_with_a_bug(daemon, stage.lines[1])

        async with stage.daemon_running(before=add_lane):
            taps = await tap_everything(stage)
            assert search(stage, log.getvalue(), PANS) == [], "while bodies are sealed and sends are under way"
            await stage.pass_time()
            states = {row.state or row.disposition for row in await stage.rows()}
            assert states >= {*FATES} - {"unreadable"} | {"rejected", "held"}
            assert (stage.folder / "journal" / "journal.db-wal").stat().st_size > 0
            async with admin(stage):
                shown = await asyncio.gather(
                    command(stage, "taps", "--json"),
                    command(stage, "taps"),
                    command(stage, "watch", "--json"),
                    *(command(stage, "show", tap.id, "--json") for tap in (taps[0], taps[3], taps[-1])),
                    command(stage, "explain", taps[0].id, "--json"),
                    command(stage, "report", "--by", "day,lane,kind,code", "--json"),
                    command(stage, "show", taps[-1].id),
                )
            for output in shown:
                assert findings("command", output, PANS) == []
            assert len(json.loads(shown[0])["taps"]) == len(taps)
            assert search(stage, log.getvalue(), PANS) == []
            assert any(findings("command", output, [PLANTED]) for output in shown), "the search finds its control"
        assert search(stage, log.getvalue(), PANS) == [], "after the last checkpoint"
        assert search(stage, "", [PLANTED]), "the search finds its control"
        written = log.getvalue()
        assert "tap_undecidable" in written
        assert all(row in written for row in ("session_up", "attempt", "mail_accepted"))
        assert sum("411111******1111" in mail.get_content() for mail in stage.post.mails) == 0  # declined: no mail
        assert sum("541333******0012" in mail.get_content() for mail in stage.post.mails) == 1  # permanently failed
