"""The token key's version on taps, journeys and lists, and how long cards are known by the old one."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid4

from tests.store.builders import LANE, NOW, SALT, VISA, report, setting
from tests.store.passengers import APPROVED, COMPANY, GATE, answer, asked_of, check_in, fresh, journeys
from tests.store.test_contract_denylist import ACCEPTED, AUDIT, DENIED, imported, others
from tests.store.test_contract_feed import put
from tpsd.core.candidate import CardKeys
from tpsd.core.device_keys import check_value, prepared
from tpsd.core.feed import Flush, Take
from tpsd.core.intake import decide, prepare, tokens_of
from tpsd.core.key_choice import refused
from tpsd.domain.audit import AuditDraft
from tpsd.domain.card import CardToken, Pan
from tpsd.domain.device_key import DeviceKey, KeyRow, KeysKept, TokenKeyUse
from tpsd.domain.tap import Told
from tpsd.domain.time import later
from tpsd.emv.reading import card_token
from tpsd.ports import Taken
from tpsd.store.feed import Bounds, SqlFeed
from tpsd.store.journal import SqlJournal
from tpsd.store.runs import runs_of

NEW = bytes(range(100, 132))
OLD_VERSION, NEW_VERSION = check_value("SALT", SALT), check_value("SALT", NEW)
CHANGED = CardKeys(NEW, honoured=(SALT,))
RETIRED = CardKeys(NEW)
RETIRE = AuditDraft(NOW, "anna (1000)", "keys retire", "a new one is in use")


def old_name() -> bytes:
    return bytes.fromhex(card_token(SALT, Pan(VISA)))


async def tapped(journal: SqlJournal, counter: int, keys: CardKeys) -> Told | None:
    made = prepare(report(counter), LANE, setting(journal, keys=keys), uuid4())
    return (await journal.take(made, decide, NOW)).told


async def version_of(journal: SqlJournal, tap: int) -> str | None:
    shown, told = await journal.story(str(tap)), await journal.histories.of(str(tap))
    assert shown.token_key == told.token_key
    return shown.token_key


async def listed(journal: SqlJournal) -> dict[tuple[str, str | None], int]:
    return {(one.source, one.token_key): one.tokens for one in (await journal.denylist.totals()).sources}


async def test_a_tap_carries_the_version_that_its_token_was_made_under(journal: SqlJournal) -> None:
    for counter, keys in ((1, CardKeys(SALT)), (2, CHANGED)):
        await tapped(journal, counter, keys)
    own = prepare(report(3, token=CardToken("ab" * 32)), LANE, setting(journal, keys=CardKeys()), uuid4())
    await journal.take(own, decide, NOW)
    assert [await version_of(journal, tap) for tap in (1, 2, 3)] == [OLD_VERSION, NEW_VERSION, None]


async def test_a_list_entry_of_the_old_key_denies_until_that_is_retired(journal: SqlJournal) -> None:
    await journal.device_keys.put_in_force(OLD_VERSION)
    await journal.denylist.add([old_name()], AUDIT)
    await journal.device_keys.put_in_force(NEW_VERSION)
    assert await tapped(journal, 1, CHANGED) == DENIED
    assert await version_of(journal, 1) == NEW_VERSION
    assert await tapped(journal, 2, RETIRED) == ACCEPTED
    assert await listed(journal) == {("hand", OLD_VERSION): 1}


async def at_the_gate(journal: SqlJournal, counter: int, keys: CardKeys, amount: int) -> Taken:
    """A tap that checks in or out, by the journey that the gate finds by any of the card's names."""
    given, now = setting(journal, keys=keys), later(NOW, counter)
    tap = fresh(counter, now, amount=amount, kind=0x07)
    found = [await journal.asked.journey(COMPANY, name) for name in tokens_of(tap, given)]
    journey = next((one for one in found if one is not None), None)
    return await journal.take(prepare(tap, GATE, given, uuid4(), None, journey), decide, now)


async def test_a_journey_of_the_old_key_is_found_until_that_is_retired(journal: SqlJournal) -> None:
    await check_in(journal)
    [row] = await journeys(journal)
    assert row.token_key == OLD_VERSION
    assert await journal.device_keys.uses() == [TokenKeyUse(OLD_VERSION, 0, 1)]
    ends = await at_the_gate(journal, 2, CHANGED, 320)
    assert await version_of(journal, 2) == OLD_VERSION, "it is known by the name that it began under"
    await answer(journal, asked_of(ends), APPROVED)
    assert [(one.state, one.token_key) for one in await journeys(journal)] == [("closed", OLD_VERSION)]


async def test_once_the_old_key_is_retired_its_journey_is_not_found(journal: SqlJournal) -> None:
    await check_in(journal)
    await answer(journal, asked_of(await at_the_gate(journal, 2, RETIRED, 500)), APPROVED)
    found = {(one.state, one.token_key) for one in await journeys(journal)}
    assert found == {("open", OLD_VERSION), ("open", NEW_VERSION)}, "the tap began another"


async def test_lists_carry_the_version_in_force_when_they_came(journal: SqlJournal) -> None:
    assert await journal.denylist.add(others(1), AUDIT)
    await journal.device_keys.put_in_force(OLD_VERSION)
    await imported(journal, others(5))
    await journal.denylist.add(others(2), AUDIT)
    await journal.device_keys.put_in_force(NEW_VERSION)
    await imported(journal, others(3))
    await journal.denylist.tidy(100)
    kept = {
        ("file", OLD_VERSION): 5,
        ("file", NEW_VERSION): 3,
        ("hand", None): 1,
        ("hand", OLD_VERSION): 2,
    }
    assert await listed(journal) == kept, "lists of two keys are not joined"
    uses = [TokenKeyUse(NEW_VERSION, 3, 0), TokenKeyUse(OLD_VERSION, 7, 0)]
    assert sorted(await journal.device_keys.uses(), key=lambda use: use.listed) == uses
    await imported(journal, others(4))
    await journal.denylist.tidy(100)
    assert (await listed(journal))["file", NEW_VERSION] == 4
    await journal.device_keys.put_in_force(None)
    await imported(journal, others(7), replace=True)
    assert {key: count for key, count in (await listed(journal)).items() if key[0] == "file"} == {("file", None): 7}


def page(tokens: list[bytes], *before: Flush, done: bool = False) -> Take:
    return Take((*before, put(tokens)), "token", done)


async def test_what_the_feed_brings_after_a_change_is_a_run_of_the_new_key(journal: SqlJournal) -> None:
    feed = SqlFeed(journal._writer, Bounds(run=100))
    await journal.device_keys.put_in_force(OLD_VERSION)
    await feed.keep(page(others(10)), (), NOW)
    await journal.device_keys.put_in_force(NEW_VERSION)
    await feed.keep(page(others(2, seed=2)), (), NOW)
    assert await listed(journal) == {("tps", OLD_VERSION): 10, ("tps", NEW_VERSION): 2}
    await feed.keep(page(others(12), Flush(), done=True), (), NOW)
    loss = await feed.loss()
    assert loss is not None
    assert (loss.before, loss.lost) == (12, 2), "compared with every run of the old list"
    await feed.flip(NOW, None)
    await journal.denylist.tidy(100)
    assert await listed(journal) == {("tps", NEW_VERSION): 12}
    assert [run.kin for run in await journal._writer.read(runs_of)] == [(False, NEW_VERSION)]


async def test_a_key_is_retired_for_every_terminal_and_comes_back_by_none(journal: SqlJournal) -> None:
    salt = DeviceKey("SALT", "PLAIN", "", SALT.hex(), "1", "GATE-X1:VAL00001")
    same, other = replace(salt, terminal="GATE-X1:VAL00002"), replace(salt, data=NEW.hex())
    ready = [prepared(key, None) for key in (salt, same, other)]
    assert await journal.device_keys.keep(ready, NOW) == KeysKept(3, 0, 0)
    await journal.device_keys.retire(1, NOW, RETIRE)
    assert {row.id: row.retired_at for row in await journal.device_keys.rows()} == {1: NOW, 2: NOW, 3: None}
    assert len(await journal.operations.audited(10)) == 2
    third = prepared(replace(salt, terminal="GATE-X1:VAL00003", index="9"), None)
    assert await journal.device_keys.keep([third], NOW) == KeysKept(0, 1, 1)
    assert len(await journal.device_keys.rows()) == 3


async def refused_of(journal: SqlJournal, tap: int, key: KeyRow) -> bool:
    uuid = (await journal.story(str(tap))).tap.uuid
    assert uuid is not None
    return await journal.device_keys.refuse(UUID(uuid), key, refused(key), NOW, NOW)


async def alarms(journal: SqlJournal) -> list[str]:
    return await journal._writer.read(lambda one: [cause for (cause,) in one.execute("SELECT cause FROM notice")])


async def test_a_refusal_is_of_the_version_that_the_token_was_made_under_and_told_once(journal: SqlJournal) -> None:
    salt = DeviceKey("SALT", "PLAIN", "", SALT.hex(), "1", "GATE-X1:VAL00001")
    keys = (salt, replace(salt, terminal="GATE-X1:VAL00002"), replace(salt, data=NEW.hex()))
    await journal.device_keys.keep([prepared(key, None) for key in keys], NOW)
    new, _, old = await journal.device_keys.rows()
    await tapped(journal, 1, CardKeys(SALT))
    assert not await refused_of(journal, 1, new), "another was used meanwhile"
    assert await refused_of(journal, 1, old)
    assert not await refused_of(journal, 1, old)
    rows = await journal.device_keys.rows()
    assert {row.id: row.refused_at for row in rows} == {1: NOW, 2: NOW, 3: None}
    assert all(row.retired_at is None for row in rows), "it goes on being honoured"
    assert await alarms(journal) == [f"alarm/device_key.{OLD_VERSION}"]
    assert not await journal.device_keys.refuse(uuid4(), old, refused(old), NOW, NOW), "nobody's"


async def test_a_refusal_of_card_data_is_of_the_key_that_the_terminal_had_when_it_was_tapped(
    journal: SqlJournal,
) -> None:
    own = DeviceKey("TTK", "PLAIN", "", "11" * 16, "07", "GATE-X1:VAL00042")
    keys = (own, replace(own, terminal="GATE-X1:VAL00043"))
    await tapped(journal, 1, CardKeys())
    await journal.device_keys.keep([prepared(key, None) for key in keys], NOW)
    elsewhere, key = await journal.device_keys.rows()
    assert not await refused_of(journal, 1, key), "it was tapped before the key came"
    late = prepare(report(2, received_at=later(NOW, 1)), LANE, setting(journal), uuid4())
    await journal.take(late, decide, NOW)
    assert not await refused_of(journal, 2, elsewhere)
    assert await refused_of(journal, 2, key)
    assert {row.id: row.refused_at for row in await journal.device_keys.rows()} == {key.id: NOW, elsewhere.id: None}


async def test_what_is_to_be_used_for_a_terminal_keeps_its_id(journal: SqlJournal) -> None:
    key = DeviceKey("TTK", "AES", "", "11" * 16, "", "GATE-X1:VAL00001", "0012")
    await journal.device_keys.keep([prepared(key, None)], NOW)
    [row] = await journal.device_keys.rows()
    assert (row.check_value, row.key_id) == (None, None)
    await journal.device_keys.keep([prepared(key, bytes(16))], NOW)
    [row] = await journal.device_keys.rows()
    assert (row.check_value is not None, row.key_id) == (True, "0012"), "once it opens"
