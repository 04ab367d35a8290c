"""A gate that does not wait for its database: taps go to the spool, and from there into the database, once each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.store.builders import LANE, NOW, VISA, after, candidate, crashed, crashed_asked, report, take
from tests.store.databases import Databases, PostgresEngine
from tests.store.passengers import asked_of, offer, wait_for
from tests.store.remote_gate import SLOW_SECONDS, Gate, rows
from tpsd.core.intake import decide
from tpsd.core.passback import PassBack
from tpsd.core.spooling import NOTE, OUT_OF_SERVICE
from tpsd.domain.audit import AuditDraft
from tpsd.domain.tap import Oda, Shown, Verdict
from tpsd.errors import JournalError, JournalUnavailableError

THIS = UUID("5b5c9c1e-3a54-4c31-9b7e-1f6c1a9d0e11")


@pytest.fixture(params=[18])
def gate(request: pytest.FixtureRequest, databases: Callable[[int], Databases], tmp_path: Path) -> Iterator[Gate]:
    engine = PostgresEngine(databases(request.param), tmp_path / "engine")
    gate = Gate(engine, tmp_path)
    yield gate
    gate.server.unshut()
    engine.drop()


async def test_nothing_is_spooled_while_the_database_answers(gate: Gate) -> None:
    async with gate.open() as journal:
        await take(journal)
        facts = await journal.spool_facts(NOW)
        assert facts is not None
        assert (facts.waiting, facts.oldest_seconds, facts.in_use_seconds, facts.away) == (0, None, None, None)
        assert [row.state for row in await rows(journal)] == ["pending"]


async def test_taps_without_a_database_are_drained_in_their_order(gate: Gate) -> None:
    async with gate.open() as journal:
        await gate.lose()
        told = [await take(journal, counter) for counter in range(1, 121)]
        assert {one.told.verdict for one in told if one.told} == {Verdict.ACCEPTED}
        assert await journal.claim(NOW, 10) == []
        facts = await journal.spool_facts(after(3))
        assert facts is not None
        assert (facts.waiting, facts.oldest_seconds) == (120, 3.0)
        assert facts.away is not None
        await gate.find()
        found = await rows(journal)
        assert [row.tap_id for row in found] == [f"VAL00042:3:{counter}" for counter in range(1, 121)]
        assert {(row.state, row.verdict, row.reason) for row in found} == {("pending", 1, "ok")}
        assert await journal.upkeep.check() == []
        claims = await journal.claim(NOW, 200)
        assert len(claims) == 120
        assert all(claimed.body for claimed in claims)
        assert {(await journal.histories.of(str(found[0].number))).note} == {NOTE}
        spool = journal._spool
        assert (await spool.waits()).count == 0
        left = await spool._writer.read(
            lambda one: [
                one.execute(f"SELECT count(*) FROM {table}").get for table in ("tap", "sealed", "authorisation")
            ]
        )
        assert left == [0, 0, 0]


async def test_a_tap_known_to_the_spool_gets_the_same_verdict(gate: Gate) -> None:
    async with gate.open() as journal:
        await gate.lose()
        first = await take(journal)
        again = await take(journal)
        assert (again.new, again.told) == (False, first.told)
        await gate.find()
        after_all = await take(journal)
        assert (after_all.new, after_all.told) == (False, first.told)
        (row,) = await rows(journal)
        assert row.repeats == 2


async def test_a_tap_the_database_has_answered_gets_that_answer_without_it(gate: Gate) -> None:
    async with gate.open() as journal:
        first = await take(journal)
        await gate.lose()
        again = await take(journal)
        assert (again.new, again.told) == (False, first.told)
        facts = await journal.spool_facts(NOW)
        assert facts is not None
        assert facts.waiting == 0


async def test_a_slow_database_is_not_waited_for(gate: Gate) -> None:
    async with gate.open() as journal:
        await take(journal, 1)
        with gate.server.asleep():
            loop = asyncio.get_running_loop()
            began = loop.time()
            told = await take(journal, 2)
            assert loop.time() - began >= SLOW_SECONDS
            more = await take(journal, 3)
            assert told.new
            assert more.new
            assert journal.unsure
        assert await journal.claim(NOW, 10) == []
        await gate.drained()
        found = await rows(journal)
        assert [row.tap_id for row in found] == [f"VAL00042:3:{counter}" for counter in (1, 2, 3)]
        assert not journal.unsure
        assert len(await journal.claim(NOW, 10)) == 3


async def test_it_is_the_same_transaction_wherever_it_is_put(gate: Gate) -> None:
    async with gate.open() as journal:
        await gate.lose()
        await take(journal, 1, uuid=THIS)
        await gate.find()
        (row,) = await rows(journal)
        assert row.uuid == str(THIS)
        (claimed,) = await journal.claim(NOW, 10)
        assert str(THIS).encode() in claimed.body


async def test_the_verdict_that_was_told_stands_over_a_commit_nobody_heard_of(gate: Gate) -> None:
    """The database knows of a tap a moment ago at another gate: it would have said "already tapped"."""
    lane = replace(LANE, pass_back=PassBack(10_000_000, 60_000_000), pass_group="hall")
    async with gate.open() as other:
        await other.take(candidate(other, report(1, serial="VAL00043"), lane), decide, NOW)
    async with gate.open() as journal:
        with gate.server.asleep():
            told = await journal.take(candidate(journal, report(2), lane, THIS), decide, NOW)
        assert told.told is not None
        assert told.told.verdict is Verdict.ACCEPTED
        assert (await rows(journal))[1].verdict == Verdict.ALREADY_TAPPED, "the commit went through"
        await gate.drained()
        first, second = await rows(journal)
        assert (first.state, second.state, second.verdict, second.disposition) == ("pending", "pending", 1, None)
        assert second.uuid == str(THIS)
        assert len(await journal.claim(NOW, 10)) == 2
        assert await journal.upkeep.check() == []


async def test_who_was_turned_away_is_not_charged_for_a_commit_nobody_heard_of(gate: Gate) -> None:
    """The spool's list knows of the card already, the database's no longer."""
    async with gate.open() as journal:
        tap = candidate(journal, report(1), uuid=THIS)
        assert tap.token is not None
        await journal._spool.denylist.add([bytes.fromhex(tap.token)], AuditDraft(NOW, "nobody", "deny", "a test"))
        with gate.server.asleep():
            told = await journal.take(tap, decide, NOW)
        assert told.told is not None
        assert told.told.reason == "deny_list"
        assert [row.state for row in await rows(journal)] == ["pending"], "the commit went through"
        assert await journal.claim(NOW, 10) == []
        await gate.drained()
        (row,) = await rows(journal)
        assert (row.state, row.cause, row.verdict, row.reason) == ("not_charged", "deny_list", 2, "deny_list")
        assert await journal.claim(NOW, 10) == []
        assert await journal._writer.read(lambda one: one.execute("SELECT count(*) FROM sealed").get) == 0
        assert await journal.upkeep.check() == []


async def test_a_payment_whose_commit_nobody_heard_of_is_ended_though_no_connection_was_lost(gate: Gate) -> None:
    """Nobody sends it, and its card would be under way at every gate until the next start."""
    async with gate.open() as journal:
        offered = await offer(journal, 1)
        with gate.server.asleep():
            assert (await journal.take(offered, decide, NOW)).told == OUT_OF_SERVICE
        await gate.drained()
        assert [row.state for row in await rows(journal)] == ["sending"], "the commit went through"
        assert (journal.is_connected, journal.is_recovered, journal.may_claim) == (True, False, False)
        losses = journal.losses
        done = await journal.recover(NOW, ["common"], crashed, crashed_asked)
        assert done["attempts_ended_unknown"] == 1
        journal.recovered(losses)
        assert journal.may_claim
        assert asked_of(await wait_for(journal, 2))


async def test_a_row_claimed_before_its_tap_went_to_the_spool_is_put_back(gate: Gate) -> None:
    async with gate.open() as journal:
        with gate.server.asleep():
            claiming = asyncio.create_task(journal.claim(NOW, 10))
            await take(journal, 1, uuid=THIS)
        assert await claiming == []
        assert [attempt.outcome for attempt in (await journal.story(str(THIS))).attempts] == ["not_sent"]
        await gate.drained()
        (claimed,) = await journal.claim(NOW, 10)
        assert (claimed.number, claimed.progress.sends) == (2, 1)
        assert claimed.body


async def test_the_passenger_is_shown_something_else_while_it_waits(gate: Gate) -> None:
    async with gate.open() as journal:
        await gate.lose()
        await take(journal, 1)
        await take(journal, 1, shown=Shown.TURNED_AWAY)
        await take(journal, 2)
        await gate.find()
        turned_away, let_in = await rows(journal)
        assert (turned_away.state, turned_away.cause, turned_away.verdict) == ("not_charged", "turned_away", 1)
        assert let_in.state == "pending"


async def test_a_tap_the_database_had_answered_is_no_second_one(gate: Gate) -> None:
    """It was told before the outage, and comes again in it, by a daemon that has forgotten it; or turned away since."""
    async with gate.open() as journal:
        await take(journal, 1)
        await take(journal, 2)
    async with gate.open() as journal:
        await gate.lose()
        await take(journal, 1)
        await take(journal, 2, shown=Shown.TURNED_AWAY)
        await gate.find()
        first, second = await rows(journal)
        assert (first.state, first.repeats) == ("pending", 1)
        assert (second.state, second.cause) == ("not_charged", "turned_away")


async def test_taps_of_a_held_terminal_join_it(gate: Gate) -> None:
    async with gate.open() as journal:
        await journal._writer.write(
            lambda one: (
                one.execute(
                    "INSERT INTO hold (cause, terminal, since) VALUES ('system.41', 'GATE-X1:VAL00042', ?)", (NOW,)
                )
                and None
            )
        )
        await gate.lose()
        await take(journal, 1)
        await gate.find()
        (row,) = await rows(journal)
        assert (row.state, row.cause) == ("held", "system.41")


async def test_another_content_under_the_same_name_is_told_of(gate: Gate) -> None:
    async with gate.open() as journal:
        await take(journal, 1)
        await gate.lose()
        await take(journal, 1, content=b"another")
        await gate.find()
        assert len(await rows(journal)) == 2
        story = await journal.story((await rows(journal))[1].uuid or "")
        assert [notice.cause for notice in story.notices] == ["alarm/tap_identity@GATE-X1:VAL00042"]


async def test_a_tap_that_cannot_be_decided_is_kept_with_its_payload(gate: Gate) -> None:
    async with gate.open() as journal:
        await gate.lose()
        await journal.reject(report(1), "gate-1", "GATE-X1:VAL00042", "c0ffee", NOW)
        await gate.find()
        (row,) = await rows(journal)
        assert (row.disposition, row.reason) == ("rejected", "internal")
        again = await journal.reject(report(1), "gate-1", "GATE-X1:VAL00042", "c0ffee", NOW)
        assert not again.new
        sealed = await journal._writer.read(lambda one: list(one.execute("SELECT owner, purpose FROM sealed")))
        assert sealed == [(f"tap:{row.number}", "payload")]


async def test_taps_that_wait_for_the_time_wait_in_the_database_too(gate: Gate) -> None:
    async with gate.open() as journal:
        await gate.lose()
        made = candidate(journal, report(1))
        assert made.draft is not None
        untimed = replace(made, draft=replace(made.draft, path="", body=None))
        await journal.take(untimed, decide, NOW)
        await gate.find()
        assert await journal.claim(NOW, 10) == []
        (waiting,) = await journal.bodies.waiting(10)
        assert waiting.kept is not None
        assert waiting.kept.card


async def test_running_time_is_counted_once(gate: Gate) -> None:
    async with gate.open() as journal:
        await journal.keep_house(5_000_000)
        await gate.lose()
        for minutes in (60_000_000, 120_000_000):
            with pytest.raises(JournalUnavailableError):
                await journal.keep_house(minutes)
        assert journal._spool._ran == 125_000_000
        await gate.find()
        await journal.keep_house(180_000_000)
        assert (journal._spool._ran, journal._ran) == (185_000_000, 185_000_000)


async def test_a_tap_that_comes_again_while_it_is_drained(gate: Gate) -> None:
    async with gate.open() as journal:
        await gate.lose()
        await take(journal, 1)
        gate.server.unshut()
        await gate.connected()
        with gate.server.asleep():
            draining = asyncio.create_task(journal.drain(NOW))
            while not any(journal._writer._running):
                await asyncio.sleep(0)
            await take(journal, 1, shown=Shown.TURNED_AWAY)
        assert await draining == 0
        assert await journal.claim(NOW, 10) == []
        await gate.drained()
        (row,) = await rows(journal)
        assert (row.state, row.repeats) == ("not_charged", 1)


async def test_a_drain_that_the_connection_does_not_outlive(gate: Gate) -> None:
    async with gate.open() as journal:
        await gate.lose()
        await take(journal, 1)
        gate.server.unshut()
        await gate.connected()
        await asyncio.to_thread(gate.server.shut)
        with pytest.raises(JournalUnavailableError):
            await journal.drain(NOW)
        facts = await journal.spool_facts(NOW)
        assert facts is not None
        assert facts.waiting == 1
        await gate.find()
        assert [row.state for row in await rows(journal)] == ["pending"]


async def test_the_spool_of_another_journal_is_refused(
    gate: Gate, databases: Callable[[int], Databases], tmp_path: Path
) -> None:
    async with gate.open() as journal:
        await gate.lose()
        await take(journal, 1)
    other = PostgresEngine(databases(16), tmp_path / "other")
    with pytest.raises(JournalError, match=r"the spool holds taps of journal .* until they have drained"):
        async with Gate(other, tmp_path).open():
            pytest.fail("it was opened")
    other.drop()


async def test_a_card_that_rode_a_moment_before_is_known(gate: Gate) -> None:
    """Pass-back is this gate's own while the database is away, and does not begin anew with it."""
    lane = replace(LANE, pass_back=PassBack(10_000_000, 60_000_000))
    async with gate.open() as journal:
        tap = partial(candidate, journal, lane=lane)
        await journal.take(tap(report(1)), decide, NOW)
        await gate.lose()
        told = [await journal.take(tap(report(counter, tapped_at=after(seconds))), decide, NOW)
                for counter, seconds in ((2, 5), (3, 30), (4, 61), (5, 65))]  # fmt: skip
        assert [one.told.reason for one in told if one.told] == ["repeat", "pass_back", "ok", "repeat"]
        await gate.find()
        assert [row.state for row in await rows(journal)] == ["pending", None, None, "pending", None]
        notes = [(await journal.histories.of(str(row.number))).note for row in await rows(journal)]
        assert notes == [None, NOTE, NOTE, NOTE, NOTE]


async def test_no_card_number_is_in_the_spool(gate: Gate) -> None:
    async with gate.open() as journal:
        await gate.lose()
        await take(journal, 1)
        await journal.reject(report(2), "gate-1", "GATE-X1:VAL00042", "c0ffee", NOW)
    files = [path.read_bytes() for path in gate.folder.rglob("*") if path.is_file()]
    assert files
    assert not any(VISA.encode() in content or bytes.fromhex(VISA) in content for content in files)


@pytest.mark.parametrize(("shown", "state"), [(Shown.NOTHING, "pending"), (Shown.TURNED_AWAY, "not_charged")])
async def test_its_daemon_comes_back_to_a_row_that_was_put_in_doubt_without_it(
    gate: Gate, shown: Shown, state: str
) -> None:
    async with gate.open() as journal:
        with gate.server.asleep():
            await take(journal, 1, uuid=THIS)
        await journal._writer.write(
            lambda one: (
                one.execute("UPDATE authorisation SET state = 'in_doubt', cause = 'unconfirmed', due = NULL") and None
            )
        )
        await take(journal, 1, shown=shown)
        await gate.drained()
        (row,) = await rows(journal)
        assert (row.state, row.uuid) == (state, str(THIS))
        assert len(await journal.claim(NOW, 10)) == (state == "pending")


async def test_a_lane_that_ends_while_its_tap_is_spooled(gate: Gate) -> None:
    async with gate.open() as journal:
        await gate.lose()
        taking = asyncio.create_task(take(journal, 1))
        while not journal._entering:
            await asyncio.sleep(0)
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking
        await asyncio.gather(*journal._puts)
        assert journal.waiting == 1
        await gate.find()
        assert [row.state for row in await rows(journal)] == ["pending"]


async def test_one_that_cannot_be_drained_holds_nobody_up_but_the_claims(gate: Gate) -> None:
    async with gate.open(drained_at_once=2) as journal:
        await gate.lose()
        for counter in range(1, 6):
            await take(journal, counter)
        damage = "UPDATE tap SET tapped_at = -1 WHERE id = 2"
        await journal._spool._writer.write(lambda one: one.execute(damage) and None)
        gate.server.unshut()
        await gate.connected()
        await journal._writer.write(lambda one: one.execute("ALTER TABLE tap ADD CHECK (tapped_at > 0)") and None)
        for _ in range(6):
            await journal.drain(NOW)
        facts = await journal.spool_facts(NOW)
        assert facts is not None
        assert (facts.waiting, facts.stuck) == (1, "CheckViolationError")
        assert [row.tap_id for row in await rows(journal)] == [f"VAL00042:3:{counter}" for counter in (1, 3, 4, 5)]
        assert await journal.claim(NOW, 10) == []
        await journal._spool._writer.write(lambda one: one.execute("UPDATE tap SET tapped_at = ?", (NOW,)) and None)
        await gate.drained()
        assert len(await journal.claim(NOW, 10)) == 5


@pytest.mark.parametrize("denied", [False, True])
async def test_it_is_written_as_if_the_database_had_been_there(gate: Gate, denied: bool) -> None:
    """Column by column, but for its number, the note, and the key that its card data is sealed under."""
    where = (("route", "17"), ("vehicle", "4711"))
    lane = replace(LANE, amount_limit=1) if denied else LANE

    async def written(serial: str) -> dict[str, Any]:
        tap = report(1, serial=serial, stop="harbour", where=where, oda=Oda.GOOD, age_ms=7, currency="978")
        await gate.journal.take(candidate(gate.journal, tap, replace(lane, terminal_sn="T-1"), THIS), decide, NOW)
        if serial == "VAL2":
            await gate.find()

        def work(one: Any) -> dict[str, Any]:
            found: dict[str, Any] = {}
            for table, key in (("tap", f"serial = '{serial}'"), ("authorisation", f"uuid = '{THIS}'")):
                columns = [name for (name,) in one.execute(COLUMNS, (table,)) if name not in APART]
                for row in one.execute(f"SELECT {', '.join(columns)} FROM {table} WHERE {key}"):
                    found |= {f"{table}.{name}": value for name, value in zip(columns, row, strict=True)}
            purposes = one.execute(f"SELECT purpose FROM sealed WHERE owner = '{THIS}' ORDER BY purpose")
            return found | {"sealed": list(purposes)}

        return await gate.journal._writer.read(work)

    async with gate.open() as journal:
        direct = await written("VAL1")
        await journal._writer.write(lambda one: [one.execute(f"DELETE FROM {name}") for name in EMPTIED] and None)
        await gate.lose()
        spooled = await written("VAL2")
    assert len(direct) > 30
    assert spooled == direct


COLUMNS = "SELECT column_name::text FROM information_schema.columns WHERE table_name = ? ORDER BY ordinal_position"
APART = {"id", "serial", "note", "digest", "body_digest", "ladder"}
EMPTIED = ("notice", "sealed", "tap", "authorisation")
