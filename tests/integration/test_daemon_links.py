"""Lines that vanish, lines over TCP, bad lines, and many taps at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import Counter
from collections.abc import Iterator

import pytest

from device.vl1.events import SessionLost
from tests.integration.conftest import Opens
from tests.integration.lossy_wire import LossyWire
from tests.integration.stage import Gate, Line, Stage, Tap
from tpsd.errors import PortError
from tpsd.link.serial import SerialPort
from tpsd.sfey.fates import approve, never, scripted, slow
from tpsd.sfey.ledger import Reply, Request


class TerminalServer:
    """A validator behind a TCP port: what ``socket://`` connects to."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self._connection: socket.socket | None = None

    @property
    def url(self) -> str:
        return f"socket://127.0.0.1:{self._listener.getsockname()[1]}"

    async def plug(self, gate: Gate) -> None:
        """Wait for the daemon, and let the validator speak to it."""
        gate.plug(await self.connected(), patient=False)

    async def connected(self) -> int:
        """Wait for the daemon; the descriptor of its connection."""
        self._connection, _ = await asyncio.get_running_loop().sock_accept(self._listener)
        self._connection.setblocking(False)
        return self._connection.fileno()

    def cut(self, gate: Gate) -> None:
        """The connection ends; the port still listens."""
        gate.unplug()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._listener.close()


@contextlib.contextmanager
def terminal_servers(count: int) -> Iterator[list[TerminalServer]]:
    servers = [TerminalServer() for _ in range(count)]
    try:
        yield servers
    finally:
        for server in servers:
            server.close()


def socket_lanes(servers: list[TerminalServer]) -> dict[str, object]:
    return {"lanes": [{"name": f"net-{n}", "port": server.url, "fare": 250} for n, server in enumerate(servers, 1)]}


async def test_the_port_vanishes_and_comes_back_under_another_number(playing: Opens) -> None:
    async with playing() as stage:
        [line], [lane], gate = stage.lines, stage.daemon.lanes, stage.gate
        before = gate.tap()
        await gate.verdict(before)
        gate.unplug()
        line.pull()
        await stage.until(lambda: lane.state.state == "offline", "the loss to be noticed")
        meanwhile = gate.tap()
        line.plug()
        gate.plug(line.master)
        assert (await gate.verdict(meanwhile)).verdict == 1
        assert lane.state.state == "ready"
        for tap in (before, meanwhile):
            assert (await stage.settled(tap)).state == "approved"
        assert len(await stage.rows()) == 2


async def test_a_device_is_claimed_for_as_long_as_it_has_its_number(playing: Opens) -> None:
    async with playing() as stage:
        [line], [lane] = stage.lines, stage.daemon.lanes
        first = os.path.realpath(line.path)
        mine = SerialPort(first, 115_200)
        with pytest.raises(PortError, match=f"is in use by process {os.getpid()}"):
            mine.lock()
        stage.gate.unplug()
        line.pull()
        await stage.until(lambda: lane.state.state == "offline", "the daemon to let go of it")
        spare = Line(line.path.with_name("spare"))  # it gets the number that has become free
        line.plug()
        stage.gate.plug(line.master)
        await stage.until(lambda: lane.state.state == "ready", "the device under its new number")
        second = os.path.realpath(line.path)
        assert second != first
        if os.path.realpath(spare.path) == first:  # else a process beside this one was quicker
            mine.lock()
            mine.release()
        for name in (second, str(line.path)):
            with pytest.raises(PortError, match="is in use"):
                SerialPort(name, 115_200).lock()
        spare.pull()


async def test_a_port_that_is_not_there_yet(open_stage: Opens) -> None:
    async with open_stage() as stage:
        stage.lines[0].pull()
        async with stage.daemon_running(plug=False) as daemon:
            [lane] = daemon.lanes
            await stage.until(lambda: "cannot be opened" in lane.state.reason, "the reason")
            stage.lines[0].plug()
            stage.gate.plug(stage.lines[0].master)
            tap = stage.gate.tap()
            assert (await stage.gate.verdict(tap)).verdict == 1


async def test_lanes_over_tcp_and_a_connection_that_breaks(open_stage: Opens) -> None:
    with terminal_servers(2) as servers:
        async with open_stage(lanes=2, changes=socket_lanes(servers)) as stage:
            async with stage.daemon_running(plug=False) as daemon:
                for server, gate in zip(servers, stage.gates, strict=True):
                    await server.plug(gate)
                taps = [gate.tap() for gate in stage.gates]
                for gate, tap in zip(stage.gates, taps, strict=True):
                    assert (await gate.verdict(tap)).verdict == 1
                servers[0].cut(stage.gate)
                await stage.until(lambda: daemon.lanes[0].state.state == "offline", "the loss to be noticed")
                await stage.until(lambda: daemon.lanes[1].state.state == "ready", "the other lane to be looked at")
                taps.append(stage.gate.tap())
                await servers[0].plug(stage.gate)
                assert (await stage.gate.verdict(taps[-1])).verdict == 1
                for tap in taps:
                    assert (await stage.settled(tap)).state == "approved"
            stage.check_books()


async def test_a_tcp_lane_where_nobody_listens(open_stage: Opens) -> None:
    with terminal_servers(1) as [server]:
        url = server.url
    changes = {"lanes": [{"name": "net-1", "port": url, "fare": 250}]}
    async with open_stage(changes=changes) as stage, stage.daemon_running(plug=False) as daemon:
        reason = await stage.until(lambda: daemon.lanes[0].state.reason, "the reason")
        assert reason.startswith(f"{url} cannot be reached: ")


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_fifth_of_all_frames_come_to_harm(open_stage: Opens, seed: int) -> None:
    """Every tap gets its verdict, is one row, and is charged once."""
    async with open_stage(lanes=3, seed=seed) as stage:
        async with stage.daemon_running(plug=False):
            wires = [LossyWire(line.master, seed + n, 0.2) for n, line in enumerate(stage.lines)]
            try:
                for wire, gate in zip(wires, stage.gates, strict=True):
                    wire.start()
                    gate.plug(wire.far, patient=False)
                taps = [(gate, gate.tap()) for _ in range(10) for gate in stage.gates]
                for gate, tap in taps:
                    assert (await gate.verdict(tap, 40.0)).verdict == 1
                    assert (await stage.settled(tap)).state == "approved"
            finally:
                for gate, wire in zip(stage.gates, wires, strict=True):
                    gate.unplug()
                    wire.stop()
            harmed = sum(direction.harmed for wire in wires for direction in wire.directions)
            assert harmed > 10
            assert sorted(str(row.tap_id) for row in await stage.rows()) == sorted(tap.id for _, tap in taps)
            assert len(stage.tps.ledger.charges()) == len(taps)
        stage.check_books()


async def test_a_stuck_tap_delays_no_other(playing: Opens) -> None:
    async with playing(choose=scripted({666: (never(),)}), changes={"sfey": {"timeout_seconds": 6}}) as stage:
        stuck = stage.gate.tap(666)
        await stage.gate.verdict(stuck)
        await stage.until(stage.tps.ledger.requests, "the stuck send")
        others = [stage.gate.tap(250) for _ in range(10)]
        for tap in others:
            await stage.gate.verdict(tap)
            assert (await stage.settled(tap)).state == "approved"
        assert (await stage.row(stuck)).state == "sending"


async def test_never_more_sends_at_once_than_configured(playing: Opens) -> None:
    fates = scripted({}, otherwise=lambda asked: (slow(0.5, approve()),))
    async with playing(lanes=3, choose=fates, changes={"retry": {"concurrency": 4}}) as stage:
        taps = await tap_all(stage, 4)
        for tap in taps:
            await stage.settled(tap)
        assert busiest(stage) == 4


async def tap_all(stage: Stage, each: int) -> list[Tap]:
    taps = [(gate, gate.tap()) for _ in range(each) for gate in stage.gates]
    for gate, tap in taps:
        await gate.verdict(tap)
    return [tap for _, tap in taps]


def busiest(stage: Stage) -> int:
    """The most requests that TPS had before it at one time."""
    most = now = 0
    for entry in stage.tps.ledger.entries:
        now += isinstance(entry, Request) - isinstance(entry, Reply)
        most = max(most, now)
    return most


async def test_the_daemon_stops_while_a_port_is_away(open_stage: Opens) -> None:
    async with open_stage() as stage, stage.daemon_running():
        stage.gate.unplug()
        stage.lines[0].pull()
        await stage.until(lambda: stage.daemon.lanes[0].state.state == "offline", "the loss to be noticed")


async def test_a_validator_that_restarts(playing: Opens) -> None:
    """Its memory of taps survives, and so does everything that was made before its session."""
    async with playing() as stage:
        gate = stage.gate
        gate.unplug()
        taps = [gate.tap() for _ in range(3)]
        gate.replace(gate.validator.state())
        gate.plug(stage.lines[0].master)
        for tap in taps:
            assert (await gate.verdict(tap)).verdict == 1
            assert (await stage.settled(tap)).state == "approved"
        assert Counter(type(event) for event in gate.events)[SessionLost] == 0
