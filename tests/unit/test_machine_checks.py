"""What ``tpsd doctor`` asks of the machine, against folders that stand for a machine's own."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from schemas.config import Configuration
from tests.configurations import changed, values, write
from tpsd.cli import machine as of
from tpsd.cli.diagnosis import State
from tpsd.cli.machine import FREE_BYTES_GOOD, FREE_BYTES_MIN, Machine
from tpsd.config import load
from tpsd.domain.time import Micros

NOW = Micros(1_790_000_000_000_000)
UNIT = (Path(__file__).resolve().parents[2] / "systemd" / "tpsd.service").read_text()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    for name in ("proc", "udev", "booted", "etc", "lib"):
        (tmp_path / "machine" / name).mkdir(parents=True)
    at = tmp_path / "machine"
    return Machine(
        NOW,
        proc=at / "proc",
        udev=at / "udev",
        booted=at / "booted",
        units=(at / "etc", at / "lib"),
        synchronised=lambda: True,
        free_bytes=lambda _: FREE_BYTES_GOOD,
    )


@pytest.fixture
def terminal() -> Iterator[str]:
    master, slave = pty.openpty()
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)


def configured(folder: Path, changes: dict[str, object] | None = None) -> Configuration:
    return load(write(folder, changed(values(folder), changes or {})))


def runs(machine: Machine, command: str) -> None:
    process = machine.proc / "4711"
    process.mkdir()
    (process / "comm").write_text(f"{command}\n")


def test_this_python_will_do() -> None:
    assert of.python().state is State.GOOD


def test_a_file_that_others_may_change_or_that_shows_a_password_is_bad(tmp_path: Path) -> None:
    config = configured(tmp_path)
    file = tmp_path / "tpsd.toml"
    for mode, secret, state in (
        (0o644, False, State.GOOD),
        (0o640, True, State.GOOD),
        (0o644, True, State.BAD),
        (0o660, False, State.BAD),
    ):
        file.chmod(mode)
        given = configured(tmp_path, {"email": {"smtp_url": "smtps://user:word@mail.example"}}) if secret else config
        file.chmod(mode)
        found = of.configuration_file(file, given)
        assert (found.state, bool(found.next)) == (state, state is State.BAD)
        assert "word@" not in found.found


def test_an_epoch_folder_that_others_may_read_is_bad(tmp_path: Path) -> None:
    config = configured(tmp_path)
    assert list(of.epoch_folder(config)) == []
    config.keys.epoch_dir.mkdir(mode=0o700)
    assert [one.state for one in of.epoch_folder(config)] == [State.GOOD]
    config.keys.epoch_dir.chmod(0o750)
    [found] = of.epoch_folder(config)
    assert (found.state, found.next) == (State.BAD, f"chmod 700 {config.keys.epoch_dir}")


def test_the_clock_is_good_only_when_it_is_known_to_be(tmp_path: Path, machine: Machine) -> None:
    config = configured(tmp_path)
    assert of.clock(config, machine).state is State.GOOD
    assert of.clock(config, replace(machine, synchronised=lambda: False)).state is State.DOUBT
    at_1970 = of.clock(config, replace(machine, now=Micros(5_000_000)))
    assert at_1970.state is State.BAD
    assert "1970-01-01T00:00:05" in at_1970.found


@pytest.mark.parametrize(
    ("free", "state"),
    [(FREE_BYTES_GOOD, State.GOOD), (FREE_BYTES_GOOD - 1, State.DOUBT), (FREE_BYTES_MIN - 1, State.BAD)],
)
def test_a_disk_must_hold_what_comes(tmp_path: Path, machine: Machine, free: int, state: State) -> None:
    config = configured(tmp_path)
    assert list(of.disk(config, machine)) == []
    (tmp_path / "data").mkdir()
    [found] = of.disk(config, replace(machine, free_bytes=lambda _: free))
    assert found.state is state


def test_a_socket_folder_is_there_or_the_service_makes_it(tmp_path: Path, machine: Machine) -> None:
    own = configured(tmp_path)
    assert of.socket_folder(own, machine).state is State.GOOD
    services = configured(tmp_path, {"admin": {"socket": "/run/tpsd/tpsd.sock"}})
    if not Path("/run/tpsd").exists():
        assert of.socket_folder(services, machine).state is State.BAD
    (machine.units[1] / "tpsd.service").write_text(UNIT)
    assert of.socket_folder(services, machine).state is State.GOOD
    assert Path("/var/lib/tpsd/journal") in of.service_folders(machine)


def test_modemmanager_is_bad_where_udev_does_not_keep_it_from_the_port(
    tmp_path: Path, machine: Machine, terminal: str
) -> None:
    lanes = [{"name": "gate-1", "port": terminal, "fare": 250}, {"name": "gate-2", "port": "socket://h:1", "fare": 1}]
    config = configured(tmp_path, {"lanes": lanes})
    assert [one.found for one in of.modem_manager(config, machine)] == ["it does not run"]
    runs(machine, "ModemManager")
    [held] = of.modem_manager(config, machine)
    assert held.state is State.BAD
    assert "60-tpsd-validator.rules" in held.next
    device = os.stat(terminal).st_rdev
    known = machine.udev / f"c{os.major(device)}:{os.minor(device)}"
    known.write_text("S:tpsd/x\nE:ID_MM_DEVICE_IGNORE=1\n")
    assert [one.state for one in of.modem_manager(config, machine)] == [State.GOOD]


def test_the_service_is_installed_then_enabled(machine: Machine) -> None:
    machine.booted.rmdir()
    assert "systemd does not run" in of.service(machine).found
    machine.booted.mkdir()
    assert "not installed" in of.service(machine).found
    (machine.units[1] / "tpsd.service").write_text(UNIT)
    assert of.service(machine).next == "systemctl enable --now tpsd"
    wants = machine.units[0] / "multi-user.target.wants"
    wants.mkdir()
    (wants / "tpsd.service").symlink_to(machine.units[1] / "tpsd.service")
    assert of.service(machine).state is State.GOOD


def test_keys_are_looked_at_where_the_service_takes_them_from(tmp_path: Path, machine: Machine) -> None:
    below = "/run/credentials/tpsd.service"
    config = configured(tmp_path, {"keys": {"kek_file": f"{below}/kek.hex", "token_key_file": f"{below}/salt.hex"}})
    assert of.keys_at_rest(config, machine) == config
    (machine.units[1] / "tpsd.service").write_text(UNIT)
    drop_in = machine.units[0] / "tpsd.service.d"
    drop_in.mkdir()
    (drop_in / "keys.conf").write_text("[Service]\nLoadCredential=salt.hex:/srv/salt.hex\n")
    found = of.keys_at_rest(config, machine).keys
    assert (found.kek_file, found.token_key_file) == (Path("/etc/tpsd/keys/kek.hex"), Path("/srv/salt.hex"))
    assert found.epoch_dir == config.keys.epoch_dir
