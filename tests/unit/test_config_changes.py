"""What a reload may change, and what it refuses by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from schemas.config import Configuration, Lane
from tests.configurations import changed, values, write
from tpsd.config import card_request, load
from tpsd.config.changes import ADJUSTABLE, RELOADABLE, Changes, LaneChanges, changes

LANE: dict[str, Any] = {"name": "gate-1", "port": "/dev/ttyNOT0", "fare": 250}


def between(folder: Path, old: dict[str, Any], new: dict[str, Any]) -> Changes:
    base = values(folder)
    before = load(write(folder, changed(base, old), "before.toml"))
    return changes(before, load(write(folder, changed(base, new), "after.toml")))


def lanes(*given: dict[str, Any]) -> dict[str, Any]:
    return {"lanes": [LANE | lane for lane in given]}


def test_nothing_differs(tmp_path: Path) -> None:
    assert between(tmp_path, {}, {}) == Changes((), (), LaneChanges())


@pytest.mark.parametrize(
    ("new", "key"),
    [
        ({"operator": {"stock_location_id": 43}}, "operator.stock_location_id"),
        ({"operator": {"currency": "840"}}, "operator.currency"),
        ({"email": {"recipients": ["a@example.org", "b@example.org"]}}, "email.recipients"),
        ({"email": {"sender": "other@example.org"}}, "email.sender"),
        ({"retry": {"tiers": [{"tries": 1, "every_minutes": 5}]}}, "retry.tiers"),
    ],
)
def test_what_takes_effect_at_once(tmp_path: Path, new: dict[str, Any], key: str) -> None:
    found = between(tmp_path, {}, new)
    assert found.keys == (key,)
    assert found.refused == ()
    assert found.lanes == LaneChanges()


@pytest.mark.parametrize(
    ("new", "key"),
    [
        ({"operator": {"company_id": 7}}, "operator.company_id"),
        ({"store": {"url": "sqlite:///elsewhere/j.db"}}, "store.url"),
        ({"keys": {"kek_file": "keys/other"}}, "keys.kek_file"),
        ({"keys": {"token_key_file": "keys/salt"}}, "keys.token_key_file"),
        ({"sfey": {"base_url": "http://127.0.0.1:8444"}}, "sfey.base_url"),
        ({"sfey": {"wire": {"field.tag": "x"}}}, "sfey.wire.field.tag"),
        ({"retry": {"concurrency": 5}}, "retry.concurrency"),
        ({"admin": {"socket": "other.sock"}}, "admin.socket"),
        ({"admin": {"listen": "127.0.0.1:9190"}}, "admin.listen"),
    ],
)
def test_what_needs_a_restart_is_refused_by_name(tmp_path: Path, new: dict[str, Any], key: str) -> None:
    found = between(tmp_path, {}, new)
    assert [refusal.partition(" is ")[0] for refusal in found.refused] == [key]


def test_another_mode_is_refused(tmp_path: Path) -> None:
    tps = {"base_url": "https://d.example.org", "client_cert_file": "c", "client_key_file": "k"}
    production = {"mode": "production", "sfey": tps}
    refused = between(tmp_path, {}, production).refused
    assert "mode is 'test' and would be 'production'" in refused


def test_a_password_that_changes_is_a_change_and_is_not_shown(tmp_path: Path) -> None:
    found = between(
        tmp_path,
        {"email": {"smtp_url": "smtps://u:hunter2@mail.example.org"}},
        {"email": {"smtp_url": "smtps://u:hunter3@mail.example.org"}},
    )
    assert found.keys == ("email.smtp_url",)
    assert found.refused == ()
    assert "hunter" not in repr(found)


def test_lanes_come_and_go_by_name(tmp_path: Path) -> None:
    second, third = {"name": "gate-2", "port": "/dev/b"}, {"name": "gate-3", "port": "/dev/c"}
    found = between(tmp_path, lanes({}, second), lanes(third, {}))
    assert found.lanes == LaneChanges(added=("gate-3",), removed=("gate-2",))
    assert found.keys == ("lanes.gate-2", "lanes.gate-3")
    assert found.refused == ()


@pytest.mark.parametrize(
    ("lane", "relinked"),
    [
        ({"fare": 300}, False),
        ({"amount_limit": 300}, False),
        ({"zero_allowed": False}, False),
        ({"untokenised": "deny"}, False),
        ({"pass_back_seconds": [1.0, 2.0]}, False),
        ({"client_cert_file": "a", "client_key_file": "b"}, False),
        ({"port": "/dev/other"}, True),
        ({"baud": 57_600}, True),
        ({"alias": "North"}, True),
        ({"terminal_sn": "T1"}, True),
    ],
)
def test_a_lane_begins_a_new_session_only_for_what_its_validator_notices(
    tmp_path: Path, lane: dict[str, Any], relinked: bool
) -> None:
    found = between(tmp_path, lanes({}), lanes(lane))
    names = ("gate-1",)
    assert found.lanes == (LaneChanges(relinked=names) if relinked else LaneChanges(adjusted=names))
    assert all(key.startswith("lanes.gate-1.") for key in found.keys)


def test_the_operators_language_is_that_of_lanes_without_their_own(tmp_path: Path) -> None:
    given = lanes({}, {"name": "gate-2", "port": "/dev/b", "language": "en"})
    before = load(write(tmp_path, changed(values(tmp_path), given)))
    after = before.model_copy(update={"operator": before.operator.model_copy(update={"language": "sv"})})
    found = changes(before, after)
    assert found.lanes == LaneChanges(relinked=("gate-1",))
    assert found.refused == ()


def test_the_tables_name_keys_that_exist() -> None:
    assert set(Lane.model_fields) >= ADJUSTABLE
    for key in RELOADABLE:
        assert key.partition(".")[0] in Configuration.model_fields


READER = {"protocol": "vivopay"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (lanes(READER), lanes(READER | {"fare": 300})),
        (lanes(READER), lanes(READER | {"country": "276"})),
        (lanes(READER), lanes(READER) | {"operator": {"currency": "840"}}),
        (
            lanes(READER | {"fare": None, "zone": "A"}) | {"zones": [{"from": "A", "to": "B", "amount": 100}]},
            lanes(READER | {"fare": None, "zone": "A"}) | {"zones": [{"from": "A", "to": "B", "amount": 200}]},
        ),
    ],
    ids=["fare", "country", "currency", "zones"],
)
def test_what_a_reader_asks_cards_for_opens_its_port_anew(
    tmp_path: Path, old: dict[str, Any], new: dict[str, Any]
) -> None:
    for given in (old, new):
        given["lanes"] = [{key: value for key, value in lane.items() if value is not None} for lane in given["lanes"]]
    assert between(tmp_path, old, new).lanes == LaneChanges(relinked=("gate-1",))


@pytest.mark.parametrize(
    ("lane", "asked"),
    [
        (READER | {"fare": 250}, (250, "978", None)),
        (READER | {"fare": 0, "country": "276"}, (0, "978", "276")),
        (READER | {"zone": "A"}, (300, "978", None)),
        (READER | {"zone": "B", "kind": "RETAIL_CHECK_OUT", "tokens": "ours"}, (0, "978", None)),
        ({"fare": 250}, None),
    ],
)
def test_what_a_reader_asks_cards_for(
    tmp_path: Path, lane: dict[str, Any], asked: tuple[int, str, str | None] | None
) -> None:
    zones = [{"from": "A", "to": "B", "amount": 200}, {"from": "A", "to": "C", "amount": 300}]
    given = {"zones": zones, "lanes": [{"name": "gate-1", "port": "/dev/ttyNOT0"} | lane]}
    config = load(write(tmp_path, changed(values(tmp_path), given | {"keys": {"token_key_file": "keys/salt"}})))
    assert card_request(config.lanes[0], config) == asked
