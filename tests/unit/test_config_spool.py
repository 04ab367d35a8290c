"""The spool's settings: only beside a database, and apart from its keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.configurations import changed, values, write
from tpsd.config import changes, effective, load, spool_path
from tpsd.errors import ConfigError

DATABASE = {"store": {"url": "postgresql://tpsd@/gate"}}


def test_it_is_off(tmp_path: Path) -> None:
    config = load(write(tmp_path, changed(values(tmp_path), DATABASE)))
    assert spool_path(config) is None
    assert effective(config)["store"]["slow_ms"] == 200


def test_a_relative_path_is_the_configurations(tmp_path: Path) -> None:
    given = changed(values(tmp_path), changed(DATABASE, {"store": {"spool": "spool/spool.db"}}))
    assert spool_path(load(write(tmp_path, given))) == tmp_path / "spool" / "spool.db"


def test_it_needs_a_restart(tmp_path: Path) -> None:
    before = load(write(tmp_path, changed(values(tmp_path), DATABASE)))
    after = load(write(tmp_path, changed(values(tmp_path), changed(DATABASE, {"store": {"slow_ms": 100}}))))
    assert changes(before, after).refused == ("store.slow_ms is 200 and would be 100",)


def test_a_journal_in_a_file_needs_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"store\.spool takes taps for a database .* leave it out"):
        load(write(tmp_path, changed(values(tmp_path), {"store": {"spool": "spool.db"}})))


@pytest.mark.parametrize("file", ["epochs/spool.db", "keys/spool.db"])
def test_it_stays_apart_from_its_keys(tmp_path: Path, file: str) -> None:
    with pytest.raises(ConfigError, match=r"is inside the store's folder .* move it out"):
        load(write(tmp_path, changed(values(tmp_path), changed(DATABASE, {"store": {"spool": file}}))))


@pytest.mark.parametrize("slow_ms", [19, 2001, "200"])
def test_how_long_a_tap_may_wait(tmp_path: Path, slow_ms: object) -> None:
    with pytest.raises(ConfigError, match=r"store\.slow_ms"):
        load(write(tmp_path, changed(values(tmp_path), changed(DATABASE, {"store": {"slow_ms": slow_ms}}))))
