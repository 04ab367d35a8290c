"""What must hold of every settlement, whatever TPS answered."""

import re

from hypothesis import given
from hypothesis import strategies as st

from tpsd.core.outcomes import classify
from tpsd.core.retry import JITTER_US_MAX, RETRY_AFTER_US_MAX
from tpsd.core.settlement import Settlement, settle
from tpsd.domain.authorisation import Ladder, Progress, State, Tier
from tpsd.domain.outcome import (
    Answer,
    CredentialRefused,
    Exchange,
    NoAnswer,
    NoConnection,
    Outcome,
)
from tpsd.domain.time import HOUR, Micros

causes = st.sampled_from(["timeout", "closed", "dns", "connect", "tls.server"])
answers: st.SearchStrategy[Exchange] = st.builds(
    Answer,
    http=st.sampled_from([200, 302, 400, 404, 408, 429, 500, 503]) | st.integers(0, 999),
    approved=st.none() | st.booleans(),
    action_code=st.none() | st.from_regex(r"[0-9]{3}", fullmatch=True) | st.text(max_size=4),
    system_code=st.none() | st.sampled_from([27, 41, 60, 86, 303]) | st.integers(-5, 10**30),
    amount=st.none() | st.integers(0, 10**12),
    retry_after=st.none() | st.integers(-(10**6), 10**9),
    readable=st.booleans(),
)
exchanges = (
    answers | st.builds(NoConnection, causes) | st.builds(CredentialRefused, causes) | st.builds(NoAnswer, causes)
)
ladders: st.SearchStrategy[Ladder] = st.lists(
    st.builds(Tier, st.integers(0, 3), st.integers(1, 6 * HOUR)), max_size=4
).map(tuple)
steps = st.fixed_dictionaries(
    {
        "exchange": exchanges,
        "sends": st.integers(1, 15),
        "doubt": st.booleans(),
        "ladder": ladders,
        "started": st.integers(0, 2**52),
        "took": st.integers(0, 24 * HOUR),
        "draw": st.floats(0, 1, exclude_max=True),
        "share": st.floats(0, 0.1),
        "terminal": st.text(max_size=80),
    }
)


def run(step: dict) -> tuple[Outcome, Settlement]:  # type: ignore[type-arg]
    outcome = classify(step["exchange"])
    return outcome, settle(
        Progress(step["sends"], step["doubt"], step["ladder"]),
        outcome,
        started_at=Micros(step["started"]),
        ended_at=Micros(step["started"] + step["took"]),
        jitter_draw=step["draw"],
        jitter_share=step["share"],
        terminal=step["terminal"],
    )


def tier_of(ladder: Ladder, sends: int) -> int | None:
    flat = [tier.every_us for tier in ladder for _ in range(tier.tries)]
    return flat[sends - 1] if sends <= len(flat) else None


@given(steps)
def test_a_resend_is_never_earlier_than_its_tier_nor_before_the_last_one_ended(step: dict) -> None:  # type: ignore[type-arg]
    _, settlement = run(step)
    tier = tier_of(step["ladder"], step["sends"])
    if settlement.due is None:
        assert settlement.state is not State.PENDING
        return
    assert settlement.state is State.PENDING
    assert tier is not None
    started, ended = step["started"], step["started"] + step["took"]
    assert settlement.due >= max(started + tier, ended)
    assert settlement.due <= max(started + tier + min(tier // 10 + 1, JITTER_US_MAX), ended + RETRY_AFTER_US_MAX)


@given(steps)
def test_the_ladder_ends_in_permanently_failed_and_nowhere_else(step: dict) -> None:  # type: ignore[type-arg]
    _, settlement = run(step)
    over = tier_of(step["ladder"], step["sends"]) is None
    assert (settlement.state is State.PERMANENTLY_FAILED) <= over
    assert (settlement.state is State.PENDING) <= (not over)


@given(steps)
def test_exactly_final_states_erase(step: dict) -> None:  # type: ignore[type-arg]
    _, settlement = run(step)
    assert settlement.erase == (settlement.state in (State.APPROVED, State.DECLINED, State.TAP_REFUSED))


@given(steps)
def test_a_doubt_is_never_forgotten(step: dict) -> None:  # type: ignore[type-arg]
    outcome, settlement = run(step)
    assert settlement.may_have_charged == (step["doubt"] or not outcome.clean)
    if step["doubt"]:
        assert settlement.state is not State.TAP_REFUSED


@given(steps)
def test_what_a_person_must_see_has_one_notice_with_a_sound_key(step: dict) -> None:  # type: ignore[type-arg]
    outcome, settlement = run(step)
    kinds = [notice.kind.value for notice in settlement.notices]
    told = settlement.state in (
        State.PERMANENTLY_FAILED,
        State.HELD,
        State.TAP_REFUSED,
        State.IN_DOUBT,
    )
    assert kinds.count(settlement.state.value) == told
    assert kinds.count("alarm") == (outcome.loud or outcome.cause == "system.27")
    assert len(kinds) == kinds.count(settlement.state.value) + kinds.count("alarm")
    for notice in settlement.notices:
        assert re.fullmatch(r"[A-Za-z0-9._:@/-]{1,128}", notice.cause)
        assert notice.cause.startswith(f"{notice.kind.value}/")
