"""The deny list's feed in the configuration: what is refused, and whose terminal asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.configurations import changed, production, values, write
from tpsd.config import changes, load, max_age_us, poll_us, stale_accepts_below, warnings
from tpsd.credentials import terminals_of
from tpsd.domain.time import HOUR, MINUTE
from tpsd.errors import ConfigError
from tpsd.sfey.updates import Terminal

LANES = [
    {"name": "front", "port": "/dev/ttyNOT0", "fare": 250, "tokens": "validator"},
    {"name": "rear", "port": "/dev/ttyNOT1", "fare": 250, "tokens": "validator"},
]
KNOWN = {"front": "GATE-X1:VAL00001", "rear": "GATE-X1:VAL00002"}


def given(folder: Path, **more: Any) -> Path:
    return write(folder, changed(values(folder), {"lanes": LANES, "feed": {"enabled": True}} | more))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"feed": {"enabled": True, "lane": "side"}}, "feed.lane 'side' is no lane"),
        ({"lanes": [LANES[0] | {"tokens": "none"}], "keys": {"token_key_file": None}}, "no lane has card tokens"),
        ({"lanes": []}, "there is no lane whose terminal could ask"),
        ({"feed": {"enabled": True, "base_url": "http://tps.example"}}, "feed.base_url is http beyond this machine"),
        ({"feed": {"poll_minutes": 0.01}}, "poll_minutes"),
    ],
)
def test_what_is_refused(tmp_path: Path, more: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(given(tmp_path, **more))
    assert words in str(caught.value)


STALE = {"stale_list": "deny"}
BELOW = {"stale_list": {"accept_below": 500}}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"lanes": [LANES[0] | STALE], "feed": {}}, "lanes[0].stale_list is set without a feed"),
        ({"lanes": [LANES[0] | BELOW], "feed": {}}, "lanes[0].stale_list is set without a feed"),
        ({"lanes": [LANES[0] | STALE | {"kind": "RETAIL_PAYMENT"}]}, "whose verdict is TPS's answer"),
        ({"lanes": [LANES[0], LANES[1] | STALE | {"tokens": "none"}]}, "the lane gives no card token"),
        (
            {"lanes": [LANES[0] | BELOW | {"amount_limit": 400}]},
            "accepts below 500 minor units, and amount_limit is 400",
        ),
        ({"lanes": [LANES[0] | {"stale_list": "maybe"}]}, 'lanes[0].stale_list is neither "accept" nor "deny"'),
        ({"lanes": [LANES[0] | {"stale_list": {"accept_below": 5.0}}]}, "in minor units (500 is 5.00)"),
        ({"lanes": [LANES[0] | {"stale_list": {"accept_below": 0}}]}, "a whole amount above 0"),
        ({"lanes": [LANES[0] | {"stale_list": {"below": 5}}]}, "{ accept_below = AMOUNT }"),
        (
            {"feed": {"enabled": True, "poll_minutes": 60, "max_age_hours": 1}},
            "feed.max_age_hours 1 is less than two polls",
        ),
        ({"feed": {"enabled": True, "max_age_hours": 0}}, "max_age_hours"),
    ],
)
def test_what_is_refused_of_a_lists_age(tmp_path: Path, more: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(given(tmp_path, **more))
    assert words in str(caught.value)


def test_a_stale_list_by_lane(tmp_path: Path) -> None:
    config = load(given(tmp_path, lanes=[LANES[0] | STALE, LANES[1] | BELOW]))
    assert [stale_accepts_below(lane) for lane in config.lanes] == [0, 500]
    usual = load(given(tmp_path))
    assert [stale_accepts_below(lane) for lane in usual.lanes] == [None, None]
    assert max_age_us(usual) == 24 * HOUR
    moved = changes(usual, config)
    assert (moved.refused, moved.lanes.adjusted) == ((), ("front", "rear")), "no validator notices"


def test_off_it_asks_for_nothing(tmp_path: Path) -> None:
    config = load(given(tmp_path, feed={"lane": "side"}, lanes=[]))
    assert not config.feed.enabled
    assert poll_us(config) == 5 * MINUTE


def test_lanes_whose_terminal_is_known_may_ask_unless_one_is_set(tmp_path: Path) -> None:
    config = load(given(tmp_path))
    first, second = (Terminal(f"VAL0000{number}", "GATE-X1", "common") for number in (1, 2))
    assert terminals_of(config, KNOWN) == [first, second]
    assert terminals_of(config, KNOWN | {"front": None}) == [second]
    assert terminals_of(config, {}) == []
    one = load(given(tmp_path, feed={"enabled": True, "lane": "rear"}))
    assert terminals_of(one, KNOWN) == [second]
    assert terminals_of(one, {"front": KNOWN["front"]}) == []


def test_a_terminal_that_is_set_asks_before_its_validator_has_come(tmp_path: Path) -> None:
    named = LANES[0] | {"terminal_sn": "T1", "terminal_type": "BUS"}
    assert terminals_of(load(given(tmp_path, lanes=[named])), {}) == [Terminal("T1", "BUS", "common")]


def test_a_change_needs_a_restart(tmp_path: Path) -> None:
    old, new = load(given(tmp_path)), load(given(tmp_path, feed={"enabled": False}))
    assert changes(old, new).refused == ("feed.enabled is True and would be False",)


def test_in_production_a_feed_that_is_off_is_warned_about(tmp_path: Path) -> None:
    def doubts(given: dict[str, Any], *, enabled: bool) -> list[str]:
        feed = {"lanes": LANES, "feed": {"enabled": enabled}}
        return [str(doubt) for doubt in warnings(load(write(tmp_path, changed(given, feed)))) if "feed" in str(doubt)]

    assert doubts(production(tmp_path), enabled=False) == [
        "feed.enabled is false, so the deny list is only what people import and enter; set it to true once Sfey has "
        "said that your terminals may ask for it"
    ]
    assert doubts(production(tmp_path), enabled=True) == []
    assert doubts(values(tmp_path), enabled=False) == []


@pytest.mark.parametrize(("use_fed", "refused"), [("without_file", False), ("always", False), ("never", True)], ids=str)
def test_a_lane_of_journeys_may_wait_for_the_token_key_of_tps(tmp_path: Path, use_fed: str, refused: bool) -> None:
    lane = {"name": "gate", "port": "/dev/ttyNOT0", "kind": "RETAIL_CHECK_IN_OUT", "fare": 250}
    keys = {"token_key_file": None, "use_fed": use_fed}
    file = given(tmp_path, lanes=[lane, LANES[1]], keys=keys)
    if not refused:
        load(file)
        return
    with pytest.raises(ConfigError, match="gives no card token"):
        load(file)


@pytest.mark.parametrize(("use_fed", "warned"), [("without_file", False), ("never", True)])
def test_in_production_a_ttk_may_come_from_tps(tmp_path: Path, use_fed: str, warned: bool) -> None:
    keys = {"ttk_file": None, "use_fed": use_fed}
    config = load(
        write(tmp_path, changed(production(tmp_path), {"feed": {"enabled": True}, "lanes": LANES, "keys": keys}))
    )
    assert any(one.key == ("keys", "ttk_file") for one in warnings(config)) == warned
