"""A transaction request whose parts do not fit together is refused before it becomes bytes."""

from dataclasses import replace
from uuid import UUID

import pytest

from tests.sfey_requests import TAP
from tpsd.domain.tap import Kind


def test_tag_is_not_in_the_repr() -> None:
    assert "4761739001010119" not in repr(TAP)
    assert "tag" not in repr(TAP)


@pytest.mark.parametrize("kind", [Kind.RETAIL_CHECK_OUT, Kind.RETAIL_REFUND])
def test_types_that_follow_another_need_its_uuid(kind: Kind) -> None:
    with pytest.raises(ValueError, match="needs the UUID"):
        replace(TAP, type=kind.value)
    assert replace(TAP, type=kind.value, initial_uuid=UUID(int=1)).initial_uuid == UUID(int=1)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in (Kind.RETAIL_CHECK_OUT, Kind.RETAIL_REFUND)])
def test_types_that_follow_none_cannot_have_one(kind: Kind) -> None:
    assert replace(TAP, type=kind.value).type == kind.value
    with pytest.raises(ValueError, match="cannot have the UUID"):
        replace(TAP, type=kind.value, initial_uuid=UUID(int=1))


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "SOMETHING"},
        {"terminal_sn": ""},
        {"validator_serial": ""},
        {"tag": b""},
        {"amount": -1},
        {"amount": 10**12},
        {"currency": "EUR"},
    ],
)
def test_impossible_values_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"is not|is empty|tap data|outside"):
        replace(TAP, **wrong)  # type: ignore[arg-type]
