"""The daemon's door: a real unix socket, real HTTP, a journal that is a list."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tpsd.admin.client import NoDaemonError, ask
from tpsd.admin.plain import plain
from tpsd.admin.server import AdminServer
from tpsd.cli import app
from tpsd.domain.tap import Kind, Verdict
from tpsd.domain.time import Micros
from tpsd.domain.views import AttemptRow, NoticeLine, TapFilter, TapRow, TapStory
from tpsd.errors import ConfigError, JournalError, NotFoundError, TpsdError

STATUS = {"journal": {"taps": 1, "states": {"pending": 1}}, "lanes": [], "mode": "test", "in_flight": 0, "clock": "x"}


def row(number: int, lane: str = "gate-1", state: str | None = "pending") -> TapRow:
    return TapRow(
        number=number,
        tap_id=f"VAL00042:3:{number}",
        lane=lane,
        terminal="GATE-X1:VAL00042",
        kind="MTT",
        tapped_at=Micros(1_790_000_000_000_000 + number),
        received_at=Micros(1_790_000_000_100_000),
        amount=250,
        currency="978",
        masked="476173******0119",
        verdict=1,
        reason="ok",
        disposition=None,
        repeats=0,
        unseen=False,
        uuid="0b2b8a4e-7d3f-4c11-9a55-5d1f6f0e7a21",
        state=state,
        cause=None,
        attempts=1,
        due=Micros(1_790_000_060_000_000),
        may_have_charged=False,
    )


class ListedTaps:
    """The journal's reading methods over a list."""

    def __init__(self, rows: Sequence[TapRow]) -> None:
        self.rows = rows
        self.asked: list[TapFilter] = []
        self.fault: Exception | None = None

    async def taps(self, which: TapFilter) -> Sequence[TapRow]:
        self.asked.append(which)
        if self.fault is not None:
            raise self.fault
        found = [tap for tap in self.rows if which.lane in (None, tap.lane) and which.state in (None, tap.state)]
        return found[: which.limit]

    async def story(self, reference: str) -> TapStory:
        for tap in self.rows:
            if reference in (str(tap.number), tap.tap_id):
                attempt = AttemptRow(1, 1, "ladder", Micros(1), None, None, None, True)
                notice = NoticeLine("held", "system.41@GATE-X1:VAL00042", Micros(2), None, None)
                return TapStory(tap, "ab" * 32, None, "0" * 16, "/p", "common", True, (attempt,), (notice,))
        raise NotFoundError(f"no tap {reference}")


@pytest.fixture
def journal() -> ListedTaps:
    return ListedTaps([row(2), row(1, lane="gate-2", state="held")])


@asynccontextmanager
async def serving(path: Path, journal: ListedTaps) -> AsyncIterator[AdminServer]:
    async def status() -> dict[str, Any]:
        return dict(STATUS)

    server = AdminServer(path, journal, status)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def test_status_taps_and_one_tap(tmp_path: Path, journal: ListedTaps) -> None:
    path = tmp_path / "tpsd.sock"
    async with serving(path, journal):
        assert await ask(path, "/status") == STATUS
        taps = (await ask(path, "/taps"))["taps"]
        assert [tap["number"] for tap in taps] == [2, 1]
        assert taps[0] == plain(row(2))
        story = await ask(path, "/taps/VAL00042%3A3%3A2")
        assert story["tap"]["number"] == 2
        assert story["attempts"][0]["reason"] == "ladder"
        assert story["notices"][0]["mailed_at"] is None
    assert not path.exists()


async def test_filters_reach_the_journal(tmp_path: Path, journal: ListedTaps) -> None:
    path = tmp_path / "tpsd.sock"
    async with serving(path, journal):
        params = {"lane": "gate-2", "state": "held", "cause": "a@b&c", "limit": "7"}
        found = await ask(path, "/taps", params)
    assert [tap["number"] for tap in found["taps"]] == [1]
    assert journal.asked == [TapFilter("gate-2", "held", "a@b&c", 7)]


@pytest.mark.parametrize(
    ("path", "params", "error", "message"),
    [
        ("/taps", {"limit": "0"}, TpsdError, "limit '0' is not a number from 1 to 1000; ask for fewer rows"),
        ("/taps", {"limit": "1001"}, TpsdError, "limit '1001'"),
        ("/taps", {"limit": "²"}, TpsdError, "limit"),
        ("/taps", {"color": "red"}, TpsdError, "unknown filter 'color'; known are lane, state, cause, limit"),
        ("/taps/99", None, NotFoundError, "no tap 99; list what there is with: tpsd taps"),
        ("/elsewhere", None, NotFoundError, "no such page; ask for /status"),
    ],
)
async def test_wrong_questions_get_what_to_do(
    tmp_path: Path, journal: ListedTaps, path: str, params: dict[str, str] | None, error: type[Exception], message: str
) -> None:
    socket_file = tmp_path / "tpsd.sock"
    async with serving(socket_file, journal):
        with pytest.raises(error) as caught:
            await ask(socket_file, path, params)
    assert message in str(caught.value)


@pytest.mark.logs_card_numbers
async def test_the_journals_trouble_is_told_and_surprises_are_not(tmp_path: Path, journal: ListedTaps) -> None:
    path = tmp_path / "tpsd.sock"
    async with serving(path, journal):
        journal.fault = JournalError("the disk is full")
        with pytest.raises(TpsdError, match="the disk is full; see the daemon's log"):
            await ask(path, "/taps")
        journal.fault = RuntimeError("4761739001010119")
        with pytest.raises(TpsdError, match="the daemon could not answer; see the daemon's log") as caught:
            await ask(path, "/taps")
        assert "4761" not in str(caught.value)
        journal.fault = None
        assert len((await ask(path, "/taps"))["taps"]) == 2


async def test_only_get_is_answered(tmp_path: Path, journal: ListedTaps) -> None:
    path = tmp_path / "tpsd.sock"
    async with serving(path, journal):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"POST /taps HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        answer = (await asyncio.wait_for(reader.read(), 5)).decode()
        writer.close()
        await writer.wait_closed()
    head, _, body = answer.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 405")
    assert set(json.loads(body)) == {"error", "what_to_do"}


async def test_the_socket_is_for_owner_and_group(tmp_path: Path, journal: ListedTaps) -> None:
    path = tmp_path / "tpsd.sock"
    before = os.umask(0)
    try:
        async with serving(path, journal):
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
    finally:
        assert os.umask(before) == 0


async def test_a_dead_daemons_socket_is_replaced(tmp_path: Path, journal: ListedTaps) -> None:
    path = tmp_path / "tpsd.sock"
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    dead.bind(str(path))
    dead.close()
    with pytest.raises(NoDaemonError, match="no daemon listens on"):
        await ask(path, "/status")
    async with serving(path, journal):
        assert await ask(path, "/status") == STATUS


async def test_a_living_daemons_socket_is_left_alone(tmp_path: Path, journal: ListedTaps) -> None:
    path = tmp_path / "tpsd.sock"
    async with serving(path, journal):
        with pytest.raises(ConfigError, match=r"another daemon answers on admin\.socket"):
            async with serving(path, journal):
                pytest.fail("a second daemon took the socket")
        assert await ask(path, "/status") == STATUS


async def test_what_is_not_a_socket_is_left_alone(tmp_path: Path, journal: ListedTaps) -> None:
    path = tmp_path / "tpsd.sock"
    path.write_text("precious")
    with pytest.raises(ConfigError, match="is there and is not a socket"):
        async with serving(path, journal):
            pytest.fail("a file was replaced")
    assert path.read_text() == "precious"
    with pytest.raises(ConfigError, match=r"cannot be made \(No such file or directory\); create its folder"):
        async with serving(tmp_path / "none" / "tpsd.sock", journal):
            pytest.fail("a folder appeared")


async def test_stopping_leaves_a_successors_socket(tmp_path: Path, journal: ListedTaps) -> None:
    path = tmp_path / "tpsd.sock"
    async with serving(path, journal) as first:
        path.unlink()
        async with serving(path, journal):
            await first.stop()
            assert await ask(path, "/status") == STATUS


async def test_a_daemon_that_hangs_up_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "tpsd.sock"
    with pytest.raises(TpsdError, match="did not answer as it should"):
        async with mute(path):
            await ask(path, "/status")


@asynccontextmanager
async def mute(path: Path) -> AsyncIterator[None]:
    """Something that listens and hangs up."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_unix_server(hang_up, path)
    async with server:
        yield


async def test_the_commands_over_the_socket(tmp_path: Path, journal: ListedTaps) -> None:
    path = tmp_path / "tpsd.sock"

    async def tpsd(*arguments: str) -> tuple[int, str]:
        result = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--socket", str(path)])
        return result.exit_code, result.stdout

    async with serving(path, journal):
        code, out = await tpsd("taps", "--lane", "gate-1", "--limit", "3", "--json")
        assert code == 0
        assert [tap["number"] for tap in json.loads(out)["taps"]] == [2]
        assert journal.asked[-1] == TapFilter("gate-1", None, None, 3)
        code, out = await tpsd("taps")
        assert "476173******0119" in out
        assert "held" in out
        code, out = await tpsd("show", "VAL00042:3:1", "--json")
        assert json.loads(out)["tap"]["lane"] == "gate-2"
        code, out = await tpsd("show", "1")
        assert code == 0
        assert "system.41@GATE-X1:VAL00042" in out
        assert "2026-09-21T14:13:20.000Z" in out
        code, out = await tpsd("show", "77", "--json")
        assert code == 1
        assert "no tap 77" in json.loads(out)["error"]
        code, out = await tpsd("watch", "--json")
        assert json.loads(out) == STATUS


def test_values_as_json() -> None:
    assert plain({"a": (Kind.MTT, Verdict.DENIED, None, 1.5)}) == {"a": ["MTT", 2, None, 1.5]}
    with pytest.raises(TypeError, match="bytes has no JSON form"):
        plain({"card": b"\x47\x61"})
