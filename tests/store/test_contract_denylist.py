"""The deny list in the journal: what is in force when, what a tap is told, what a crash leaves."""

from __future__ import annotations

import random
from collections.abc import Iterable
from uuid import uuid4

import pytest

from tests.store.builders import LANE, MASTERCARD, NOW, SALT, VISA, after, card, report, setting, take
from tests.store.engines import Engine
from tpsd.core.candidate import CardKeys
from tpsd.core.intake import decide, prepare
from tpsd.domain.audit import AuditDraft
from tpsd.domain.card import Pan
from tpsd.domain.denial import DenyChange, DenySource, DenyTotals
from tpsd.domain.tap import Shown, Told, Verdict
from tpsd.domain.time import MINUTE
from tpsd.emv.reading import card_token
from tpsd.errors import RefusedError
from tpsd.ports import Journal

AUDIT = AuditDraft(NOW, "alice (1000)", "denylist", "a debt")
DENIED = Told(Verdict.DENIED, "deny_list")
ACCEPTED = Told(Verdict.ACCEPTED, "ok")
SLICES = 1000


def token(pan: str = VISA) -> bytes:
    return bytes.fromhex(card_token(SALT, Pan(pan)))


def others(count: int, seed: int = 1) -> list[bytes]:
    rng = random.Random(seed)
    return [rng.randbytes(32) for _ in range(count)]


async def imported(
    journal: Journal, tokens: Iterable[bytes], source: str = "file", *, replace: bool = False
) -> DenyChange:
    generation = await journal.denylist.begin(source, NOW)
    await journal.denylist.fill(generation, b"".join(tokens))
    return await journal.denylist.go_live(generation, replace, AUDIT)


async def counts(journal: Journal) -> dict[str, int]:
    return {source.source: source.tokens for source in (await journal.denylist.totals()).sources}


async def version_of(journal: Journal, tap: int) -> int | None:
    return (await journal.story(str(tap))).list_version


async def test_without_a_list_nobody_is_denied_and_no_version_stands_on_the_tap(journal: Journal) -> None:
    assert (await take(journal)).told == ACCEPTED
    assert await version_of(journal, 1) is None
    assert await journal.denylist.totals() == DenyTotals(None, ())


async def test_an_entry_denies_by_any_of_the_cards_names(journal: Journal) -> None:
    coming = bytes(range(1, 33))
    keys = CardKeys(SALT, honoured=(bytes(32), coming))
    await journal.denylist.add([bytes.fromhex(card_token(coming, Pan(VISA)))], AUDIT)
    honouring = setting(journal, keys=keys)
    for counter, given, told in ((1, honouring, DENIED), (2, setting(journal), ACCEPTED)):
        taken = await journal.take(prepare(report(counter), LANE, given, uuid4()), decide, NOW)
        assert taken.told == told


async def test_an_entry_denies_at_once_and_no_longer_once_it_is_struck(journal: Journal) -> None:
    assert await journal.denylist.add([token()], AUDIT) == DenyChange(1, 1, 1)
    assert (await take(journal, 1)).told == DENIED
    assert (await take(journal, 2, card=card(MASTERCARD))).told == ACCEPTED
    assert await journal.denylist.remove([token()], None, AUDIT) == DenyChange(1, 1, 2)
    assert (await take(journal, 3)).told == ACCEPTED
    assert [await version_of(journal, tap) for tap in (1, 2, 3)] == [1, 1, 2]
    story = await journal.story("1")
    assert (story.tap.disposition, story.tap.uuid, story.body_kept) == ("denied", None, False)


async def test_a_repeat_keeps_its_verdict_whatever_the_list_says_now(journal: Journal) -> None:
    await take(journal, 1)
    await journal.denylist.add([token()], AUDIT)
    assert (await take(journal, 1)).told == ACCEPTED
    assert (await take(journal, 2)).told == DENIED
    await journal.denylist.remove([token()], None, AUDIT)
    assert (await take(journal, 2)).told == DENIED


async def test_who_was_let_in_is_charged_although_denied(journal: Journal) -> None:
    await journal.denylist.add([token()], AUDIT)
    assert (await take(journal, shown=Shown.LET_IN)).told == Told(Verdict.ACCEPTED, "let_in")
    assert (await journal.story("1")).tap.state == "pending"


async def test_entries_that_are_there_already_change_nothing(journal: Journal) -> None:
    twice = [token(), token(), token(MASTERCARD)]
    assert await journal.denylist.add(twice, AUDIT) == DenyChange(3, 2, 1)
    assert await journal.denylist.add(twice[:1], AUDIT) == DenyChange(1, 0, 1)
    assert await journal.denylist.remove(others(1), None, AUDIT) == DenyChange(1, 0, 1)
    assert await counts(journal) == {"hand": 2}


async def test_a_list_takes_effect_as_a_whole(journal: Journal) -> None:
    generation = await journal.denylist.begin("file", NOW)
    await journal.denylist.fill(generation, token())
    assert (await take(journal, 1)).told == ACCEPTED
    assert await journal.denylist.totals() == DenyTotals(None, ())
    await journal.denylist.fill(generation, token(MASTERCARD) + token())
    assert await journal.denylist.go_live(generation, False, AUDIT) == DenyChange(2, 2, 1)
    assert (await take(journal, 2)).told == DENIED
    assert await journal.denylist.totals() == DenyTotals(1, (DenySource("file", 2, NOW),))


async def test_an_abandoned_list_never_takes_effect(journal: Journal) -> None:
    generation = await journal.denylist.begin("file", NOW)
    await journal.denylist.fill(generation, token())
    await journal.denylist.abandon(generation)
    for call in (journal.denylist.fill(generation, token()), journal.denylist.go_live(generation, False, AUDIT)):
        with pytest.raises(RefusedError, match="this import is over; import the file again"):
            await call
    assert await journal.denylist.tidy(SLICES) == 1
    assert (await take(journal)).told == ACCEPTED
    assert await journal.denylist.totals() == DenyTotals(None, ())


async def test_a_list_replaces_its_own_source_only(journal: Journal) -> None:
    await journal.denylist.add([token()], AUDIT)
    await imported(journal, others(300, seed=1))
    await imported(journal, [token(MASTERCARD)], "feed")
    await imported(journal, others(200, seed=2), replace=True)
    assert await counts(journal) == {"feed": 1, "file": 200, "hand": 1}
    assert await journal.denylist.tidy(SLICES) == 300
    assert await counts(journal) == {"feed": 1, "file": 200, "hand": 1}
    assert (await take(journal, 1)).told == DENIED
    assert (await take(journal, 2, card=card(MASTERCARD))).told == DENIED


async def test_lists_beside_each_other_are_joined(journal: Journal) -> None:
    first, second = others(300, seed=1), others(250, seed=2)
    await imported(journal, [*first, token()])
    await imported(journal, [*second, *first[:100]])
    assert (await take(journal, 1)).told == DENIED
    await journal.denylist.tidy(SLICES)
    assert await counts(journal) == {"file": 551}
    assert (await take(journal, 2)).told == DENIED
    assert await journal.denylist.tidy(SLICES) == 0
    assert await journal.denylist.remove([*first, *second, token()], "file", AUDIT) == DenyChange(551, 551, 3)
    assert await counts(journal) == {}
    assert (await take(journal, 3)).told == ACCEPTED


async def test_joining_in_single_slices_denies_throughout(journal: Journal) -> None:
    tokens = others(20_000)
    await imported(journal, [*tokens, token()])
    await imported(journal, tokens)
    slices = 0
    while await journal.denylist.tidy(1):
        slices += 1
        assert (await take(journal, slices)).told == DENIED
    assert slices > 1
    assert await counts(journal) == {"file": 20_001}


async def test_striking_reaches_every_source_or_one(journal: Journal) -> None:
    await imported(journal, [token()], "feed")
    await journal.denylist.add([token()], AUDIT)
    assert (await journal.denylist.remove([token()], "hand", AUDIT)).changed == 1
    assert await counts(journal) == {"feed": 1}
    assert (await take(journal, 1)).told == DENIED
    await journal.denylist.add([token()], AUDIT)
    assert (await journal.denylist.remove([token()], None, AUDIT)).changed == 1
    assert (await take(journal, 2)).told == ACCEPTED


async def test_tokens_come_whole(journal: Journal) -> None:
    generation = await journal.denylist.begin("file", NOW)
    with pytest.raises(ValueError, match="32 bytes each"):
        await journal.denylist.fill(generation, token()[:-1])


async def test_housekeeping_clears_what_no_longer_counts(journal: Journal) -> None:
    await imported(journal, others(500, seed=1))
    await imported(journal, others(500, seed=2), replace=True)
    assert (await journal.keep_house(MINUTE))["deny_entries_tidied"] == 500
    assert (await journal.keep_house(MINUTE))["deny_entries_tidied"] == 0


async def test_a_restart_keeps_what_is_in_force_and_clears_a_half_filled_list(engine: Engine) -> None:
    journal = await engine.open()
    await journal.denylist.add([token()], AUDIT)
    generation = await journal.denylist.begin("file", NOW)
    await journal.denylist.fill(generation, token(MASTERCARD))
    left = engine.after_sigkill()
    await journal.close()
    again = await left.open()
    try:
        assert (await take(again, 1)).told == DENIED
        assert (await take(again, 2, card=card(MASTERCARD))).told == ACCEPTED
        assert await again.denylist.tidy(SLICES) == 1
        assert await counts(again) == {"hand": 1}
        begun = await again.denylist.begin("file", after(1))
        assert begun >= generation  # SQLite gives a number that became free once more
    finally:
        await again.close()
