"""Serial ports and ptys: opened by pyserial, moved by the event loop (its asyncio companions swallow writes)."""

from __future__ import annotations

import asyncio
import os
import termios
from pathlib import Path

import serial

from tpsd.errors import PortError
from tpsd.lockfile import HeldByOtherError, LockFile
from tpsd.ports import LinkLostError

READ_BYTES = 4096  # a third of a second at 115,200 baud: the loop is never that late
WRITE_BYTES_MAX = 65_536  # a port that takes nothing for that long is dead; the session's timers say so, not memory
LOCK_FOLDERS = (Path("/run/lock"), Path("/tmp"))


class SerialPort:
    """A device by its stable name. ``lock`` once at start; ``open`` as often as it comes back.

    What is claimed is the device that the name means at the time, and the name itself while there is none: a
    number that a replugged device left may be another daemon's next.
    """

    def __init__(self, name: str, baud: int) -> None:
        self.name = name
        self._baud = baud
        self._claims = False
        self._claimed: str | None = None
        self._lock: LockFile | None = None

    def lock(self) -> None:
        """Claim the port for this process. Raises PortError naming the holder."""
        self._claims = True
        real = os.path.realpath(self.name)
        if real != self._claimed:
            self._let_go()
            self._lock, self._claimed = self._claim(real), real

    def release(self) -> None:
        """Give the claim back."""
        self._claims = False
        self._let_go()

    async def open(self, wake: asyncio.Event) -> SerialTransport:
        """Open exclusively, raw, with its input flushed. Raises PortError."""
        if self._claims:
            self.lock()
        try:
            device = serial.Serial(self.name, self._baud, timeout=0, write_timeout=0, exclusive=True)
        except (serial.SerialException, OSError, ValueError) as exc:
            raise PortError(f"{self.name} cannot be opened: {_words(exc)}") from exc
        return SerialTransport(device, wake)

    def _let_go(self) -> None:
        if self._lock is not None:
            self._lock.release()
        self._lock = self._claimed = None

    def _claim(self, path: str) -> LockFile:
        folder = next(folder for folder in LOCK_FOLDERS if os.access(folder, os.W_OK))
        try:
            return LockFile(folder / f"tpsd-{path.strip('/').replace('/', '-')}.lock")
        except HeldByOtherError as exc:
            raise PortError(f"{self.name} is in use by process {exc.holder}: a port has one daemon") from exc
        except OSError as exc:
            raise PortError(f"{self.name}: its lock file cannot be made: {exc.strerror}") from exc


class SerialTransport:
    """An open serial port whose descriptor the event loop watches."""

    def __init__(self, device: serial.Serial, wake: asyncio.Event) -> None:
        self._device = device
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._descriptor: int = device.fileno()
        self._received = bytearray()
        self._unsent = bytearray()
        self._lost: str | None = None
        self._loop.add_reader(self._descriptor, self._readable)

    def take(self) -> bytes:
        """What has arrived since the last call."""
        if not self._received and self._lost is not None:
            raise LinkLostError(self._lost)
        data = bytes(self._received)
        self._received.clear()
        return data

    def write(self, data: bytes) -> None:
        """Write what the port takes now, the rest when it is ready."""
        if self._lost is not None or len(self._unsent) + len(data) > WRITE_BYTES_MAX:
            return
        was_empty = not self._unsent
        self._unsent += data
        if was_empty:
            self._writable()
            if self._unsent and self._lost is None:
                self._loop.add_writer(self._descriptor, self._writable)

    def set_rate(self, baud: int) -> None:
        """Set the port, and drop what waits."""
        self._received.clear()
        self._unsent.clear()
        try:
            self._device.baudrate = baud
            self._device.reset_input_buffer()
            self._device.reset_output_buffer()
        except (serial.SerialException, OSError, ValueError, termios.error) as exc:
            raise LinkLostError(f"{baud} baud cannot be set: {_words(exc)}") from exc

    async def close(self) -> None:
        """Stop watching and close."""
        self._forget()
        try:
            self._device.close()
        except (OSError, termios.error):
            self._device.fd = None  # the device went with its descriptor

    def _readable(self) -> None:
        try:
            data = os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return
        except OSError as exc:
            self._lose(f"read failed: {exc.strerror}")
            return
        if not data:
            self._lose("the device is gone")
            return
        self._received += data
        self._wake.set()

    def _writable(self) -> None:
        try:
            sent = os.write(self._descriptor, self._unsent)
        except BlockingIOError:
            return
        except OSError as exc:
            self._lose(f"write failed: {exc.strerror}")
            return
        del self._unsent[:sent]
        if not self._unsent:
            self._loop.remove_writer(self._descriptor)

    def _lose(self, why: str) -> None:
        self._lost = why
        self._forget()
        self._wake.set()

    def _forget(self) -> None:
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            self._loop.remove_writer(self._descriptor)
            self._descriptor = -1


def _words(exc: Exception) -> str:
    return getattr(exc, "strerror", None) or str(exc)
