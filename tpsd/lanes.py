"""The daemon's lanes: made from their sections of the configuration, started, changed by a reload, stopped.

A lane whose section did not change is not disturbed: its port stays open, its session lives.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import structlog

from device.vivopay.commands import Transaction
from schemas.config import Configuration
from schemas.config import Lane as LaneSection
from tpsd import config as settings
from tpsd.config.changes import LaneChanges, language_of
from tpsd.config.keys import read_hex_key, read_ttk
from tpsd.core.candidate import CardKeys, LanePolicy, Operator, Setting
from tpsd.core.device_keys import SALT, TTK, check_value
from tpsd.core.texts import load as load_texts
from tpsd.domain.time import HOUR, SECOND
from tpsd.errors import ConfigError, PortError
from tpsd.link.naming import port_named
from tpsd.link.network import NetworkPort
from tpsd.link.reconnect import LONGEST_NETWORK_SECONDS, LONGEST_SECONDS, Backoff
from tpsd.link.serial import SerialPort
from tpsd.link.vivopay import VivopayDevice
from tpsd.link.vl1 import Vl1Device
from tpsd.ports import Device, Journal, Port
from tpsd.sfey.messages import transaction
from tpsd.sfey.wire import DEVICE_V1, Profile, override
from tpsd.store.seal import KEY_BYTES
from tpsd.workers.reader import Lane, LaneParts

COMMON_CREDENTIAL = "common"  # [sfey]'s own certificate; a lane's is called by the lane's name

log = structlog.get_logger("tpsd")

MakeLane = Callable[[LaneParts, str, Setting], Lane]
"""From its parts, its name for people, and what taps are taken under."""

PortOf = Callable[[LaneSection], Port]
"""A lane's port, neither claimed nor opened. Raises ConfigError."""

MakeDevice = Callable[[LaneSection, Configuration, random.Random], Device]
"""What speaks with a lane's validator."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """Ports of lanes to come, by the lanes' names; ``late`` are those that lanes of ours have yet to give back."""

    ports: dict[str, Port]
    late: list[SerialPort] = field(default_factory=list)


class Lanes:
    """All lanes of a daemon; ``running`` lists them in the order of the configuration."""

    def __init__(
        self,
        config: Configuration,
        ports: Sequence[Port],
        port_of: PortOf,
        setting: Setting,
        make: MakeLane,
        rng: random.Random,
        device: MakeDevice | None = None,
    ) -> None:
        self.setting = setting
        self._port_of = port_of
        self._device = device or _device
        self._make = make
        self._rng = rng
        self._ports = {section.name: port for section, port in zip(config.lanes, ports, strict=True)}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._loops: asyncio.TaskGroup | None = None
        self.running = [self._lane(section, config) for section in config.lanes]

    def start(self, loops: asyncio.TaskGroup) -> None:
        """Run them all in that group."""
        self._loops = loops
        for lane in self.running:
            self._begin(lane)

    def stop(self) -> None:
        """Read no more."""
        self._loops = None
        for task in self._tasks.values():
            task.cancel()

    def release(self) -> None:
        """Give back the claims on serial ports."""
        for port in self._ports.values():
            _release(port)

    def claim(self, new: Configuration, changes: LaneChanges) -> Claimed:
        """The ports of lanes to come, claimed as far as nobody here holds them yet. Raises PortError, holding none."""
        coming = {*changes.added, *changes.relinked}
        leaving = [self._ports[name] for name in (*changes.removed, *changes.relinked) if name in self._ports]
        ours = {path for port in leaving for path in _paths(port)}
        claimed = Claimed({section.name: self._port_of(section) for section in new.lanes if section.name in coming})
        held: list[SerialPort] = []
        try:
            for port in claimed.ports.values():
                if not isinstance(port, SerialPort):
                    continue
                if ours & _paths(port):
                    claimed.late.append(port)
                else:
                    held.append(port)
                    port.lock()
        except PortError:
            for port in held:
                port.release()
            raise
        return claimed

    async def change(self, new: Configuration, changes: LaneChanges, claimed: Claimed, setting: Setting) -> None:
        """Put the new lanes in the old ones' place."""
        ports = claimed.ports
        await self._end((*changes.removed, *changes.relinked))
        for port in claimed.late:
            _claim_late(port)
        self._ports |= ports
        self.setting = setting
        there = {lane.state.name: lane for lane in self.running}
        kept = []
        for section in new.lanes:
            lane = there.get(section.name)
            if lane is None or section.name in ports:
                lane = self._lane(section, new)
                self._begin(lane)
            else:
                lane.adopt(policy_under(new, section), setting)
            kept.append(lane)
        self.running[:] = kept

    def honour(self, setting: Setting) -> None:
        """From the next tap on another setting, the policies as they are."""
        self.setting = setting
        for lane in self.running:
            lane.adopt(lane.policy, setting)

    def _lane(self, section: LaneSection, config: Configuration) -> Lane:
        device = self._device(section, config, self._rng)
        parts = _parts(section, self._ports[section.name], config, device, self._rng)
        return self._make(parts, section.alias or section.name, self.setting)

    def _begin(self, lane: Lane) -> None:
        if self._loops is not None:
            name = lane.state.name
            self._tasks[name] = self._loops.create_task(lane.run(), name=f"lane {name}")

    async def _end(self, names: Iterable[str]) -> None:
        tasks = {name: self._tasks.pop(name) for name in names if name in self._tasks}
        for task in tasks.values():
            task.cancel()
        if tasks:
            await asyncio.wait(tasks.values())
        for name in names:
            _release(self._ports.pop(name, None))


def setting_of(config: Configuration, journal: Journal) -> Setting:
    """What taps are taken under, with the keys read. Raises ConfigError."""
    private = config.mode == "production"
    keys = config.keys
    salt = None
    if keys.token_key_file is not None:
        salt = read_hex_key(keys.token_key_file, KEY_BYTES, "the token key (SALT)", private=private)
    ttk = None if keys.ttk_file is None else read_ttk(keys.ttk_file, private=private)
    profile = wire_profile(config)
    return Setting(
        operator=_operator(config),
        keys=CardKeys(salt, ttk),
        ladder=settings.ladder(config),
        production=private,
        config_digest=settings.config_digest(config),
        serialise=lambda request: transaction(profile, request),
        digest=journal.digest,
        clock_floor=settings.clock_floor(config),
        zones=settings.zones(config),
        enquires=config.sfey.afc_base_url is not None,
        journey_us=round(config.realtime.journey_hours * HOUR),
        gives_back=config.realtime.found_approved == "refund",
    )


def in_force(keys: CardKeys) -> dict[str, str]:
    """The check values of the keys that are used, by type."""
    used = {SALT: keys.salt, TTK: None if keys.ttk is None else keys.ttk.key}
    return {kind: check_value(kind, secret) for kind, secret in used.items() if secret is not None}


def setting_anew(before: Setting, config: Configuration) -> Setting:
    """The same keys and wire under another configuration: those do not change while the daemon runs."""
    return replace(
        before,
        operator=_operator(config),
        ladder=settings.ladder(config),
        config_digest=settings.config_digest(config),
        zones=settings.zones(config),
    )


def wire_profile(config: Configuration) -> Profile:
    """The wire profile with the configuration's overrides. Raises ConfigError."""
    return override(DEVICE_V1, config.sfey.wire)


def port_of(section: LaneSection) -> Port:
    """A lane's port, neither claimed nor opened. Raises ConfigError."""
    try:
        return port_named(section.port, section.baud)
    except ValueError as exc:
        raise ConfigError(f"lane {section.name}: {section.port} needs a host and a port, socket://host:port") from exc


def credential_of(section: LaneSection) -> str:
    """As whom a lane speaks to TPS: by its own certificate, else by the common one."""
    return section.name if section.client_cert_file is not None else COMMON_CREDENTIAL


def policy_of(section: LaneSection) -> LanePolicy:
    """What a lane allows and charges."""
    kinds = settings.kinds(section)
    return LanePolicy(
        name=section.name,
        kinds=kinds,
        kind=next(iter(kinds)) if len(kinds) == 1 else None,
        fare=section.fare,
        amount_limit=section.amount_limit,
        zero_allowed=section.zero_allowed,
        credential=credential_of(section),
        terminal_sn=section.terminal_sn,
        terminal_type=section.terminal_type,
        pass_back=settings.pass_back(section),
        pass_group=section.pass_back_group,
        untokenised_denied=section.untokenised == "deny",
        realtime=settings.is_realtime(section),
        verdict_us=round(section.verdict_seconds * SECOND),
        partial_accepted=section.partial == "accept",
        zone=section.zone,
        closes_old_journey=section.check_in_again == "close",
        stale_accepts_below=settings.stale_accepts_below(section),
    )


def policy_under(config: Configuration, section: LaneSection) -> LanePolicy:
    """What a lane allows and charges, alone in its pass-back group unless one is named.

    Other daemons that share the journal have lanes of the same name.
    """
    policy = policy_of(section)
    if policy.pass_group is not None or settings.database_url(config) is None:
        return policy
    return replace(policy, pass_group=f"{settings.daemon_name(config)}/{policy.name}")


def _operator(config: Configuration) -> Operator:
    operator = config.operator
    return Operator(operator.company_id, operator.stock_location_id, operator.currency)


def _parts(section: LaneSection, port: Port, config: Configuration, device: Device, rng: random.Random) -> LaneParts:
    backoff = Backoff(rng, LONGEST_NETWORK_SECONDS if isinstance(port, NetworkPort) else LONGEST_SECONDS)
    texts = load_texts(language_of(section, config))
    policy = policy_under(config, section)
    return LaneParts(port, device, policy, texts, backoff.pause, backoff.reset, section.protocol)


def _device(section: LaneSection, config: Configuration, rng: random.Random) -> Device:
    request = settings.card_request(section, config)
    if request is not None:
        return VivopayDevice(baud=section.baud, transaction=Transaction(*request))
    language = language_of(section, config)
    return Vl1Device(rng=rng, baud=section.baud, language=language, idle_text=section.alias or section.name)


def _paths(port: Port) -> set[str]:
    """By which files a port is claimed: its name, and what that means now."""
    return {os.path.abspath(port.name), os.path.realpath(port.name)}


def _claim_late(port: SerialPort) -> None:
    """Claim a port that another lane of ours has just given back."""
    try:
        port.lock()
    except PortError as exc:
        log.error("port_not_claimed", port=port.name, error=str(exc))  # opening it is exclusive all the same


def _release(port: Port | None) -> None:
    if isinstance(port, SerialPort):
        port.release()
