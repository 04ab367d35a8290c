"""Realtime lanes in the configuration: timing, patience, tokens for journeys, fares by zone, and reloads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.configurations import changed, values, write
from tpsd.config import changes, effective, is_realtime, kinds, load, makes_tokens, zones
from tpsd.core.candidate import VERDICT_US
from tpsd.core.fares import Zones
from tpsd.core.journeys import EXPIRES_AFTER_US
from tpsd.domain.tap import Kind
from tpsd.domain.time import HOUR, SECOND
from tpsd.errors import ConfigError
from tpsd.lanes import policy_of, policy_under

LANE = {"name": "gate-1", "port": "/dev/ttyNOT0", "fare": 250}
ZONED = {"name": "in", "port": "/dev/ttyNOT1", "tokens": "validator", "zone": "A", "kind": "RETAIL_CHECK_IN"}
OUT = ZONED | {"name": "out", "port": "/dev/ttyNOT2", "kind": "RETAIL_CHECK_OUT", "zone": "B"}
GATE = ZONED | {"kind": "RETAIL_CHECK_IN_OUT"}
ROW = {"from": "A", "to": "B", "amount": 320}


def given(folder: Path, lanes: list[dict[str, Any]], **more: Any) -> Path:
    return write(folder, changed(values(folder), {"lanes": lanes} | more))


def lane(folder: Path, **fields: Any) -> Any:
    return load(given(folder, [LANE | fields])).lanes[0]


def refusal(folder: Path, lanes: list[dict[str, Any]], **more: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load(given(folder, lanes, **more))
    return str(caught.value)


@pytest.mark.parametrize(
    ("fields", "realtime"),
    [
        ({}, False),
        ({"kind": "MTT", "timing": "deferred"}, False),
        ({"kind": "KFT"}, False),
        ({"kind": "KFT", "timing": "deferred"}, False),
        ({"kind": "KFT", "timing": "realtime"}, True),
        ({"kind": "RETAIL_PAYMENT"}, True),
        ({"kind": "RETAIL_PAYMENT", "timing": "realtime"}, True),
        ({"kind": "RETAIL_CHECK_IN", "tokens": "validator"}, True),
        ({"kind": "RETAIL_CHECK_OUT", "tokens": "validator"}, True),
        ({"kind": "RETAIL_CHECK_IN_OUT", "tokens": "validator"}, True),
    ],
)
def test_whether_tpss_answer_is_the_verdict(tmp_path: Path, fields: dict[str, Any], realtime: bool) -> None:
    section = lane(tmp_path, **fields)
    assert is_realtime(section) is realtime
    assert policy_of(section).realtime is realtime


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"kind": "MTT", "timing": "realtime"}, "lanes[0].timing is realtime, and MTT's verdict is local"),
        ({"kind": "RETAIL_PAYMENT", "timing": "deferred"}, "lanes[0].timing is deferred, and RETAIL_PAYMENT needs"),
        (
            {"kind": "RETAIL_CHECK_OUT", "timing": "deferred", "tokens": "validator"},
            "lanes[0].timing is deferred, and RETAIL_CHECK_OUT needs",
        ),
        ({"timing": "soon"}, "lanes[0].timing is wrong"),
        ({"kind": "RETAIL_REFUND"}, "lanes[0].kind is wrong"),
        ({"verdict_seconds": 1.9}, "lanes[0].verdict_seconds is wrong"),
        ({"verdict_seconds": 60.5}, "lanes[0].verdict_seconds is wrong"),
        ({"partial": "maybe"}, "lanes[0].partial is wrong"),
        ({"check_in_again": "open"}, "lanes[0].check_in_again is wrong"),
        ({"tokens": "theirs"}, "lanes[0].tokens is wrong"),
        ({"zone": ""}, "lanes[0].zone is wrong"),
        ({"zone": "x" * 33}, "lanes[0].zone is wrong"),
        ({"fare": -1}, "lanes[0].fare is wrong"),
    ],
)
def test_refusals_of_a_lane(tmp_path: Path, fields: dict[str, Any], what: str) -> None:
    assert what in refusal(tmp_path, [LANE | fields])


def test_what_a_realtime_lane_is_by_default(tmp_path: Path) -> None:
    policy = policy_of(lane(tmp_path, kind="RETAIL_PAYMENT"))
    assert (policy.verdict_us, policy.partial_accepted, policy.closes_old_journey) == (10 * SECOND, False, False)
    assert policy.verdict_us == VERDICT_US
    config = load(given(tmp_path, [LANE]))
    assert config.realtime.journey_hours * HOUR == EXPIRES_AFTER_US
    assert (config.realtime.found_approved, config.zones) == ("tell", ())


def test_a_lanes_settings_become_its_policy(tmp_path: Path) -> None:
    fields = {"verdict_seconds": 2.5, "partial": "accept", "check_in_again": "close", "zone": "A"}
    policy = policy_of(lane(tmp_path, kind="RETAIL_CHECK_IN", tokens="validator", **fields))
    assert (policy.verdict_us, policy.partial_accepted) == (2_500_000, True)
    assert (policy.closes_old_journey, policy.zone, policy.fare) == (True, "A", 250)


@pytest.mark.parametrize(
    ("kind", "all_of_it", "own"),
    [
        ("MTT", {Kind.MTT}, Kind.MTT),
        ("KFT", {Kind.KFT}, Kind.KFT),
        ("RETAIL_PAYMENT", {Kind.RETAIL_PAYMENT}, Kind.RETAIL_PAYMENT),
        ("RETAIL_CHECK_IN", {Kind.RETAIL_CHECK_IN}, Kind.RETAIL_CHECK_IN),
        ("RETAIL_CHECK_OUT", {Kind.RETAIL_CHECK_OUT}, Kind.RETAIL_CHECK_OUT),
        ("RETAIL_CHECK_IN_OUT", {Kind.RETAIL_CHECK_IN, Kind.RETAIL_CHECK_OUT}, None),
    ],
)
def test_what_taps_of_a_lane_may_be(tmp_path: Path, kind: str, all_of_it: set[Kind], own: Kind | None) -> None:
    section = lane(tmp_path, kind=kind, tokens="validator")
    assert kinds(section) == all_of_it
    assert policy_of(section).kind is own


@pytest.mark.parametrize("kind", ["RETAIL_CHECK_IN", "RETAIL_CHECK_OUT", "RETAIL_CHECK_IN_OUT"])
@pytest.mark.parametrize(
    ("tokens", "key", "there"),
    [
        (None, False, False),
        (None, True, True),
        ("ours", False, False),
        ("ours", True, True),
        ("validator", False, True),
        ("validator", True, True),
        ("none", False, False),
        ("none", True, False),
    ],
)
def test_a_lane_of_journeys_needs_card_tokens(
    tmp_path: Path, kind: str, tokens: str | None, key: bool, there: bool
) -> None:
    fields = LANE | {"kind": kind} | ({} if tokens is None else {"tokens": tokens})
    keys = {"keys": {"token_key_file": "keys/salt"}} if key else {}
    if there:
        config = load(given(tmp_path, [fields], **keys))
        assert makes_tokens(config.lanes[0], config)
    else:
        assert "lanes[0].tokens gives no card token, and a journey is kept by it" in refusal(tmp_path, [fields], **keys)
        other = LANE | {"kind": "RETAIL_PAYMENT"} | ({} if tokens is None else {"tokens": tokens})
        assert load(given(tmp_path, [other], **keys))


def test_zones_are_a_table_of_fares(tmp_path: Path) -> None:
    config = load(given(tmp_path, [LANE], zones=[ROW, ROW | {"to": "A", "amount": 100}]))
    assert zones(config) == Zones({("A", "B"): 320, ("A", "A"): 100})
    assert effective(config)["zones"][0] == ROW


FARES: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]], str]] = {
    "nothing says what it costs": (
        [{"name": "a", "port": "/dev/x"}],
        [ROW],
        "lanes[0].fare is missing, and so is zone; set one: what taps without amount cost",
    ),
    "a zone nobody knows": ([ZONED | {"zone": "Z"}], [ROW], "lanes[0].zone 'Z' is in no row of [[zones]]"),
    "no table at all": ([ZONED], [], "lanes[0].zone 'A' is in no row of [[zones]]"),
    "a row twice": ([LANE], [ROW, ROW | {"amount": 1}], "zones[1] A to B stands there twice; keep one of them"),
    "a journey without a fare": (
        [ZONED, OUT | {"zone": "C"}],
        [ROW, {"from": "B", "to": "C", "amount": 100}],
        "lanes[1].zone 'C' has no fare from A; add a row to [[zones]]",
    ),
    "a journey that ends where it began": ([GATE], [ROW], "lanes[0].zone 'A' has no fare from A"),
    "a journey that began nowhere": (
        [ZONED | {"zone": None, "fare": 500}, OUT],
        [ROW],
        "lanes[1].zone gives no fare to a journey from lane 'in', which has no zone; set that lane's zone",
    ),
    "a check-in above its lane's limit": (
        [ZONED | {"amount_limit": 319}, OUT],
        [ROW],
        "lanes[0].zone 'A' has a fare of 320, above amount_limit 319; raise amount_limit or lower the fare",
    ),
    "a check-out above its lane's limit": (
        [ZONED, OUT | {"amount_limit": 319}],
        [ROW],
        "lanes[1].zone 'B' has a fare of 320, above amount_limit 319",
    ),
    "a check-out of nothing": (
        [ZONED, OUT | {"zero_allowed": False}],
        [ROW | {"amount": 0}],
        "lanes[1].zone 'B' has a fare of 0 and zero_allowed is false; set a fare or allow zero",
    ),
    "an amount below 0": ([LANE], [ROW | {"amount": -1}], "zones[0].amount is wrong"),
    "an amount with a fraction": ([LANE], [ROW | {"amount": 3.2}], "zones[0].amount is wrong"),
    "a zone without a name": ([LANE], [ROW | {"from": ""}], "zones[0].from is wrong"),
    "a row without an end": ([LANE], [{"from": "A", "amount": 1}], "zones[0].to is missing"),
}


@pytest.mark.parametrize("case", FARES)
def test_fares_that_would_strand_somebody_are_refused(tmp_path: Path, case: str) -> None:
    lanes, table, what = FARES[case]
    named = [{key: value for key, value in one.items() if value is not None} for one in lanes]
    assert what in refusal(tmp_path, named, zones=table)


def test_a_limit_is_complained_about_once_a_lane(tmp_path: Path) -> None:
    table = [ROW, {"from": "A", "to": "A", "amount": 400}]
    text = refusal(tmp_path, [GATE | {"amount_limit": 300}], zones=table)
    assert text.count("above amount_limit") == 1
    assert "'A' has a fare of 400" in text


@pytest.mark.parametrize(
    ("lanes", "table"),
    [
        ([ZONED, OUT], [ROW]),
        ([ZONED, OUT], [{"from": "B", "to": "A", "amount": 320}]),
        ([GATE], [ROW | {"to": "A"}]),
        ([ZONED | {"zone": None, "fare": 500}, OUT | {"zone": None, "fare": 250}], []),
        ([OUT], [ROW]),
        ([OUT | {"fare": 250, "zone": "Z"}, ZONED], [ROW]),
        ([ZONED | {"amount_limit": 320}, OUT | {"amount_limit": 320}], [ROW]),
        ([ZONED, OUT], [ROW, {"from": "X", "to": "Y", "amount": 90_000}]),
    ],
)
def test_fares_that_every_journey_has_are_taken(
    tmp_path: Path, lanes: list[dict[str, Any]], table: list[dict[str, Any]]
) -> None:
    named = [{key: value for key, value in one.items() if value is not None} for one in lanes]
    assert load(given(tmp_path, named, zones=table) if table else given(tmp_path, named))


@pytest.mark.parametrize(
    ("section", "what"),
    [
        ({"found_approved": "keep"}, "realtime.found_approved is wrong"),
        ({"journey_hours": 0}, "realtime.journey_hours is wrong"),
        ({"journey_hours": 241}, "realtime.journey_hours is wrong"),
        ({"journey_hour": 18}, "did you mean realtime.journey_hours?"),
    ],
)
def test_refusals_of_the_section(tmp_path: Path, section: dict[str, Any], what: str) -> None:
    assert what in refusal(tmp_path, [LANE], realtime=section)


def test_no_journey_lasts_longer_than_tps_knows_its_check_out(tmp_path: Path) -> None:
    assert "realtime.journey_hours is 48, and TPS may have forgotten" in refusal(
        tmp_path, [GATE | {"fare": 250}], realtime={"journey_hours": 48}
    )
    longer = {"realtime": {"journey_hours": 48}, "retry": {"idempotency_horizon_hours": 48}}
    assert load(given(tmp_path, [GATE | {"fare": 250}], **longer))
    assert load(given(tmp_path, [LANE], realtime={"journey_hours": 48})), "no lane begins a journey"


def test_a_reload_may_change_fares_and_patience_but_not_the_rule_of_doubt(tmp_path: Path) -> None:
    before = load(given(tmp_path, [ZONED, OUT], zones=[ROW]))
    dearer = load(given(tmp_path, [ZONED | {"verdict_seconds": 5.0}, OUT], zones=[ROW | {"amount": 330}]))
    found = changes(before, dearer)
    assert (found.keys, found.refused) == (("zones", "lanes.in.verdict_seconds"), ())
    assert found.lanes.adjusted == ("in",)
    refunds = load(given(tmp_path, [ZONED, OUT], zones=[ROW], realtime={"found_approved": "refund"}))
    assert changes(before, refunds).refused == ("realtime.found_approved is 'tell' and would be 'refund'",)


@pytest.mark.parametrize(
    ("fields", "store", "group"),
    [
        ({}, {}, None),
        ({}, {"url": "postgresql://tpsd@db/gate", "daemon": "bus-7"}, "bus-7/gate-1"),
        ({"pass_back_group": "north"}, {"url": "postgresql://tpsd@db/gate", "daemon": "bus-7"}, "north"),
    ],
)
def test_a_lane_shares_pass_back_with_no_other_daemons_of_its_name(
    tmp_path: Path, fields: dict[str, Any], store: dict[str, str], group: str | None
) -> None:
    config = load(given(tmp_path, [LANE | fields], **({"store": store} if store else {})))
    assert policy_under(config, config.lanes[0]).pass_group == group
