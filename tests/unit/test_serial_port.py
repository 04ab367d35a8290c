"""An open serial port: its rate, and what waits when that is changed."""

from __future__ import annotations

import asyncio
import os
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.gate import Line, until
from tpsd.link.serial import SerialPort
from tpsd.ports import LinkLostError

INPUT_SPEED = 4  # of termios.tcgetattr's list


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    found = Line(tmp_path / "tty")
    yield found
    found.pull()


async def test_another_rate_drops_what_came_at_the_old_one(line: Line) -> None:
    wake = asyncio.Event()
    transport = await SerialPort(str(line.path), 115_200).open(wake)
    try:
        os.write(line.master, b"old")
        await until(wake.is_set, "the old bytes")
        assert termios.tcgetattr(line.master)[INPUT_SPEED] == termios.B115200
        transport.set_rate(57_600)
        assert termios.tcgetattr(line.master)[INPUT_SPEED] == termios.B57600
        assert transport.take() == b""
        wake.clear()
        os.write(line.master, b"new")
        await until(wake.is_set, "the new bytes")
        assert transport.take() == b"new"
        transport.write(b"said")
        assert os.read(line.master, 16) == b"said"
    finally:
        await transport.close()


async def test_a_device_that_is_gone_has_no_rate(line: Line) -> None:
    transport = await SerialPort(str(line.path), 115_200).open(asyncio.Event())
    line.pull()
    with pytest.raises(LinkLostError, match=r"^57600 baud cannot be set: "):
        transport.set_rate(57_600)
    await transport.close()
