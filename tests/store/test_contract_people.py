"""What people can ask of the journal."""

from uuid import UUID

import pytest

from tests.store.builders import (
    APPROVED,
    DECLINED,
    NOW,
    TERMINAL,
    TERMINAL_REFUSED,
    UNAVAILABLE,
    after,
    claim_one,
    report,
    send,
    take,
    take_many,
)
from tpsd.domain.views import JournalTotals, TapFilter
from tpsd.errors import NotFoundError
from tpsd.ports import Journal

ONE = UUID("0c7f3f6e-55f4-4f6b-9df2-3a1f5b1d7a01")
TWO = UUID("0c7f3f6e-55f4-4f6b-9df2-3a1f5b1d7a02")
THREE = UUID("ddddffff-0000-4000-8000-000000000003")


@pytest.mark.parametrize(
    "reference",
    ["1", " 1 ", str(ONE), str(ONE).upper(), "VAL00042:3:1"],
)
async def test_a_tap_is_found_by(journal: Journal, reference: str) -> None:
    await take(journal, 1, uuid=ONE)
    await take(journal, 2, uuid=TWO)
    await take(journal, 3, uuid=THREE)
    assert (await journal.story(reference)).tap.number == 1


async def test_a_tap_is_found_by_the_beginning_of_its_uuid(journal: Journal) -> None:
    await take(journal, 1, uuid=ONE)
    await take(journal, 2, uuid=THREE)
    for length in (4, 8, 9, 20, 35):
        assert (await journal.story(str(ONE)[:length])).tap.number == 1
        assert (await journal.story(str(THREE)[:length])).tap.number == 2


async def test_an_ambiguous_beginning_asks_for_more(journal: Journal) -> None:
    await take(journal, 1, uuid=ONE)
    await take(journal, 2, uuid=TWO)
    with pytest.raises(NotFoundError, match="more than one"):
        await journal.story("0c7f3f6e")
    assert (await journal.story(str(TWO))).tap.number == 2


@pytest.mark.parametrize(
    "reference",
    ["", " ", "0", "2", "-1", "9" * 30, "0c7", "zzzz", "0c7f3f6f", f"{ONE}0", "VAL00042:3:2", "VAL00042:3", "::", "%",
     "' OR 1=1 --", "VAL00042:99999999999999999999:1", "١٢٣"],
)  # fmt: skip
async def test_nonsense_is_not_found(journal: Journal, reference: str) -> None:
    await take(journal, 1, uuid=ONE)
    with pytest.raises(NotFoundError, match=r"number.*UUID.*serial:boot:counter|no tap"):
        await journal.story(reference)


async def test_the_name_of_two_taps_finds_the_newer(journal: Journal) -> None:
    await take(journal, 1)
    await take(journal, 1, content=b" again")
    assert (await journal.story("VAL00042:3:1")).tap.number == 2


async def test_a_serial_with_colons_is_found(journal: Journal) -> None:
    await take(journal, 1, serial="aa:bb:7")
    assert (await journal.story("aa:bb:7:3:1")).tap.number == 1


async def test_a_tap_that_was_never_authorised_has_a_short_story(journal: Journal) -> None:
    await take(journal, None, fault="no tap id", stop="Central")
    story = await journal.story("1")
    assert (story.path, story.credential, story.attempts, story.notices) == (None, None, (), ())
    assert (story.stop, story.token) == ("Central", None)


async def test_a_story_tells_token_stop_and_attempts(journal: Journal) -> None:
    await take(journal, stop="Central")
    await send(journal, UNAVAILABLE)
    await send(journal, APPROVED, after(60))
    story = await journal.story("1")
    assert story.token is not None
    assert len(story.token) == 64
    assert story.stop == "Central"
    assert [(attempt.number, attempt.outcome, attempt.cause) for attempt in story.attempts] == [
        (1, "try_again", "http.503"),
        (2, "approved", "action.000"),
    ]


async def test_taps_are_listed_newest_first_and_filtered(journal: Journal) -> None:
    await take(journal, 1)
    await send(journal, APPROVED)
    await take(journal, 2)
    await send(journal, TERMINAL_REFUSED)
    await take(journal, 3, kind=0x04)
    await take(journal, 4, serial="VAL00099")

    async def numbers(**fields: object) -> list[int]:
        return [row.number for row in await journal.taps(TapFilter(**fields))]  # type: ignore[arg-type]

    assert await numbers() == [4, 3, 2, 1]
    assert await numbers(limit=2) == [4, 3]
    assert await numbers(state="approved") == [1]
    assert await numbers(state="denied") == [3]
    assert await numbers(cause=f"system.41@{TERMINAL}") == [2]
    assert await numbers(cause="kind") == [3]
    assert await numbers(lane="gate-1", state="pending") == [4]
    assert await numbers(lane="gate-2") == []


async def test_totals_of_an_empty_journal(journal: Journal) -> None:
    assert await journal.totals() == JournalTotals(0, {}, {}, {}, 0, None, None, 0, 0)


async def test_totals(journal: Journal) -> None:
    await take(journal, 1)
    await send(journal, APPROVED)
    await take(journal, 2)
    await send(journal, DECLINED)
    await take(journal, 3, now=after(5))
    await send(journal, UNAVAILABLE, after(5))
    await take(journal, 4, now=after(9))
    await take(journal, 5, kind=0x04)
    await take(journal, None, fault="cut")
    await journal.reject(report(6), "gate-1", TERMINAL, "c0ffee", NOW)
    await claim_one(journal, after(9))
    assert await journal.totals() == JournalTotals(
        taps=7,
        verdicts={"accepted": 4, "denied": 1, "try_again": 2},
        dispositions={"denied": 1, "rejected": 2},
        states={"approved": 1, "declined": 1, "pending": 1, "sending": 1},
        sends=4,
        oldest_pending=after(5),
        next_due=after(65),
        mails_waiting=0,
        mails_accepted=0,
    )


async def test_a_thousand_rows_are_listed_up_to_the_limit(journal: Journal) -> None:
    await take_many(journal, range(1, 121))
    assert len(await journal.taps(TapFilter())) == 50
    assert len(await journal.taps(TapFilter(limit=1000))) == 120
