"""Contradictions that no crash leaves: a start finds them, mends what is safe, and says what it did."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.store.builders import (
    APPROVED,
    SILENCE,
    TERMINAL_REFUSED,
    after,
    card,
    claim_one,
    closer,
    crashed,
    crashed_asked,
    fail_for_good,
    send,
    settle,
    take,
)
from tests.store.engines import Engine
from tests.store.test_sqlite_upkeep import BY
from tpsd.domain.time import DAY, HOUR
from tpsd.domain.views import TapStory
from tpsd.store.housekeeping import Keep
from tpsd.store.journal import SqlJournal
from tpsd.store.wounds import UNTOLD, WOUNDS

COMMON = ["common"]
LATER = after(600)
OF = "uuid = (SELECT uuid FROM tap WHERE id = {})"
BODY = "purpose = 'body' AND owner = (SELECT uuid FROM tap WHERE id = {})"

APPROVED_TAP, FAILED_TAP, HELD_TAP, DENIED_TAP, PENDING_TAP, SENDING_TAP = range(1, 7)


async def filled(engine: Engine) -> None:
    """A closed journal with a tap in each of the states above; the pending one was sent once, without an answer."""
    journal = await engine.open()
    await take(journal, APPROVED_TAP)
    await send(journal, APPROVED)
    await take(journal, FAILED_TAP)
    await fail_for_good(journal)
    await take(journal, HELD_TAP)
    await send(journal, TERMINAL_REFUSED)
    await take(journal, DENIED_TAP, card=card(expiry="2001"))
    await take(journal, PENDING_TAP, serial="VAL00098")
    await send(journal, SILENCE)
    await take(journal, SENDING_TAP, serial="VAL00099")
    await claim_one(journal)
    assert await journal.upkeep.check() == []
    await journal.close()


async def started(engine: Engine) -> tuple[SqlJournal, dict[str, int]]:
    """The next start; what of it was a wound."""
    journal = await engine.open()
    done = await journal.recover(LATER, COMMON, crashed, crashed_asked)
    return journal, {name: count for name, count in done.items() if name in WOUNDS}


async def mended(engine: Engine, *statements: str) -> tuple[SqlJournal, dict[str, int]]:
    """The filled journal wounded by statements, and started."""
    await filled(engine)
    wounded(engine, *statements)
    return await started(engine)


def wounded(engine: Engine, *statements: str) -> None:
    engine.tamper(statements)


async def story(journal: SqlJournal, tap: int) -> TapStory:
    return await journal.story(str(tap))


@dataclass(frozen=True, slots=True)
class Wound:
    """What makes it, and what the start says it did."""

    statements: tuple[str, ...]
    said: dict[str, int]


CASES: dict[str, Wound] = {
    "a send under way that was not kept": Wound(
        (f"DELETE FROM attempt WHERE {OF.format(SENDING_TAP)}",), {"attempts_missing": 1}
    ),
    "a tap being sent that was never claimed": Wound(
        (
            f"DELETE FROM attempt WHERE {OF.format(SENDING_TAP)}",
            f"UPDATE authorisation SET attempt = 0 WHERE {OF.format(SENDING_TAP)}",
        ),
        {"attempt_numbers_mended": 1, "attempts_missing": 1},
    ),
    "a send of a waiting tap that was not kept": Wound(
        (f"UPDATE authorisation SET attempt = 2 WHERE {OF.format(PENDING_TAP)}",),
        {"attempts_missing": 1, "attempts_without_end": 1},
    ),
    "a number of sends that went back": Wound(
        (f"UPDATE authorisation SET attempt = 0 WHERE {OF.format(PENDING_TAP)}",), {"attempt_numbers_mended": 1}
    ),
    "a send without an end, of a waiting tap": Wound(
        (f"UPDATE attempt SET ended_at = NULL, outcome = NULL WHERE {OF.format(PENDING_TAP)}",),
        {"attempts_without_end": 1},
    ),
    "a send without an end, of a held tap": Wound(
        (f"UPDATE attempt SET ended_at = NULL, outcome = NULL WHERE {OF.format(HELD_TAP)}",),
        {"attempts_without_end": 1, "doubts_forgotten": 1},
    ),
    "a send without an end, of a final tap": Wound(
        (f"UPDATE attempt SET ended_at = NULL, outcome = NULL WHERE {OF.format(APPROVED_TAP)}",),
        {"attempts_without_end": 1},
    ),
    "an outcome that was lost": Wound(
        (f"UPDATE authorisation SET may_have_charged = 0 WHERE {OF.format(FAILED_TAP)}",), {"doubts_forgotten": 1}
    ),
    "a waiting tap with an end": Wound(
        (f"UPDATE authorisation SET settled_at = 1 WHERE {OF.format(PENDING_TAP)}",), {"ends_taken_back": 1}
    ),
    "a resting tap without a beginning": Wound(
        (f"UPDATE authorisation SET ran_rested = NULL WHERE {OF.format(HELD_TAP)}",), {"rests_dated": 1}
    ),
    "a final tap without an end": Wound(
        (f"UPDATE authorisation SET settled_at = NULL WHERE {OF.format(APPROVED_TAP)}",), {"finals_dated": 1}
    ),
    "card data of a final tap": Wound(
        (
            f"INSERT INTO sealed SELECT (SELECT uuid FROM tap WHERE id = {APPROVED_TAP}), purpose, epoch, wrapped_key, "
            f"nonce, data, ran_sealed FROM sealed WHERE owner = (SELECT uuid FROM tap WHERE id = {FAILED_TAP})",
        ),
        {"final_cards_erased": 2},
    ),
    "card data without an authorisation": Wound(
        (f"UPDATE sealed SET owner = 'nobody' WHERE {BODY.format(FAILED_TAP)}",), {"ownerless_cards_erased": 1}
    ),
    "a payload without a tap": Wound(
        (f"UPDATE sealed SET owner = 'tap:77', purpose = 'payload' WHERE {BODY.format(FAILED_TAP)}",),
        {"ownerless_cards_erased": 1},
    ),
    "an epoch that is called destroyed": Wound(
        ("UPDATE epoch SET destroyed = 1, ran_closed = 1",), {"epochs_reopened": 1}
    ),
    "an epoch that is not there": Wound(("DELETE FROM epoch",), {"epochs_reopened": 1}),
    "a notice without a window": Wound(("DELETE FROM episode WHERE kind = 'held'",), {"windows_opened": 1}),
    "a tap both whole and pruned": Wound(
        (
            "INSERT INTO identity (number, serial, boot, counter, digest, verdict, reason, disposition, unseen, shown) "
            f"SELECT id, serial, boot, counter, digest, verdict, reason, disposition, 0, 0 FROM tap "
            f"WHERE id = {DENIED_TAP}",
        ),
        {"identities_dropped": 1},
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_it_is_mended_once_and_told_of(engine: Engine, case: str) -> None:
    wound = CASES[case]
    journal, said = await mended(engine, *wound.statements)
    assert said == wound.said
    assert await journal.upkeep.check() == []
    assert await alarms(journal) == (0 if set(said) <= UNTOLD else 1)
    await journal.close()
    again, said = await started(engine)
    assert said == {}
    await again.close()


async def test_every_wound_is_made_above_or_below() -> None:
    made = {name for wound in CASES.values() for name in wound.said}
    assert made | {"epochs_closed", "unreadable_cards_erased"} == set(WOUNDS)


async def test_a_whole_journal_has_none(engine: Engine) -> None:
    await filled(engine)
    journal, said = await started(engine)
    assert said == {}
    assert await alarms(journal) == 0
    await journal.close()


async def alarms(journal: SqlJournal) -> int:
    """How many notices tell of wounds."""

    def count(connection: object) -> int:
        query = "SELECT count(*) FROM notice WHERE cause = 'alarm/wound'"
        return int(connection.execute(query).get)  # type: ignore[attr-defined]

    return await journal._writer.read(count)


class TestSends:
    """Whatever is found, the same bytes go on under the same UUID, and nobody forgets a doubt."""

    async def test_a_send_that_was_not_kept_goes_to_its_next_rung(self, engine: Engine) -> None:
        journal, _ = await mended(engine, *CASES["a send under way that was not kept"].statements)
        found = await story(journal, SENDING_TAP)
        assert (found.tap.state, found.tap.may_have_charged) == ("pending", True)
        assert [(one.number, one.outcome, one.cause) for one in found.attempts] == [(1, "unknown", "crash")]
        assert [line.cause for line in found.notices] == ["alarm/wound"]
        claims = await journal.claim(after(900), 10)
        assert {claimed.number for claimed in claims} == {2}
        assert all(claimed.body for claimed in claims)
        await journal.close()

    async def test_a_number_that_went_back_does_not_stop_the_others(self, engine: Engine) -> None:
        journal, _ = await mended(engine, *CASES["a number of sends that went back"].statements)
        claims = await journal.claim(after(900), 10)
        assert {claimed.number for claimed in claims} == {2}
        for claimed in claims:
            await settle(journal, claimed, APPROVED, after(900))
        assert (await journal.totals()).states["approved"] == 3
        await journal.close()

    async def test_a_held_tap_with_a_send_without_an_end_is_clean_no_more(self, engine: Engine) -> None:
        journal, _ = await mended(engine, *CASES["a send without an end, of a held tap"].statements)
        found = await story(journal, HELD_TAP)
        assert (found.tap.state, found.tap.may_have_charged) == ("held", True)
        assert found.attempts[0].outcome == "unknown"
        await journal.close()

    async def test_what_was_not_final_is_not_pruned(self, engine: Engine) -> None:
        journal, _ = await mended(engine, *CASES["a waiting tap with an end"].statements)
        await journal.upkeep.prune(2 * DAY, after(10 * 86_400), BY)
        assert (await story(journal, PENDING_TAP)).tap.state == "pending"
        await journal.close()


class TestCardData:
    """What is kept has somebody who can send it, and a time at which it goes."""

    async def test_a_rest_without_a_beginning_ends(self, engine: Engine) -> None:
        await filled(engine)
        wounded(engine, *CASES["a resting tap without a beginning"].statements)
        journal = await engine.open(keep=Keep(held_us=3 * DAY))
        await journal.recover(LATER, COMMON, crashed, crashed_asked)
        for _ in range(3 * 24 + 1):
            await journal.keep_house(HOUR)
        assert not (await story(journal, HELD_TAP)).body_kept
        await journal.close()

    @pytest.mark.parametrize("case", ["an epoch that is called destroyed", "an epoch that is not there"])
    async def test_a_key_under_which_something_lies_is_kept(self, engine: Engine, case: str) -> None:
        journal, _ = await mended(engine, *CASES[case].statements)
        assert engine.epoch_keys() == [1, 2]
        claims = await journal.claim(after(900), 10)
        assert len(claims) == 2
        assert all(claimed.body for claimed in claims)
        for _ in range(49):
            await journal.keep_house(HOUR)
        assert 1 not in engine.epoch_keys(), "it ends as any other"
        assert (await story(journal, FAILED_TAP)).body_kept
        await journal.close()

    async def test_what_no_key_opens_is_erased_and_its_tap_fails(self, engine: Engine) -> None:
        await filled(engine)
        engine.lose_key(1)
        wounded(engine, "UPDATE epoch SET destroyed = 1, ran_closed = 1")
        journal, said = await started(engine)
        assert said == {"unreadable_cards_erased": 8}
        assert await alarms(journal) == 4
        assert await journal.claim(after(900), 10) == []
        found = await story(journal, PENDING_TAP)
        assert (found.tap.state, found.tap.cause) == ("permanently_failed", "seal")
        assert await journal.upkeep.check() == []
        await journal.close()

    async def test_a_damaged_key_of_a_destroyed_epoch_does_not_stop_the_start(self, engine: Engine) -> None:
        await filled(engine)
        wounded(engine, "UPDATE epoch SET destroyed = 1, ran_closed = 1")
        engine.damage_key(1)
        journal, said = await started(engine)
        assert said == {"unreadable_cards_erased": 8}
        assert engine.epoch_keys() == [2]
        await journal.close()

    async def test_two_open_epochs_are_one_and_the_other_is_emptied(self, engine: Engine) -> None:
        await filled(engine)
        journal = await engine.open()
        for _ in range(24):
            await journal.keep_house(HOUR)
        await journal.close()
        wounded(engine, "UPDATE epoch SET ran_closed = NULL WHERE number = 1")
        journal, said = await started(engine)
        assert said == {"epochs_closed": 1}
        for _ in range(49):
            await journal.keep_house(HOUR)
        assert 1 not in engine.epoch_keys()
        assert await journal.upkeep.check() == []
        await journal.close()


async def test_what_no_mail_would_have_told_is_mailed(engine: Engine) -> None:
    journal, _ = await mended(engine, *CASES["a notice without a window"].statements)
    assert await journal.close_windows(after(10_000), closer(after(10_000))) == 2  # the failed one, and the held one
    await journal.close()


async def test_a_large_journal_is_looked_at_where_taps_are_unfinished(engine: Engine) -> None:
    await filled(engine)
    wounded(engine, *CASES["a final tap without an end"].statements, *CASES["a waiting tap with an end"].statements)
    journal = await engine.open()
    journal.upkeep = engine.unexamined(journal)
    done = await journal.recover(LATER, COMMON, crashed, crashed_asked)
    assert {name: done.get(name) for name in ("ends_taken_back", "finals_dated")} == {
        "ends_taken_back": 1,
        "finals_dated": None,
    }
    assert [finding.rule for finding in await journal.upkeep.check()] == ["final_unsettled"], "and the rest is told"
    await journal.close()
