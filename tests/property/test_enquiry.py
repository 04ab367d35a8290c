"""What must hold of every conclusion from an enquiry, whatever TPS answered."""

from __future__ import annotations

import re
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from tests.property.test_settlement import exchanges
from tpsd.core.enquiry import ENQUIRIES, NEXT_ENQUIRY_US, Finding, conclude, needs_control, read
from tpsd.core.outcomes import classify
from tpsd.domain.authorisation import State
from tpsd.domain.doubt import Enquired
from tpsd.domain.outcome import Answer, Approved, Declined, Exchange
from tpsd.domain.tap import Timing
from tpsd.domain.time import HOUR, Micros

enquiries = st.builds(
    Enquired,
    uuid=st.just(UUID(int=7)),
    number=st.integers(1, 50),
    fence=st.integers(1, 50),
    state=st.sampled_from([State.IN_DOUBT, State.PENDING]),
    timing=st.sampled_from(Timing),
    cause=st.none() | st.sampled_from(["http.400", "horizon", "system.27@A:b"]) | st.text(max_size=40),
    terminal=st.text(max_size=70),
    nth=st.integers(1, ENQUIRIES + 3),
    body_kept=st.booleans(),
    doubtful_since=st.none() | st.integers(0, 2**52).map(Micros),
    started_at=st.integers(0, 2**52).map(Micros),
)


@given(enquiries, exchanges, st.booleans(), st.integers(0, HOUR))
def test_every_conclusion(enquired: Enquired, exchange: Exchange, believed: bool, took: int) -> None:
    heard = read(exchange)
    ended = Micros(enquired.started_at + took)
    found = conclude(enquired, heard, believed=believed, ended_at=ended)

    # Money: final only on TPS's own word; back on the ladder only after a believed "never had it", with a body.
    assert (found.state is State.APPROVED) == (heard.finding is Finding.APPROVED)
    assert (found.state is State.DECLINED) == (heard.finding is Finding.DECLINED)
    missing = believed and needs_control(enquired, heard)
    assert found.released == (missing and enquired.timing is Timing.DEFERRED and enquired.body_kept)
    assert (found.state is State.NOT_CHARGED) == (missing and enquired.timing is Timing.REALTIME)
    assert found.erase == found.state.is_final

    # No row is forgotten: final, on the ladder, asked again within the pause, or told of.
    if found.state is State.IN_DOUBT and found.enquiry_due is None:
        assert any(notice.cause.startswith("in_doubt/") for notice in found.notices)
    if found.enquiry_due is not None:
        assert found.state is State.IN_DOUBT
        assert enquired.nth < ENQUIRIES
        assert found.enquiry_due >= max(ended, enquired.started_at + NEXT_ENQUIRY_US)
    if enquired.state is State.PENDING:
        assert found.state in (State.PENDING, State.APPROVED, State.DECLINED)

    for notice in found.notices:
        assert re.fullmatch(r"[A-Za-z0-9._:@/-]{1,128}", notice.cause)


@given(exchanges)
def test_an_enquiry_says_of_money_only_what_a_send_would(exchange: Exchange) -> None:
    heard, outcome = read(exchange), classify(exchange)
    assert heard.outcome == outcome
    if heard.finding is Finding.APPROVED:
        assert isinstance(outcome, Approved)
    if heard.finding is Finding.DECLINED:
        assert isinstance(outcome, Declined)
    if heard.finding is Finding.NOT_FOUND:
        assert isinstance(exchange, Answer)
        assert exchange.http == 404
        assert not isinstance(outcome, Approved | Declined)
