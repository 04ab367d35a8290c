"""The wheel: what must be in it is, nothing else is, and what it reads at run time is found in it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("tpsd", "device", "schemas")
SUFFIXES = {".py", ".sql", ".toml", ".j2", ".json"}
SERVICE_FILES = {"tpsd.service", "tpsd.sysusers", "60-tpsd-validator.rules", "tpsd.example.toml"}
BOUND_SECONDS = 60.0


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=BOUND_SECONDS)
    [file] = folder.glob("*.whl")
    return ZipFile(file)


def in_the_tree() -> set[str]:
    """Every file of the packages that is no trace of running them."""
    files = (file for package in PACKAGES for file in (ROOT / package).rglob("*") if file.is_file())
    return {str(file.relative_to(ROOT)) for file in files if "__pycache__" not in file.parts}


def test_the_packages_are_in_it_whole_and_nothing_beside_them(wheel: ZipFile) -> None:
    names = [name for name in wheel.namelist() if ".dist-info/" not in name and ".data/" not in name]
    assert set(names) == in_the_tree()
    assert len(names) == len(set(names))
    assert {PurePosixPath(name).suffix for name in names} == SUFFIXES
    assert {name.partition("/")[0] for name in names} == set(PACKAGES)


def test_the_service_files_come_along(wheel: ZipFile) -> None:
    shared = [PurePosixPath(name) for name in wheel.namelist() if ".data/" in name]
    assert {path.name for path in shared} == SERVICE_FILES == {file.name for file in (ROOT / "systemd").iterdir()}
    assert {path.parts[1:-1] for path in shared} == {("data", "share", "tpsd")}


def test_it_has_the_command_and_its_dependencies(wheel: ZipFile) -> None:
    [entry_points] = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    assert "tpsd = tpsd.__main__:main" in wheel.read(entry_points).decode()
    [metadata] = [name for name in wheel.namelist() if name.endswith("METADATA")]
    said = wheel.read(metadata).decode()
    assert "Requires-Python: >=3.11" in said
    assert "Requires-Dist: apsw<4,>=3.51" in said


def test_what_it_reads_at_run_time_is_found_in_it(wheel: ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path)
    look = (
        "import json, tpsd, tpsd.mail.render; from tpsd.store import commits, migrations; from tpsd.core import texts;"
        "print(json.dumps([tpsd.__file__, len(migrations.known('sqlite')), len(commits.Q), texts.load('fr').language]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", look],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=BOUND_SECONDS,
    )
    file, known, queries, language = json.loads(done.stdout)
    assert Path(file).is_relative_to(tmp_path)
    assert known == len(list((ROOT / "schemas" / "sql" / "sqlite").glob("*.sql")))
    assert queries > 50
    assert language == "fr"
