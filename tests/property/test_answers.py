"""Whatever comes back, reading it never raises and never lets text through."""

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from tpsd.domain.outcome import Answer
from tpsd.sfey.messages import RETRY_AFTER_MAX_SECONDS, read_answer

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
KEYS = st.sampled_from(["transactionResultData", "approved", "actionCode", "amount", "systemCode"]) | st.text(
    max_size=4
)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5))
BODIES = (
    st.binary(max_size=200)
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.builds(
        lambda result, code: json.dumps({"transactionResultData": result, "systemCode": code}).encode(),
        st.dictionaries(KEYS, SCALARS),
        SCALARS,
    )
)


def in_shape(answer: Answer) -> bool:
    return (
        answer.approved in (None, True, False)
        and (answer.action_code is None or re.fullmatch("[0-9]{3}", answer.action_code) is not None)
        and (answer.system_code is None or type(answer.system_code) is int)
        and (answer.amount is None or type(answer.amount) is int)
        and (answer.retry_after is None or 0 <= answer.retry_after <= RETRY_AFTER_MAX_SECONDS)
    )


@given(st.integers(100, 599), st.dictionaries(st.sampled_from(["Retry-After", "Date"]), st.text(max_size=40)), BODIES)
def test_reading_never_raises(http: int, headers: dict[str, str], body: bytes) -> None:
    answer = read_answer(http, headers, body)
    assert answer.http == http
    assert in_shape(answer)


@given(BODIES, st.data())
def test_a_cut_answer_never_becomes_an_approval(body: bytes, data: st.DataObject) -> None:
    cut = body[: data.draw(st.integers(0, len(body)))]
    answer, whole = read_answer(200, {}, cut), read_answer(200, {}, body)
    if answer.approved or (answer.action_code or "9") < "1":
        assert answer == whole


@given(st.booleans() | st.none(), st.none() | st.integers(0, 999), st.none() | st.integers(0, 10**12 - 1))
def test_what_was_said_is_what_is_read(approved: bool | None, code: int | None, amount: int | None) -> None:
    said = None if code is None else f"{code:03d}"
    body = json.dumps({"transactionResultData": {"approved": approved, "actionCode": said, "amount": amount}})
    assert read_answer(200, {}, body.encode()) == Answer(200, approved, said, amount=amount)
