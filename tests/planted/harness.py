"""A copy of the source with one bug in it, and whether its tests notice."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.integration.processes import environment
from tests.planted.bug import Bug

ROOT: Final = Path(__file__).resolve().parents[2]
COPIED: Final = ("tpsd", "device", "schemas", "tests", "pyproject.toml", "README.md")
SECONDS_MAX: Final = 300  # for the tests of one bug; a bug that hangs them is caught too
FAILED: Final = 1  # pytest's exit code for tests that ran and failed


@dataclass(frozen=True, slots=True)
class Verdict:
    """``caught``, or why not: the last lines of what pytest said."""

    bug: Bug
    caught: bool
    said: str = ""


def plant(bug: Bug, root: Path) -> None:
    """Put the bug into a copy. Raises ValueError where its place is not what it was."""
    file = root / bug.file
    text = file.read_text(encoding="utf-8")
    if text.count(bug.old) != 1:
        raise ValueError(f"{bug.name}: what it changes stands {text.count(bug.old)} times in {bug.file}; plant it anew")
    file.write_text(text.replace(bug.old, bug.new), encoding="utf-8")


def tried(bug: Bug) -> Verdict:
    """Plant it and run the tests that must notice."""
    with TemporaryDirectory(prefix="tpsd-planted-") as folder:
        root = Path(folder)
        for name in COPIED:
            _copy(ROOT / name, root / name)
        plant(bug, root)
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *bug.caught_by]
        try:
            done = subprocess.run(
                command,
                cwd=root,
                env=environment() | {"PYTHONPATH": str(root)},
                capture_output=True,
                text=True,
                timeout=SECONDS_MAX,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Verdict(bug, caught=True)
        return Verdict(bug, done.returncode == FAILED, "\n".join(done.stdout.splitlines()[-5:]))


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)
