"""A known card number is nowhere in what a journal leaves on disk, and the search that says so finds a planted one."""

import base64
from dataclasses import replace

import pytest

from tests.card_search import findings, findings_in_files
from tests.store.builders import (
    APPROVED,
    MASTERCARD,
    NOW,
    SILENCE,
    TAP_REFUSED,
    TERMINAL,
    VISA,
    after,
    candidate,
    card,
    claim_one,
    closer,
    report,
    send,
    settle,
    take,
    take_many,
)
from tests.store.engines import Engine
from tpsd.core.intake import decide
from tpsd.domain.outcome import Exchange
from tpsd.domain.tap import Shown
from tpsd.domain.time import HOUR
from tpsd.domain.views import TapFilter
from tpsd.ports import Journal

TRACK2_REST = "2011758928889"  # what follows the expiry in the builder's track 2


async def work(journal: Journal) -> None:
    """A bit of everything that handles card data."""
    await take_many(journal, range(1, 31))
    await take_many(journal, range(31, 41), card=card(MASTERCARD))
    await take(journal, 41, card=card(expiry="2001"))
    await take(journal, 42, shown=Shown.TURNED_AWAY)
    await take(journal, 43, kind=0x04, shown=Shown.LET_IN)
    await take(journal, 45, stop=f"Stop {VISA}", where=(("route", VISA), ("trip", f"7 {VISA}"), ("vehicle", VISA)))
    await journal.reject(report(44), "gate-1", TERMINAL, "c0ffee", NOW)
    exchanges: list[Exchange] = [APPROVED, TAP_REFUSED, SILENCE]
    for at, claimed in enumerate(await journal.claim(NOW, 30)):
        await settle(journal, claimed, exchanges[at % 3])
    await journal.close_windows(after(60), closer(after(60)))
    for _ in range(75):
        await journal.keep_house(HOUR)


async def test_no_card_number_is_left_while_open_or_after_closing(engine: Engine, journal: Journal) -> None:
    await work(journal)
    assert findings_in_files(engine.traces(), [VISA, MASTERCARD, TRACK2_REST]) == []
    await journal.close()
    assert findings_in_files(engine.traces(), [VISA, MASTERCARD, TRACK2_REST]) == []


@pytest.mark.parametrize(
    "planted",
    [VISA, base64.b64encode(b"x" + bytes.fromhex(VISA)).decode(), VISA.encode().hex()],
)
async def test_a_planted_card_number_is_found(engine: Engine, journal: Journal, planted: str) -> None:
    await work(journal)
    tap = candidate(journal, report(99))
    await journal.take(replace(tap, report=replace(tap.report, stop=planted)), decide, NOW)
    assert findings_in_files(engine.traces(), [VISA]) != []


async def test_the_search_would_find_the_body_if_it_were_kept_open(journal: Journal) -> None:
    await take(journal)
    assert findings("body", (await claim_one(journal)).body, [VISA]) != []


async def test_nothing_that_people_are_shown_holds_a_card_number(journal: Journal) -> None:
    await work(journal)
    shown: list[object] = [*await journal.taps(TapFilter(limit=100)), *await journal.mails_due(after(1e6), 100)]
    shown += [await journal.story(str(number)) for number in range(1, 45)]
    assert findings("shown", repr(shown).encode(), [VISA]) == []
    assert "476173******0119" in repr(shown)


async def test_a_claim_does_not_show_its_body(journal: Journal) -> None:
    await take(journal)
    claimed = await claim_one(journal)
    assert "transactionUuid" not in repr(claimed)
    await settle(journal, claimed, APPROVED)


async def test_a_final_tap_has_no_sealed_part_left(journal: Journal) -> None:
    await take(journal)
    assert (await journal.story("1")).body_kept
    await send(journal, TAP_REFUSED)
    assert not (await journal.story("1")).body_kept
