"""The floor date: what is read and refused, and what it becomes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from schemas.config import Configuration
from tests.configurations import changed, values, write
from tpsd.config import changes, clock_floor, config_digest, effective, load
from tpsd.core.taptime import CLOCK_FLOOR
from tpsd.domain.time import DAY
from tpsd.errors import ConfigError


def loaded(folder: Path, **clock: Any) -> Configuration:
    return load(write(folder, changed(values(folder), {"clock": clock} if clock else {})))


def test_without_one_it_is_the_oldest_that_makes_sense(tmp_path: Path) -> None:
    config = loaded(tmp_path)
    assert clock_floor(config) == CLOCK_FLOOR
    assert effective(config)["clock"] == {"floor": "2024-01-01"}


def test_a_later_one(tmp_path: Path) -> None:
    before, config = loaded(tmp_path), loaded(tmp_path, floor="2024-03-01")
    assert clock_floor(config) == CLOCK_FLOOR + 60 * DAY
    assert config_digest(config) != config_digest(before)
    assert changes(before, config).refused == ("clock.floor is '2024-01-01' and would be '2024-03-01'",)


def test_toml_has_dates_of_its_own(tmp_path: Path) -> None:
    path = write(tmp_path, values(tmp_path))
    path.write_text(f"{path.read_text()}\n[clock]\nfloor = 2024-03-01\n")
    assert clock_floor(load(path)) == CLOCK_FLOOR + 60 * DAY


@pytest.mark.parametrize("floor", ["2023-12-31", "2100-01-01", "soon", "1970-01-01", "", 5, True])
def test_what_is_no_floor(tmp_path: Path, floor: Any) -> None:
    with pytest.raises(ConfigError, match=r"clock\.floor"):
        loaded(tmp_path, floor=floor)
