"""The service's files: by systemd's own tools where they are, and by what must hold between them and the code."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.values import TIMEOUT_SECONDS_MAX
from tpsd.admin.server import STOP_SECONDS
from tpsd.config import load
from tpsd.config.keys import exposed
from tpsd.daemon import STOP_SECONDS_BEYOND_SEND
from tpsd.domain.time import MINUTE, SECOND
from tpsd.mail.settings import TIMEOUT_SECONDS
from tpsd.mail.smtp import QUIT_SECONDS

FOLDER = Path(__file__).resolve().parents[2] / "systemd"
UNIT = FOLDER / "tpsd.service"
EXPOSURE_MAX = 1.5

Say = Callable[[str], None]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Past pytest's capture, so that nobody takes a machine without systemd for one where all was tried."""

    def loudly(text: str) -> None:
        with capsys.disabled():
            print(f"\nNOT TRIED: {text}")

    return loudly


def settings(section: str = "Service") -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    current = ""
    for line in UNIT.read_text().splitlines():
        if line.startswith("["):
            current = line.strip("[]")
        elif current == section and "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def one(name: str) -> str:
    [value] = settings()[name]
    return value


def stated(name: str) -> list[str]:
    """A file's lines without its comments."""
    return [line for line in (FOLDER / name).read_text().splitlines() if line[:1] not in ("", "#")]


def systemd(tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tool, *arguments], capture_output=True, text=True, check=False, timeout=60)


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path, say: Say) -> None:
    if shutil.which("systemd-analyze") is None:
        say("systemd-analyze verify tpsd.service: no systemd here")
        return
    # The command must be there to be verified, and it is nowhere but on the machine it is installed on.
    copy = tmp_path / UNIT.name
    copy.write_text(re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text()))
    done = systemd("systemd-analyze", "verify", "--man=no", str(copy))
    assert (done.returncode, done.stderr) == (0, "")


def test_its_exposure_is_small_devices_included(say: Say) -> None:
    if shutil.which("systemd-analyze") is None:
        say("systemd-analyze security tpsd.service: no systemd here")
        return
    threshold = round(10 * EXPOSURE_MAX)
    done = systemd("systemd-analyze", "security", "--offline=true", f"--threshold={threshold}", str(UNIT))
    assert done.returncode == 0, done.stdout
    overall = re.search(r"Overall exposure level for tpsd.service: ([0-9.]+)", done.stdout)
    assert overall is not None
    assert float(overall[1]) <= EXPOSURE_MAX


def test_the_users_can_be_made(say: Say) -> None:
    if shutil.which("systemd-sysusers") is None:
        say("systemd-sysusers --dry-run tpsd.sysusers: no systemd here")
        return
    done = systemd("systemd-sysusers", "--dry-run", str(FOLDER / "tpsd.sysusers"))
    assert done.returncode == 0, done.stderr
    assert "tpsd" in done.stderr


def test_systemd_waits_longer_than_the_longest_drain() -> None:
    dispatcher = 2 * TIMEOUT_SECONDS_MAX + STOP_SECONDS_BEYOND_SEND  # Daemon.run: a probe and a request
    authoriser = TIMEOUT_SECONDS_MAX + STOP_SECONDS_BEYOND_SEND  # verdict_seconds has the same bound
    mail = TIMEOUT_SECONDS + QUIT_SECONDS  # the mailer ends the one it is sending
    doors = 2 * STOP_SECONDS
    spool = STOP_SECONDS_BEYOND_SEND
    assert int(one("TimeoutStopSec")) > dispatcher + authoriser + spool + mail + doors + 30


def test_a_start_may_take_longer_than_the_largest_journals_and_a_watchdog_longer_than_a_slow_commit() -> None:
    assert int(one("TimeoutStartSec")) >= 60
    assert MINUTE / SECOND > int(one("WatchdogSec")) >= 20
    assert (one("Type"), one("NotifyAccess"), one("Restart")) == ("notify", "main", "always")


def test_the_example_configuration_names_only_what_the_unit_gives() -> None:
    config = load(FOLDER / "tpsd.example.toml")
    credentials = {value.partition(":")[0] for value in settings()["LoadCredential"]}
    named = {config.keys.kek_file, config.sfey.client_key_file}
    assert {path.name for path in named if path is not None} == credentials
    assert all(path is not None and path.parent == Path("/run/credentials/tpsd.service") for path in named)
    state = [Path("/var/lib") / name for name in one("StateDirectory").split()]
    assert {Path("/var/lib/tpsd/journal"), config.keys.epoch_dir} <= set(state)
    assert config.admin.socket.parent == Path("/run") / one("RuntimeDirectory")
    assert f'# folder = "/var/log/{one("LogsDirectory")}"' in (FOLDER / "tpsd.example.toml").read_text()
    assert one("ExecStart").endswith(" run --config /etc/tpsd/tpsd.toml")


def test_the_example_for_optional_keys_names_what_the_unit_could_give() -> None:
    optional = set(re.findall(r"^#LoadCredential=([^:]+):", UNIT.read_text(), re.MULTILINE))
    example = (FOLDER / "tpsd.example.toml").read_text()
    found = set(re.findall(r'^# \w+ = "/run/credentials/tpsd.service/(.+)"$', example, re.MULTILINE))
    assert found == optional


def test_a_credential_with_the_mode_that_systemd_gives_it_is_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "kek.hex"
    key.write_text("00" * 32)
    key.chmod(0o440)
    assert exposed(key)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert not exposed(key)


def test_every_kind_of_port_that_the_rules_name_is_allowed_and_its_driver_is_there_before() -> None:
    allowed = {value.split()[0] for value in settings()["DeviceAllow"]}
    assert allowed == {"char-ttyUSB", "char-ttyACM", "char-ttyS"}
    drivers = settings("Unit")
    assert drivers["Wants"] == ["modprobe@usbserial.service modprobe@cdc_acm.service"]
    assert drivers["Wants"][0] in drivers["After"]


def test_the_rules_keep_modemmanager_away_and_give_a_name_and_a_group() -> None:
    lines = stated("60-tpsd-validator.rules")
    pair = r'[A-Z_]+(?:\{[^}]+\})?(?:==|!=|=|\+=)"[^"]*"'
    assert [line for line in lines if not re.fullmatch(rf"{pair}(?:, {pair})*", line)] == []
    labels = set(re.findall(r'LABEL="(\w+)"', "\n".join(lines)))
    assert set(re.findall(r'GOTO="(\w+)"', "\n".join(lines))) == labels
    whole = [line for line in lines if 'SUBSYSTEM=="usb"' in line]
    vendors = {vendor for line in whole for vendor in re.findall(r'idVendor\}=="(\w+)"', line)}
    ports = {vendor for line in lines if "GOTO" in line for vendor in re.findall(r'ATTRS\{idVendor\}=="(\w+)"', line)}
    assert vendors == ports
    assert "0acd" in vendors  # ID TECH
    assert all('ENV{ID_MM_DEVICE_IGNORE}="1"' in line for line in whole)
    assert any('GROUP="tpsd-validator", MODE="0660"' in line for line in lines)
    assert 'ENV{ID_MM_DEVICE_IGNORE}="1", ENV{ID_MM_PORT_IGNORE}="1"' in lines
    assert sum('SYMLINK+="tpsd/' in line for line in lines) == 2


def test_the_group_of_the_rules_is_one_that_the_user_is_in() -> None:
    lines = [line.split() for line in stated("tpsd.sysusers")]
    assert ["g", "tpsd-validator", "-"] in lines
    assert ["m", "tpsd", "tpsd-validator"] in lines
    assert ["m", "tpsd", "dialout"] in lines
    assert lines[1][:3] == ["u", "tpsd", "-"]
