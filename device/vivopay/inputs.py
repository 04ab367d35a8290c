"""Which input of the table an item from the line is. Plain functions: nothing is changed here."""

from __future__ import annotations

from device.vivopay.codes import ACTIVATE, CONFIGURATION, INTERIM, SERIAL, Status
from device.vivopay.commands import Command, burst_is_on, parse_serial
from device.vivopay.frames import Frame
from device.vivopay.garbage import Garbage, GarbageReason
from device.vivopay.limits import OVERHEAD
from device.vivopay.states import Input

ANSWERING = frozenset({Input.DONE, Input.REFUSED, Input.BURST})
"""What ends any command but 02-40."""

FINAL = frozenset({Input.TAP, Input.FAILED, Input.OVER, Input.INVALID})
"""What ends 02-40."""

_RESULTS = {
    Status.REQUEST_ONLINE: Input.TAP,
    Status.FAILED: Input.FAILED,
    Status.TIMED_OUT: Input.OVER,
    **dict.fromkeys(INTERIM, Input.INTERIM),
}


def of_garbage(item: Garbage) -> Input:
    """As many bytes as a frame has may have been one, and so the answer that is waited for."""
    if item.text is not None or (item.reason is GarbageReason.NOISE and item.size < OVERHEAD):
        return Input.NOISE
    return Input.DAMAGE


def of_answer(frame: Frame, asked: Command | None) -> Input:
    """An answer names only its command. 02-40 answers whenever it likes, everything else where it was asked."""
    if frame.command == ACTIVATE:
        return _of_result(frame)
    if asked is None or asked.command != frame.command:
        return Input.STRAY
    if frame.code != Status.OK:
        return Input.REFUSED
    if frame.command == SERIAL and parse_serial(frame.data) is None:
        return Input.REFUSED
    if frame.command == CONFIGURATION and burst_is_on(frame.data):
        return Input.BURST
    return Input.DONE


def _of_result(frame: Frame) -> Input:
    if frame.code == Status.OK:
        return Input.TAP if frame.data else Input.OVER
    known = frame.code in set(Status)
    return _RESULTS.get(Status(frame.code), Input.INVALID) if known else Input.INVALID
