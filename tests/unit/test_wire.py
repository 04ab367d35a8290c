"""The wire profile: every assumption listed, each one replaceable, none replaceable by nonsense."""

import pytest

from tests.sfey_requests import TAP
from tpsd.errors import ConfigError
from tpsd.sfey.messages import transaction
from tpsd.sfey.wire import DEVICE_V1, PROFILES, Standing, assumptions, nest, override, pick, setting, standing


def test_what_sfey_printed_is_not_among_the_assumptions() -> None:
    names = [name for name, _, _ in assumptions()]
    assert "transaction_path" in names
    assert "field.amount" in names
    assert "result.amount" in names
    assert "enquiry_path" in names
    assert not {"field.tag", "field.uuid", "result.approved", "type.RETAIL_REFUND"} & set(names)
    assert standing("field.tag") is Standing.PRINTED


def test_every_assumption_has_a_value_and_can_be_set_to_it() -> None:
    for name, value, what in assumptions():
        assert value
        assert what.startswith(("assumed: ", "inferred: "))
        assert override(DEVICE_V1, {name: value}) == DEVICE_V1


def test_every_part_of_the_profile_is_known() -> None:
    profile = PROFILES["device-v1"]
    for group, mapping in (
        ("field", profile.fields),
        ("type", profile.types),
        ("status", profile.statuses),
        ("result", profile.results),
        ("format", profile.formats),
        ("update", profile.updates),
    ):
        for key, value in mapping.items():
            assert setting(profile, f"{group}.{key}") == value
            standing(f"{group}.{key}")


def test_overrides_reach_the_wire_and_leave_the_profile_alone() -> None:
    changed = override(
        DEVICE_V1,
        {"transaction_path": "/v2/{companyId}/{transactionUuid}", "field.tag": "emv.data", "type.MTT": "TRANSIT"},
    )
    path, body = transaction(changed, TAP)
    assert path == f"/v2/1001/{TAP.uuid}"
    assert b'"transactionType":"TRANSIT"' in body
    assert body.endswith(b'"emv":{"data":"3/+EAQEA//+EBhBaCEdhc5ABAQEZXyQDKBIxnzYCACo="}}')
    assert setting(DEVICE_V1, "field.tag") == "transactionData.tag"


def test_the_order_of_the_keys() -> None:
    order = list(DEVICE_V1.fields)
    order.remove("amount")
    changed = override(DEVICE_V1, {"field_order": ", ".join(["amount", *order])})
    assert transaction(changed, TAP)[1].startswith(b'{"transactionData":{"amount":250,"transactionType"')


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"field.tags": "x"}, "known are .*field.tag,"),
        ({"field": "x"}, "unknown setting"),
        ({"name": "x"}, "unknown setting"),
        ({"field.tag": ""}, "not empty"),
        ({"field.tag": "transactionData."}, "dotted place"),
        ({"field.tag": "companyId"}, "share the place"),
        ({"field.tag": "transactionData"}, "share the place"),
        ({"format.time": "roman"}, "iso_millis"),
        ({"transaction_path": "no/slash"}, "starts with /"),
        ({"transaction_path": "/a?b=c"}, "no query"),
        ({"transaction_path": "/a b"}, "starts with /"),
        ({"transaction_path": "/{pan}"}, "placeholders are companyId"),
        ({"transaction_path": "/{}"}, "placeholders are"),
        ({"transaction_path": "/{companyId:>99999999}"}, "placeholders are"),
        ({"transaction_path": "/{companyId.real}"}, "placeholders are"),
        ({"transaction_path": "/{companyId"}, "transaction_path"),
        ({"field_order": "uuid,tag"}, "each once"),
    ],
)
def test_nonsense_is_refused_by_name(changes: dict[str, str], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        override(DEVICE_V1, changes)


def test_a_value_that_is_no_text_is_refused() -> None:
    with pytest.raises(ConfigError, match="must be a text"):
        override(DEVICE_V1, {"field.tag": 5})  # type: ignore[dict-item]


def test_nest_and_pick_are_inverse() -> None:
    tree = nest([("a.b.c", 1), ("d", 2), ("a.e", 3)])
    assert tree == {"a": {"b": {"c": 1}, "e": 3}, "d": 2}
    assert [pick(tree, place) for place in ("a.b.c", "a.e", "d", "d.x", "x", "a.b.x")] == [1, 3, 2, None, None, None]


def test_the_actions_of_an_update_differ() -> None:
    with pytest.raises(ConfigError, match="the actions of an update must differ, and are INSERT, UPDATE, INSERT"):
        override(DEVICE_V1, {"update.delete": "INSERT"})
