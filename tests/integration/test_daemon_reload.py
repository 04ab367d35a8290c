"""Reload of the whole daemon: what it changes, what it leaves alone, what it refuses."""

from __future__ import annotations

import asyncio
import sys
import threading
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests import configurations
from tests.integration.conftest import Opens
from tests.integration.stage import Gate, Line, Stage
from tpsd.config import load
from tpsd.reloading import ReloadResult


def rewrite(stage: Stage, changes: dict[str, Any] | None = None, lanes: list[dict[str, Any]] | None = None) -> None:
    """Change the configuration file; ``lanes`` replaces the list."""
    given = tomllib.loads(stage.config_file.read_text())
    if lanes is not None:
        given["lanes"] = lanes
    configurations.write(stage.folder, configurations.changed(given, changes or {}))


def lanes_of(stage: Stage) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tomllib.loads(stage.config_file.read_text())["lanes"]
    return found


async def reloaded(stage: Stage) -> ReloadResult:
    """Ask as SIGHUP does, and wait for what came of it."""
    reloading = stage.daemon.reloading
    reloading.read = lambda: load(stage.config_file)
    before = reloading.last
    reloading.ask()
    await stage.until(lambda: reloading.last is not before, "the reload")
    assert reloading.last is not None
    return reloading.last


async def amount_of(stage: Stage, gate: Gate) -> int | None:
    tap = gate.tap(None)
    await gate.verdict(tap)
    return (await stage.row(tap)).amount


class TestNewTaps:
    """Fares, tiers and the digest are those in force when the tap comes."""

    async def test_a_fare(self, playing: Opens) -> None:
        async with playing() as stage:
            assert await amount_of(stage, stage.gate) == 250
            before = stage.gate.tap()
            await stage.gate.verdict(before)
            [lane] = lanes_of(stage)
            rewrite(stage, lanes=[lane | {"fare": 300}])
            result = await reloaded(stage)
            assert (result.accepted, result.changed) == (True, ("lanes.door-1.fare",))
            assert await amount_of(stage, stage.gate) == 300
            after = stage.gate.tap()
            await stage.gate.verdict(after)
            digests = [(await stage.story(tap)).config_digest for tap in (before, after)]
            assert digests[0] != digests[1]
            assert (await stage.daemon.status())["config_digest"] == digests[1]
            assert len(stage.gate.opened) == 1, "the validator noticed a new fare"

    async def test_tiers_are_the_rows_own(self, playing: Opens) -> None:
        async with playing() as stage:
            before = stage.gate.tap(70_503)
            await stage.gate.verdict(before)
            rewrite(stage, {"retry": {"tiers": [{"tries": 1, "every_minutes": 5}]}})
            assert (await reloaded(stage)).accepted
            after = stage.gate.tap(70_504)
            await stage.gate.verdict(after)
            await stage.pass_time()
            assert len(stage.minutes(before)) == 13
            assert stage.minutes(after) == [0, 5]

    async def test_recipients(self, playing: Opens) -> None:
        async with playing() as stage:
            rewrite(stage, {"email": {"recipients": ["night@transit.example"]}})
            assert (await reloaded(stage)).accepted
            tap = stage.gate.tap(80_060)
            await stage.gate.verdict(tap)
            await stage.settled(tap)
            await stage.pass_time(lambda: bool(stage.post.mails))
            assert stage.post.mails[0]["To"] == "night@transit.example"


class TestLanes:
    """They come, go and move; the others go on."""

    async def test_one_more_and_one_less(self, playing: Opens) -> None:
        async with playing(lanes=2) as stage:
            other = stage.gates[1]
            opened = len(other.opened)
            third = Line(stage.folder / "tty-3")
            gate = Gate("VAL00003", stage.clock)
            first, second = lanes_of(stage)
            rewrite(stage, lanes=[second, first | {"name": "door-3", "port": str(third.path)}])
            result = await reloaded(stage)
            assert (result.accepted, result.changed) == (True, ("lanes.door-1", "lanes.door-3"))
            assert [lane.state.name for lane in stage.daemon.lanes] == ["door-2", "door-3"]
            gate.plug(third.master)
            await gate.is_up()
            tap = gate.tap()
            assert (await gate.verdict(tap)).verdict == 1
            assert (await stage.row(tap)).lane == "door-3"
            assert (await other.verdict(other.tap())).verdict == 1
            assert len(other.opened) == opened, "a lane that did not change was disturbed"
            gate.unplug()
            third.pull()

    async def test_a_tap_that_was_kept_while_its_lane_left_is_sent(self, playing: Opens) -> None:
        async with playing(lanes=2) as stage:
            kept, go_on = threading.Event(), threading.Event()

            def hold_up(_seconds: float) -> None:
                kept.set()
                go_on.wait(10)

            await stage.until(lambda: all(lane.state.state == "ready" for lane in stage.daemon.lanes), "the lanes")
            pulse = stage.daemon.journal.pulse
            pulse.on_commit = hold_up
            tap = stage.gate.tap()
            await stage.until(kept.is_set, "its commit")
            rewrite(stage, lanes=lanes_of(stage)[1:])
            try:
                assert (await reloaded(stage)).accepted
            finally:
                pulse.on_commit = None
                go_on.set()
            assert (await stage.settled(tap)).state == "approved"

    async def test_the_port_of_one_that_left_may_be_taken_over(self, playing: Opens) -> None:
        async with playing() as stage:
            [lane] = lanes_of(stage)
            rewrite(stage, lanes=[lane | {"name": "back", "alias": "Back door"}])
            assert (await reloaded(stage)).accepted
            await stage.until(lambda: stage.daemon.lanes[0].state.state == "ready", "the new lane")
            tap = stage.gate.tap()
            await stage.gate.verdict(tap)
            assert (await stage.row(tap)).lane == "back"

    async def test_another_port(self, playing: Opens) -> None:
        async with playing() as stage:
            stage.gate.unplug()
            line = Line(stage.folder / "tty-new")
            [lane] = lanes_of(stage)
            rewrite(stage, lanes=[lane | {"port": str(line.path)}])
            assert (await reloaded(stage)).accepted
            stage.gate.plug(line.master)
            await stage.gate.is_up()
            assert (await stage.gate.verdict(stage.gate.tap())).verdict == 1
            stage.gate.unplug()
            line.pull()

    async def test_no_lane_at_all_and_back(self, playing: Opens) -> None:
        async with playing() as stage:
            lanes = lanes_of(stage)
            rewrite(stage, lanes=[])
            assert (await reloaded(stage)).accepted
            assert stage.daemon.lanes == []
            rewrite(stage, lanes=lanes)
            assert (await reloaded(stage)).accepted
            await stage.until(lambda: stage.daemon.lanes[0].state.state == "ready", "the lane")
            assert (await stage.gate.verdict(stage.gate.tap())).verdict == 1

    async def test_a_certificate_of_its_own(self, playing: Opens) -> None:
        async with playing() as stage:
            sfey = tomllib.loads(stage.config_file.read_text())["sfey"]
            [lane] = lanes_of(stage)
            own = {key: sfey[key] for key in ("client_cert_file", "client_key_file")}
            rewrite(stage, lanes=[lane | own])
            assert (await reloaded(stage)).accepted
            tap = stage.gate.tap()
            await stage.gate.verdict(tap)
            assert (await stage.settled(tap)).state == "approved"
            assert (await stage.story(tap)).credential == "door-1"


class TestRefused:
    """The old stays in force, and why is told."""

    @pytest.mark.parametrize(
        ("changes", "word"),
        [
            ({"operator": {"company_id": 1002}}, "operator.company_id is 1001 and would be 1002"),
            ({"keys": {"keep_held_days": 3}}, "keys.keep_held_days is 30 and would be 3"),
            ({"mode": "production"}, "mode"),
            ({"email": {"recipients": []}}, "email.recipients"),
            ({"nonsense": {"a": 1}}, "nonsense is not a known key"),
        ],
    )
    async def test_by_name(self, playing: Opens, changes: dict[str, Any], word: str) -> None:
        async with playing() as stage:
            [lane] = lanes_of(stage)
            before = (await stage.daemon.status())["config_digest"]
            rewrite(stage, changes, lanes=[lane | {"fare": 300}])
            result = await reloaded(stage)
            assert not result.accepted
            assert word in result.why
            status = await stage.daemon.status()
            assert status["config_digest"] == before
            assert status["reload"] == {"at": result.at, "accepted": False, "why": result.why, "changed": ()}
            assert await amount_of(stage, stage.gate) == 250, "half of a refused reload took effect"

    async def test_two_lanes_on_one_port(self, playing: Opens) -> None:
        async with playing() as stage:
            [lane] = lanes_of(stage)
            rewrite(stage, lanes=[lane, lane | {"name": "door-2"}])
            result = await reloaded(stage)
            assert "is the port of lane 'door-1' too" in result.why

    async def test_a_port_that_another_daemon_holds(self, playing: Opens) -> None:
        async with playing() as stage:
            taken = Line(stage.folder / "tty-taken")
            [lane] = lanes_of(stage)
            holder = await _holding(Path(taken.path))
            try:
                more = lane | {"name": "door-2", "port": str(taken.path)}
                rewrite(stage, lanes=[lane | {"fare": 300}, more])
                result = await reloaded(stage)
                assert not result.accepted
                assert f"is in use by process {holder.pid}" in result.why
                assert await amount_of(stage, stage.gate) == 250
            finally:
                holder.kill()
                await holder.wait()
                taken.pull()
            assert (await reloaded(stage)).accepted
            assert [lane.state.state for lane in stage.daemon.lanes] == ["ready", "offline"]
            assert await amount_of(stage, stage.gate) == 300

    async def test_a_file_that_is_gone_and_one_that_is_not_toml(self, playing: Opens) -> None:
        async with playing() as stage:
            text = stage.config_file.read_text()
            stage.config_file.unlink()
            assert "cannot be read" in (await reloaded(stage)).why
            stage.config_file.write_text("mode = \n")
            assert "not TOML at line 1" in (await reloaded(stage)).why
            stage.config_file.write_text(text)
            result = await reloaded(stage)
            assert (result.accepted, result.changed) == (True, ())


async def _holding(port: Path) -> asyncio.subprocess.Process:
    """Another process that claims the port as a daemon does."""
    script = (
        "import sys, time\nfrom tpsd.link.serial import SerialPort\n"
        f"SerialPort({str(port)!r}, 115200).lock()\nprint('held', flush=True)\nsys.stdin.read()\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"held\n"
    return process
