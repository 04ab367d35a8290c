"""The tap log's settings: off by default, and apart from the journal and its keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.configurations import changed, values, write
from tpsd.config import changes, effective, load, warnings
from tpsd.errors import ConfigError


def test_it_is_off(tmp_path: Path) -> None:
    section = effective(load(write(tmp_path, values(tmp_path))))["taplog"]
    assert section == {"folder": None, "keep_days": 30, "megabytes_max": 1024}


def test_another_folder_needs_a_restart(tmp_path: Path) -> None:
    before = load(write(tmp_path, values(tmp_path)))
    after = load(write(tmp_path, changed(values(tmp_path), {"taplog": {"folder": "/var/log/tpsd"}})))
    assert changes(before, after).refused == ("taplog.folder is not set and would be '/var/log/tpsd'",)


@pytest.mark.parametrize("folder", ["data", "data/log", "epochs"])
def test_it_stays_apart(tmp_path: Path, folder: str) -> None:
    with pytest.raises(ConfigError, match=r"taplog\.folder .* is inside .* move it out"):
        load(write(tmp_path, changed(values(tmp_path), {"taplog": {"folder": folder}})))


def test_a_folder_that_is_not_there_is_warned_of(tmp_path: Path) -> None:
    path = write(tmp_path, changed(values(tmp_path), {"taplog": {"folder": "log"}}))
    (told,) = [str(one) for one in warnings(load(path)) if "taplog" in str(one)]
    assert "log is not there, so every line would be lost; make it" in told
    (tmp_path / "log").mkdir()
    assert not [one for one in warnings(load(path)) if "taplog" in str(one)]


@pytest.mark.parametrize("section", [{"keep_days": 0}, {"keep_days": 401}, {"megabytes_max": 15}, {"file": "x"}])
def test_what_is_out_of_bounds(tmp_path: Path, section: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="taplog"):
        load(write(tmp_path, changed(values(tmp_path), {"taplog": section})))
