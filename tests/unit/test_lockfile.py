"""One holder at a time, named by its pid; the lock ends with its process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tpsd.lockfile import HeldByOtherError, LockFile

HOLDER = """
import sys
from pathlib import Path
from tpsd.lockfile import LockFile
lock = LockFile(Path(sys.argv[1]))
print("held", flush=True)
input()
"""


def test_the_second_is_told_the_first_ones_pid(tmp_path: Path) -> None:
    first = LockFile(tmp_path / "lock")
    with pytest.raises(HeldByOtherError) as error:
        LockFile(tmp_path / "lock")
    assert error.value.holder == str(os.getpid())
    first.release()
    LockFile(tmp_path / "lock").release()


def test_releasing_twice_is_harmless(tmp_path: Path) -> None:
    lock = LockFile(tmp_path / "lock")
    lock.release()
    second = LockFile(tmp_path / "lock")
    lock.release()
    with pytest.raises(HeldByOtherError):
        LockFile(tmp_path / "lock")
    second.release()


def test_a_long_stale_content_does_not_show_through(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("99999999999999\n")
    lock = LockFile(tmp_path / "lock")
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    lock.release()


def test_a_holder_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(HeldByOtherError) as error:
            LockFile(tmp_path / "lock")
        assert error.value.holder == str(other.pid)
        other.kill()
    LockFile(tmp_path / "lock").release()


def test_a_refusal_leaves_no_descriptor_open(tmp_path: Path) -> None:
    lock = LockFile(tmp_path / "lock")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with pytest.raises(HeldByOtherError):
            LockFile(tmp_path / "lock")
    assert len(os.listdir("/proc/self/fd")) == before
    lock.release()


def test_a_place_that_takes_no_bytes_is_an_error_and_leaves_no_descriptor_open() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match=r"Invalid argument|No space left"):
        LockFile(Path("/dev/full"))
    assert len(os.listdir("/proc/self/fd")) == before
