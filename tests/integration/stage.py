"""The real daemon in this process with real other ends: validators on ptys, TPS over TLS, an SMTP server.

The schedule clock stands still from the start and goes on only in ``pass_time``, so that minutes are exact.
Nothing of the daemon is replaced: what a test wants to happen, one of the other ends does.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from tests import configurations
from tests.integration.gate import BOUND_SECONDS, VISA, Gate, Line, Tap, until
from tpsd.app import assembled
from tpsd.config import load
from tpsd.daemon import Daemon, World
from tpsd.demo.clock import WarpClock
from tpsd.domain.time import MINUTE, Micros
from tpsd.domain.views import TapFilter, TapRow, TapStory
from tpsd.errors import NotFoundError
from tpsd.sfey.certificates import Files, server_context
from tpsd.sfey.fates import Choose, by_amount
from tpsd.sfey.ledger import Ledger
from tpsd.sfey.simulator import Simulator

__all__ = ["VISA", "Gate", "Line", "PostOffice", "Stage", "Tap", "configuration", "opened", "until"]

SEND_SECONDS = 5.0  # nothing here may hang on a slow machine; tests of silence set less
LOOPS_ON_THE_CLOCK = 4  # dispatcher, mailer, uplink and attendant
DOOR = "door-{}"


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


class Stage:
    """Everything around the daemon, and the daemon while ``daemon_running``."""

    def __init__(
        self, folder: Path, clock: WarpClock, tps: Simulator, lanes: int, seed: int, first_serial: int = 1
    ) -> None:
        self.folder = folder
        self.clock = clock
        self.tps = tps
        self.seed = seed
        self.post = PostOffice()
        self.lines = [Line(folder / f"tty-{number}") for number in range(1, lanes + 1)]
        serials = range(first_serial, first_serial + lanes)
        self.gates = [Gate(f"VAL{number:05d}", clock) for number in serials]
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
                    told = [gate.validator for gate in self.gates]
                    await self.until(lambda: all(one.lane_open is not None for one in told), "CONFIG after preflight")
                yield daemon
            finally:
                daemon.stop()
                async with asyncio.timeout(BOUND_SECONDS):
                    await running
                self._daemon = self._running = None
                for gate in self.gates:
                    gate.unplug()

    async def died(self) -> None:
        """Returns when the daemon has ended by itself."""
        assert self._running is not None
        await asyncio.wait((self._running,))

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
            busy = (
                daemon.dispatcher.in_flight
                or daemon.authoriser.in_flight
                or daemon.mailer.busy
                or (daemon.enquirer and daemon.enquirer.busy)
                or (daemon.leaseholder and not daemon.leaseholder.holds)
            )
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

    async def check_money(self) -> None:
        """What TPS charged is what the journal says; rows apart of which nobody knows, or that still work."""
        query = """SELECT uuid, state, coalesce(approved_amount, amount) FROM authorisation
                   WHERE state IN ('approved', 'declined', 'tap_refused', 'not_charged')
                      OR (state = 'failed' AND may_have_charged = 0)"""
        rows = await self.daemon.journal._writer.read(lambda connection: list(connection.execute(query)))
        charged = {charge.uuid: charge.amount for charge in self.tps.ledger.charges()}  # no row is final before
        for uuid, state, amount in rows:
            assert charged.get(uuid) == (amount if state == "approved" else None), (uuid, state)

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
    clock: WarpClock | None = None,
    tps_wall: Callable[[], Micros] | None = None,
    zones: Sequence[str] = (),
    ledger: Ledger | None = None,
    first_serial: int = 1,
) -> AsyncIterator[Stage]:
    """A stage in ``folder``. ``changes`` go into the configuration, ``lane_changes`` into each of its lanes (None takes
    a key away); ``zones`` are where the lanes stand.

    ``clock`` is the daemon's and its validators', ``tps_wall`` what TPS says; by default one that stands still is all.
    Stages whose daemons share a journal share TPS's ``ledger``; their seeds and their validators' serials differ.
    """
    if clock is None:
        clock = WarpClock()
        clock.stand_still()
    tps = Simulator(choose, ledger=ledger, wall=tps_wall or clock.wall)
    stage = Stage(folder, clock, tps, lanes, seed, first_serial)
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
            given["lanes"] = [_without_none(lane | dict(lane_changes or {})) for lane in given["lanes"]]
            for lane, zone in zip(given["lanes"], zones, strict=False):
                lane["zone"] = zone
            configurations.write(folder, configurations.changed(given, dict(changes or {})))
            yield stage
    finally:
        await stage.close()


def _without_none(lane: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in lane.items() if value is not None}


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
