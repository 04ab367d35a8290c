"""The lane's pass-back in the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.configurations import changed, values, write
from tpsd.config import load, pass_back
from tpsd.core.passback import OFF, PassBack
from tpsd.errors import ConfigError

LANE = {"name": "gate-1", "port": "/dev/ttyNOT0", "fare": 250}


def lane(folder: Path, **fields: Any) -> Any:
    return load(write(folder, changed(values(folder), {"lanes": [LANE | fields]}))).lanes[0]


def test_it_is_off_by_default(tmp_path: Path) -> None:
    section = lane(tmp_path)
    assert pass_back(section) == OFF
    assert not OFF.on
    assert (section.pass_back_group, section.untokenised) == (None, "accept")


def test_seconds_become_microseconds(tmp_path: Path) -> None:
    section = lane(tmp_path, pass_back_seconds=[2.5, 600], group_size=3, pass_back_group="hall")
    assert pass_back(section) == PassBack(2_500_000, 600_000_000, 3)
    assert section.pass_back_group == "hall"


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"pass_back_seconds": [60, 10]}, "lanes[0].pass_back_seconds is not [x, y] with 0 <= x <= y <= 86400"),
        ({"pass_back_seconds": [-1, 10]}, "lanes[0].pass_back_seconds is not [x, y]"),
        ({"pass_back_seconds": [0, 86_401]}, "lanes[0].pass_back_seconds is not [x, y]"),
        ({"pass_back_seconds": [10]}, "lanes[0].pass_back_seconds"),
        ({"pass_back_seconds": 10}, "lanes[0].pass_back_seconds is wrong"),
        ({"pass_back_group": "The Hall"}, "lanes[0].pass_back_group is wrong"),
        ({"group_size": 21}, "lanes[0].group_size is wrong"),
        ({"untokenised": "ask"}, "lanes[0].untokenised is wrong"),
    ],
)
def test_refusals(tmp_path: Path, fields: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        lane(tmp_path, **fields)
    assert what in str(caught.value)
