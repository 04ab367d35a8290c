"""The real daemon in this process with real other ends: validators on ptys, TPS over TLS, an SMTP server.

The schedule clock stands still from the start and goes on only in ``pass_time``, so that minutes are exact.
Nothing of the daemon is replaced: what a test wants to happen, one of the other ends does.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import pty
import random
import secrets
import socket
import tty
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from device.tlv import Tlv
from device.vl1.cards import CARDS, SimulatedCard, read
from device.vl1.codes import Oda, Shown
from device.vl1.greeting import TapNumber
from device.vl1.messages import StatusMessage, VerdictMessage
from device.vl1.simulator import NEW, SimulatedValidator
from device.vl1.simulator_events import ConfigReceived, SimulatorEvent, TapVerdict
from device.vl1.tap_memory import ValidatorState
from device.vl1.tap_message import TapMessage
from tests import configurations
from tpsd.app import Daemon, World, assembled
from tpsd.config import load
from tpsd.demo.clock import WarpClock
from tpsd.domain.time import MINUTE, Micros
from tpsd.domain.views import TapFilter, TapRow, TapStory
from tpsd.errors import NotFoundError
from tpsd.sfey.certificates import Files, server_context
from tpsd.sfey.fates import Choose, by_amount
from tpsd.sfey.simulator import Simulator
from tpsd.simulated_lane import SimulatedLane

BOUND_SECONDS = 20.0  # for anything that is waited for: far above what it takes on a busy machine
LOOK_SECONDS = 0.002
SEND_SECONDS = 5.0  # nothing here may hang on a slow machine; tests of silence set less
LOOPS_ON_THE_CLOCK = 3  # dispatcher, mailer and uplink
VISA = CARDS[0]
DOOR = "door-{}"


async def until(condition: Callable[[], Any], what: str, seconds: float = BOUND_SECONDS) -> Any:
    """What ``condition`` gives, or what comes of awaiting it, once it is true; fails with ``what`` in the end."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                found = condition()
                value = await found if inspect.isawaitable(found) else found
                if value:
                    return value
                await asyncio.sleep(LOOK_SECONDS)
    raise AssertionError(f"not within {seconds:g} s: {what}")


class PostOffice:
    """The mail server. ``replies`` are given to the next mails instead of taking them."""

    when_taken: Callable[[], None] | None = None

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.refused: list[EmailMessage] = []
        self.replies: deque[str] = deque()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        mail = message_from_bytes(content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        if self.replies:
            self.refused.append(mail)
            return self.replies.popleft()
        self.mails.append(mail)
        if self.when_taken is not None:
            self.when_taken()
        return "250 kept"


class Line:
    """A pty under a name that stays: ``path`` is a link, as udev makes one. The test holds the validator's end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.master = self._slave = -1
        self.plug()

    def plug(self) -> None:
        """A new device under the old name."""
        self.master, self._slave = pty.openpty()  # the slave stays open: a pty nobody holds loses what is written
        tty.setraw(self._slave)
        os.set_blocking(self.master, False)
        fresh = self.path.with_suffix(".new")
        fresh.symlink_to(os.ttyname(self._slave))
        fresh.replace(self.path)

    def pull(self) -> None:
        """The device goes, and its link with it, as udev takes it away."""
        self.path.unlink(missing_ok=True)
        for descriptor in (self.master, self._slave):
            if descriptor >= 0:
                os.close(descriptor)
        self.master = self._slave = -1


@dataclass(frozen=True, slots=True)
class Tap:
    """One tap as its validator made it."""

    serial: str
    number: TapNumber
    tapped_at: Micros
    amount: int | None
    payload: bytes = field(repr=False)

    @property
    def id(self) -> str:
        return f"{self.serial}:{self.number.boot}:{self.number.counter}"


class Gate:
    """A simulated validator. It waits for its verdicts for ever unless ``patience`` seconds are given."""

    def __init__(
        self,
        serial: str,
        clock: WarpClock,
        *,
        patience: float | None = None,
        when_late: Shown = Shown.LET_IN,
        type_name: str = "GATE-X1",
    ) -> None:
        self.serial = serial
        self.clock = clock
        self.rng = random.Random(serial)
        self.events: list[SimulatorEvent] = []
        self.verdicts: dict[TapNumber, TapVerdict] = {}
        self._type_name = type_name
        self._patience = patience
        self._when_late = when_late
        self._last_at = Micros(0)
        self._lane: SimulatedLane | None = None
        self.until = until
        self.validator = self._new(NEW)

    def plug(self, descriptor: int, *, patient: bool = True) -> None:
        """Begin to speak on a descriptor."""
        self._lane = SimulatedLane(self.validator, descriptor, self._on_event, patient=patient)
        self._lane.start()

    def unplug(self) -> None:
        """Fall silent."""
        if self._lane is not None:
            self._lane.stop()
            self._lane = None

    def replace(self, state: ValidatorState) -> None:
        """Another board with this memory, or the same one after a power cut; to be plugged in."""
        self.unplug()
        self.validator = self._new(state)

    @property
    def opened(self) -> list[bool | None]:
        """What CONFIG said of the lane, in order."""
        return [event.config.lane_open for event in self.events if isinstance(event, ConfigReceived)]

    def tap(self, amount: int | None = 250, card: SimulatedCard | tuple[Tlv, ...] = VISA, **fields: Any) -> Tap:
        """A card, or what a reader made of one, is held to it. ``fields`` as in TapMessage."""
        number, tapped_at = self.next()
        data = self.reading(card, amount or 0, tapped_at, number) if isinstance(card, SimulatedCard) else card
        given: dict[str, Any] = {"currency": None if amount is None else "978", "oda": Oda.GOOD, **fields}
        message = TapMessage(tap=number, tapped_at=tapped_at, amount=amount, card=data, **given)
        return self.send(message.encode(), number, tapped_at, amount)

    def next(self) -> tuple[TapNumber, Micros]:
        """The next tap's number and time."""
        state = self.validator.state()
        # The wire carries milliseconds, and the ledger knows a tap by its validator and time.
        self._last_at = Micros(max(self.clock.wall(), self._last_at + 1000) // 1000 * 1000)
        return TapNumber(state.boot, state.last_tap + 1), self._last_at

    def reading(self, card: SimulatedCard, amount: int, tapped_at: Micros, number: TapNumber) -> tuple[Tlv, ...]:
        """What the reader makes of a card."""
        return read(card, self.rng, amount=amount, currency="978", tapped_at=tapped_at, counter=number.counter)

    def send(self, payload: bytes, number: TapNumber, tapped_at: Micros, amount: int | None = None) -> Tap:
        """A tap with any payload; made without a line, it is kept until there is one."""
        if self._lane is None:
            said = self.validator.tap_payload(payload, asyncio.get_running_loop().time())
        else:
            said = self._lane.act(lambda now: self.validator.tap_payload(payload, now))
        assert said == number
        return Tap(self.serial, number, tapped_at, amount, payload)

    def say(self, status: StatusMessage) -> None:
        """How the validator is."""
        assert self._lane is not None
        self._lane.act(lambda now: self.validator.status(status, now))

    def again(self, tap: Tap) -> None:
        """The same bytes once more, as if the verdict had been lost."""
        del self.verdicts[tap.number]
        self.send(tap.payload, tap.number, tap.tapped_at)

    async def verdict(self, tap: Tap, seconds: float = BOUND_SECONDS) -> VerdictMessage:
        """Waits for a tap's verdict."""
        await self.until(lambda: tap.number in self.verdicts, f"the verdict of {tap}", seconds)
        return self.verdicts[tap.number].verdict

    async def is_up(self) -> None:
        """Waits for a session."""
        await self.until(lambda: self.validator.is_up, f"a session of {self.serial}")

    def _new(self, state: ValidatorState) -> SimulatedValidator:
        return SimulatedValidator(
            serial=self.serial,
            type_name=self._type_name,
            state=state,
            limit_seconds=self._patience,
            when_late=self._when_late,
        )

    def _on_event(self, event: SimulatorEvent) -> None:
        self.events.append(event)
        if isinstance(event, TapVerdict):
            assert event.tap not in self.verdicts
            self.verdicts[event.tap] = event


class Stage:
    """Everything around the daemon, and the daemon while ``daemon_running``."""

    def __init__(self, folder: Path, clock: WarpClock, tps: Simulator, lanes: int, seed: int) -> None:
        self.folder = folder
        self.clock = clock
        self.tps = tps
        self.seed = seed
        self.post = PostOffice()
        self.lines = [Line(folder / f"tty-{number}") for number in range(1, lanes + 1)]
        self.gates = [Gate(f"VAL{number:05d}", clock) for number in range(1, lanes + 1)]
        self.config_file = folder / "tpsd.toml"
        self._smtp_socket = _reserved()
        self._smtp: asyncio.Server | None = None
        self._daemon: Daemon | None = None
        self._running: asyncio.Task[None] | None = None

    @property
    def gate(self) -> Gate:
        """The only one, or the first."""
        return self.gates[0]

    @property
    def daemon(self) -> Daemon:
        """The running one."""
        assert self._daemon is not None
        return self._daemon

    @property
    def smtp_port(self) -> int:
        """Where the mail server is, or will be."""
        return int(self._smtp_socket.getsockname()[1])

    async def smtp_up(self) -> None:
        """From now on somebody listens there."""
        loop = asyncio.get_running_loop()
        self._smtp = await loop.create_server(lambda: SMTP(self.post), sock=self._smtp_socket.dup())

    async def smtp_down(self) -> None:
        """From now on connections are refused."""
        if self._smtp is not None:
            port = self.smtp_port
            self._smtp.close()
            await self._smtp.wait_closed()
            self._smtp = None
            self._smtp_socket.close()
            self._smtp_socket = _reserved(port)

    @contextlib.asynccontextmanager
    async def daemon_running(
        self, *, plug: bool = True, before: Callable[[Daemon], None] = lambda daemon: None
    ) -> AsyncIterator[Daemon]:
        """The daemon, with its validators in session. ``before`` sees it before it runs."""
        async with assembled(load(self.config_file), World(self.clock, random.Random(self.seed))) as daemon:
            before(daemon)
            self._daemon = daemon
            running = self._running = asyncio.create_task(daemon.run())
            try:
                await self.until(
                    lambda: all(lane.state.state != "offline" for lane in daemon.lanes) or not plug, "ports"
                )
                if plug:
                    for gate, line in zip(self.gates, self.lines, strict=True):
                        gate.until = self.until
                        gate.plug(line.master)
                    for gate in self.gates:
                        await gate.is_up()
                yield daemon
            finally:
                daemon.stop()
                async with asyncio.timeout(BOUND_SECONDS):
                    await running
                self._daemon = self._running = None
                for gate in self.gates:
                    gate.unplug()

    async def until(self, condition: Callable[[], Any], what: str, seconds: float = BOUND_SECONDS) -> Any:
        """As ``until``; a daemon that died says why at once."""

        def alive() -> Any:
            if self._running is not None and self._running.done():
                self._running.result()
                raise AssertionError(f"the daemon stopped while this was waited for: {what}")
            return condition()

        return await until(alive, what, seconds)

    async def pass_time(self, enough: Callable[[], bool] = lambda: False) -> None:
        """Jump from due time to due time while nothing is in flight, until nothing is due or it is enough."""
        daemon = self.daemon

        def jumped() -> bool:
            if enough():
                return True
            loops = LOOPS_ON_THE_CLOCK + (daemon.enquirer is not None)
            busy = daemon.dispatcher.in_flight or daemon.mailer.busy or (daemon.enquirer and daemon.enquirer.busy)
            if busy or not self.clock.quiet(loops):
                return False
            due = self.clock.next_due()
            if due is not None:
                self.clock.jump(due)
            return due is None

        await self.until(jumped, "an end of the due times", 3 * BOUND_SECONDS)

    async def row(self, tap: Tap) -> TapRow:
        """The journal's row of a tap; fails when there is none."""
        return (await self.story(tap)).tap

    async def story(self, tap: Tap) -> TapStory:
        """All the journal says of a tap."""
        return await self.daemon.journal.story(tap.id)

    async def settled(self, tap: Tap) -> TapRow:
        """The row once its authorisation is neither pending nor being sent."""

        async def done() -> TapRow | None:
            try:
                row = await self.row(tap)
            except NotFoundError:
                return None
            return row if row.state not in ("pending", "sending") else None

        row: TapRow = await self.until(done, f"the end of {tap}")
        return row

    async def rows(self) -> Sequence[TapRow]:
        """All taps of the journal, oldest first."""
        return (await self.daemon.journal.taps(TapFilter(limit=1000)))[::-1]

    def minutes(self, tap: Tap) -> list[float]:
        """When a tap's requests came to TPS, in minutes of the schedule clock after the first."""
        times = [request.at for request in self.tps.ledger.requests_of(tap.serial, tap.tapped_at)]
        return [(at - times[0]) / MINUTE for at in times]

    def check_books(self) -> None:
        """What must hold of TPS's ledger whatever happened: nothing charged twice, every repeat identical."""
        assert self.tps.ledger.duplicates() == []
        assert self.tps.ledger.violations == []

    async def close(self) -> None:
        """Take it down."""
        await self.smtp_down()
        self._smtp_socket.close()
        for line in self.lines:
            line.pull()


@contextlib.asynccontextmanager
async def opened(
    folder: Path,
    files: Files,
    *,
    lanes: int = 1,
    choose: Choose = by_amount,
    changes: Mapping[str, Any] | None = None,
    lane_changes: Mapping[str, Any] | None = None,
    tps_listens: bool = True,
    seed: int = 1,
) -> AsyncIterator[Stage]:
    """A stage in ``folder``. ``changes`` go into the configuration, ``lane_changes`` into each of its lanes."""
    clock = WarpClock()
    clock.stand_still()
    stage = Stage(folder, clock, Simulator(choose, wall=clock.wall), lanes, seed)
    try:
        await stage.smtp_up()
        async with contextlib.AsyncExitStack() as stack:
            if tps_listens:
                tls = server_context(files.server_cert, files.server_key, files.ca)
                url = (await stack.enter_async_context(stage.tps.serving(ssl_context=tls))).url
            else:
                nobody = stack.enter_context(_reserved())
                url = f"https://127.0.0.1:{nobody.getsockname()[1]}"
            given = configuration(folder, files, url, stage.smtp_port, [line.path for line in stage.lines])
            given["lanes"] = [lane | dict(lane_changes or {}) for lane in given["lanes"]]
            configurations.write(folder, configurations.changed(given, dict(changes or {})))
            yield stage
    finally:
        await stage.close()


def configuration(folder: Path, files: Files, url: str, smtp_port: int, ports: Sequence[Path]) -> dict[str, Any]:
    """A good configuration, its keys and folders made."""
    for name in ("kek", "salt"):
        key = folder / f"{name}.hex"
        key.touch(mode=0o600)
        key.write_text(secrets.token_hex(32))
    (folder / "journal").mkdir(mode=0o700, exist_ok=True)
    lanes = [
        {"name": DOOR.format(number), "port": str(port), "fare": 250, "amount_limit": 99_999}
        for number, port in enumerate(ports, start=1)
    ]
    return {
        "mode": "test",
        "operator": {"company_id": 1001, "stock_location_id": 42},
        "sfey": {
            "base_url": url,
            "ca_file": str(files.ca),
            "client_cert_file": str(files.client_cert),
            "client_key_file": str(files.client_key),
            "timeout_seconds": SEND_SECONDS,
        },
        "store": {"url": f"sqlite://{folder}/journal/journal.db"},
        "keys": {"kek_file": "kek.hex", "token_key_file": "salt.hex", "epoch_dir": str(folder / "epochs")},
        "retry": {"jitter": 0.0},
        "email": {
            "smtp_url": f"smtp://127.0.0.1:{smtp_port}?starttls=never",
            "sender": "tpsd@transit.example",
            "recipients": ["operations@transit.example"],
        },
        "admin": {"socket": str(folder / "tpsd.sock")},
        "lanes": lanes,
    }


def _reserved(port: int = 0) -> socket.socket:
    """A bound socket on which nobody listens: connections to it are refused."""
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("127.0.0.1", port))
    return reserved
