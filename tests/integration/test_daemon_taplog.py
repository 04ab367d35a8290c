"""The tap log of a running daemon: everything that came and went is in it, no card data is, and no tap needs it."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from device.vl1.cards import CARDS, EXPIRED
from schemas.taplog import LINE
from tests.card_search import findings_in_files
from tests.integration.conftest import Opens
from tests.integration.stage import Stage
from tpsd.daemon import Daemon

DECLINED, UNAVAILABLE_TWICE, REFUSED = 90_116, 60_004, 80_060


def logged(folder: Path) -> list[Any]:
    lines = [LINE.validate_json(line) for path in folder.iterdir() for line in path.read_text().splitlines()]
    return sorted(lines, key=lambda line: line.n)


async def played(stage: Stage, *amounts: int) -> None:
    for amount in amounts:
        await stage.gate.verdict(stage.gate.tap(amount))
    await stage.until(lambda: stage.daemon.dispatcher.in_flight == 0, "the first sends")
    await stage.pass_time()


async def test_what_came_in_and_went_out(open_stage: Opens, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    async with open_stage(changes={"taplog": {"folder": str(folder)}}) as stage:
        async with stage.daemon_running() as daemon:
            await played(stage, 250, DECLINED, UNAVAILABLE_TWICE, REFUSED)
            stage.gate.tap(250, card=EXPIRED)
            await stage.until(lambda: daemon.lanes[0].state.taps == 5, "the expired card's tap")
            facts = daemon.observer.taplog()
            assert facts is not None
            assert (facts.lost, facts.trouble) == (0, None)
            rows = await stage.rows()
        stage.check_books()
    lines = logged(folder)
    counts = Counter(line.event for line in lines)
    assert (counts["tap"], counts["sent"], counts["settled"], counts["end"]) == (5, 6, 6, 1)
    assert counts["mailed"] == len(stage.post.mails) > 0
    assert {line.n for line in lines} == set(range(1, lines[-1].n + 1)), "none is missing"
    taps = [line for line in lines if line.event == "tap"]
    assert [tap.number for tap in taps] == [row.number for row in rows]
    assert [tap.decided.told.reason for tap in taps] == ["ok"] * 4 + ["expired"]
    assert [tap.decided.uuid for tap in taps] == [row.uuid for row in rows]
    last = {line.uuid: line.state for line in lines if line.event == "settled"}
    assert [last[tap.decided.uuid] for tap in taps[:4]] == ["approved", "declined", "approved", "tap_refused"]
    waits = [line.wait_seconds for line in lines if line.event == "settled"]
    assert Counter(waits) == {None: 4, 60.0: 2}
    pans = [card.pan for card in (*CARDS, EXPIRED)]
    assert findings_in_files([folder], pans) == []


async def test_a_folder_that_vanishes_costs_lines_and_no_tap(open_stage: Opens, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    async with (
        open_stage(changes={"taplog": {"folder": str(folder)}}) as stage,
        stage.daemon_running() as daemon,
    ):
        await stage.gate.verdict(stage.gate.tap(250))
        shutil.rmtree(folder)
        tap = stage.gate.tap(320)
        assert (await stage.gate.verdict(tap)).reason == "ok"
        assert (await stage.settled(tap)).state == "approved"

        async def reasons() -> list[str]:
            return [words for check, words in (await daemon.observer.health()).reasons if check.value == "tap_log"]

        (words,) = await stage.until(reasons, "a reason on /healthz")
        assert "the tap log loses lines" in words
        assert "No such file or directory" in words
        folder.mkdir()
        await stage.gate.verdict(stage.gate.tap(250))
        await stage.until(lambda: kept(daemon) and logged(folder), "lines again")


def kept(daemon: Daemon) -> bool:
    facts = daemon.observer.taplog()
    return facts is not None and facts.trouble is None
