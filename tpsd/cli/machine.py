"""What ``tpsd doctor`` asks of the machine: files, clock, disk, ModemManager, the service. Nothing is changed."""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from schemas.config import Configuration
from tpsd import __version__
from tpsd.cli.diagnosis import Diagnosis, bad, doubt, good
from tpsd.clock import system_is_synchronised
from tpsd.config import clock_floor, database_url, spool_path, store_path
from tpsd.config.locations import KEY_NAMES
from tpsd.domain.time import Micros, iso_millis

PYTHON_MIN = (3, 11)
FREE_BYTES_MIN = 100 * 2**20  # bytes: below it the next busy day may close the lanes
FREE_BYTES_GOOD = 2**30  # bytes: 90 days of a busy bus, and a copy of the journal for a backup or an update
UNIT_NAME = "tpsd.service"
SHARED = Path(sys.prefix) / "share" / "tpsd"  # where the wheel puts the files for the system
CREDENTIALS = Path("/run/credentials") / UNIT_NAME

_FOLDERS = re.compile(r"^(State|Runtime)Directory=(.+)$", re.MULTILINE)
_BELOW = {"State": Path("/var/lib"), "Runtime": Path("/run")}
_LOAD_CREDENTIAL = re.compile(r"^LoadCredential=([^:\s]+):(\S+)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Machine:
    """Where to look, and what the time is (microseconds since 1970 UTC). The defaults are Linux's own places."""

    now: Micros
    proc: Path = Path("/proc")
    udev: Path = Path("/run/udev/data")
    booted: Path = Path("/run/systemd/system")  # sd_booted(3)
    units: tuple[Path, ...] = field(
        default=(Path("/etc/systemd/system"), Path("/usr/local/lib/systemd/system"), Path("/usr/lib/systemd/system"))
    )
    synchronised: Callable[[], bool] = system_is_synchronised
    free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free


def python() -> Diagnosis:
    """Its version, and ours."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < PYTHON_MIN:
        return bad("Python", f"{version} at {sys.executable}", "install 3.11 or later, and make the environment anew")
    return good("Python", f"{version} at {sys.executable}, tpsd {__version__}")


def account(config: Configuration) -> Diagnosis:
    """Whether this user may look at what the service will have."""
    if os.geteuid() != 0 and config.keys.kek_file.parent == CREDENTIALS:
        return doubt("account", "the service's credentials are root's files", "ask again as root")
    return good("account", f"uid {os.geteuid()}")


def configuration_file(path: Path, config: Configuration) -> Diagnosis:
    """Whether others may read an SMTP password in it."""
    name, mode = "configuration file", stat.S_IMODE(path.stat().st_mode)
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        return bad(name, f"{path} may be changed by others (mode {mode:04o})", f"chmod 640 {path}")
    if mode & stat.S_IROTH and "@" in config.email.smtp_url.get_secret_value():
        return bad(name, f"{path} holds the SMTP password and everybody may read it", f"chmod 640 {path}")
    return good(name, f"{path}, mode {mode:04o}")


def epoch_folder(config: Configuration) -> Iterator[Diagnosis]:
    """Whether it is private; that it is there is asked elsewhere."""
    folder, unused = config.keys.epoch_dir, database_url(config) is not None and spool_path(config) is None
    if unused or not folder.is_dir():
        return
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield bad("epoch folder", f"{folder} is open to others (mode {mode:04o})", f"chmod 700 {folder}")
    else:
        yield good("epoch folder", f"private (mode {mode:04o})")


def clock(config: Configuration, machine: Machine) -> Diagnosis:
    """Whether its time is one to stamp taps with."""
    floor = clock_floor(config)
    if machine.now < floor:
        return bad(
            "clock",
            f"it shows {iso_millis(machine.now)}, which is before clock.floor",
            "set it, or wait for the time service: taps are taken meanwhile and not sent",
        )
    if not machine.synchronised():
        return doubt(
            "clock", "not known to be synchronised", "timedatectl set-ntp true; else it counts once TPS says the time"
        )
    return good("clock", "synchronised")


def disk(config: Configuration, machine: Machine) -> Iterator[Diagnosis]:
    """Whether the journal can grow, and be copied."""
    journal = spool_path(config) if database_url(config) is not None else store_path(config)
    if journal is None:
        return
    if not journal.parent.is_dir():
        return
    free = machine.free_bytes(journal.parent)
    size = journal.stat().st_size if journal.exists() else 0
    found = f"{free >> 20} MiB free for a journal of {size >> 20} MiB"
    if free < FREE_BYTES_MIN:
        yield bad("disk", found, "make room: a full disk closes the lanes")
    elif free < max(FREE_BYTES_GOOD, 2 * size):
        yield doubt("disk", found, "make room: a backup or an update needs another copy")
    else:
        yield good("disk", found)


def socket_folder(config: Configuration, machine: Machine) -> Diagnosis:
    """Whether the daemon can open its door for the command line."""
    name, folder = "socket folder", config.admin.socket.parent
    if folder in service_folders(machine):
        return good(name, f"{folder} is the service's own")
    if not folder.is_dir():
        return bad(name, f"{folder} is not there", f"make it with mode 0750, or install {UNIT_NAME}, which does")
    if not os.access(folder, os.W_OK | os.X_OK):
        return bad(name, f"{folder} cannot be written to by this user", "change its owner, or ask as its user")
    return good(name, f"{folder} is writable")


def service_folders(machine: Machine) -> frozenset[Path]:
    """Those that systemd makes for the service when it starts."""
    file = unit_file(machine)
    found = [] if file is None else _FOLDERS.findall(file.read_text(encoding="utf-8"))
    return frozenset(_BELOW[kind] / name for kind, names in found for name in names.split())


def modem_manager(config: Configuration, machine: Machine) -> Iterator[Diagnosis]:
    """Whether it would send AT commands to the lanes' ports."""
    runs = any(_command(process) == "ModemManager" for process in machine.proc.glob("[0-9]*"))
    for lane in config.lanes:
        if lane.port.startswith("socket://") or not Path(lane.port).is_char_device():
            continue
        name = f"ModemManager and lane {lane.name}"
        if not runs:
            yield good(name, "it does not run")
        elif _is_ignored(Path(lane.port), machine.udev):
            yield good(name, "it leaves the port alone")
        else:
            yield bad(
                name,
                "it runs and would send AT commands to the validator",
                f"install {SHARED}/60-tpsd-validator.rules with the device's vendor id, or remove ModemManager",
            )


def service(machine: Machine) -> Diagnosis:
    """Whether systemd will start the daemon."""
    if not machine.booted.is_dir():
        return doubt("service", "systemd does not run here", "see that something starts tpsd again when it ends")
    file = unit_file(machine)
    if file is None:
        return doubt("service", f"{UNIT_NAME} is not installed", f"install {SHARED}/{UNIT_NAME}: see the README")
    enabled = any(folder.joinpath(UNIT_NAME).exists() for folder in machine.units[0].glob("*.target.wants"))
    if not enabled:
        return doubt("service", f"{file} is not enabled", "systemctl enable --now tpsd")
    return good("service", f"{file} is enabled")


def unit_file(machine: Machine) -> Path | None:
    """The service's file that systemd would take."""
    return next((folder / UNIT_NAME for folder in machine.units if (folder / UNIT_NAME).is_file()), None)


def keys_at_rest(config: Configuration, machine: Machine) -> Configuration:
    """The configuration with the sources of the service's credentials, which are there only while it runs."""
    sources = _credential_sources(machine)

    def source(path: Path | None) -> Path | None:
        return path if path is None or path.parent != CREDENTIALS else sources.get(path.name, path)

    sfey, keys = config.sfey, config.keys
    return config.model_copy(
        update={
            "sfey": sfey.model_copy(
                update={key: source(getattr(sfey, key)) for key in ("client_key_file", "afc_token_file")}
            ),
            "keys": keys.model_copy(update={key: source(getattr(keys, key)) for key in KEY_NAMES}),
            "lanes": tuple(
                lane.model_copy(update={"client_key_file": source(lane.client_key_file)}) for lane in config.lanes
            ),
        }
    )


def _credential_sources(machine: Machine) -> dict[str, Path]:
    file = unit_file(machine)
    if file is None:
        return {}
    texts = [file.read_text(encoding="utf-8")]
    for folder in machine.units:
        texts += [part.read_text(encoding="utf-8") for part in sorted((folder / f"{UNIT_NAME}.d").glob("*.conf"))]
    return {name: Path(path) for text in texts for name, path in _LOAD_CREDENTIAL.findall(text)}


def _command(process: Path) -> str:
    try:
        return (process / "comm").read_text(encoding="utf-8").strip()
    except OSError:
        return ""  # it has ended meanwhile


def _is_ignored(port: Path, udev: Path) -> bool:
    device = port.stat().st_rdev
    try:
        known = (udev / f"c{os.major(device)}:{os.minor(device)}").read_text(encoding="utf-8")
    except OSError:
        return False
    return "E:ID_MM_DEVICE_IGNORE=1" in known.splitlines()
