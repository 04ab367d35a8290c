"""Device keys in the journal: sealed, the same again is no second, a retired one is gone and does not come back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.store.builders import NOW
from tests.store.engines import Engine
from tpsd.core.device_keys import check_value, prepared
from tpsd.domain.audit import AuditDraft
from tpsd.domain.device_key import DeviceKey, KeysKept
from tpsd.errors import NotFoundError, RefusedError
from tpsd.store.journal import SqlJournal

SECRET = bytes(range(200, 216))
CHECK = check_value("TTK", SECRET)
TTK = DeviceKey("TTK", "PLAIN", "", SECRET.hex(), "3", "GATE-X1:VAL00001")
TR34 = DeviceKey("SALT", "TR34", "", "cryptic text", "", "GATE-X1:VAL00001")
AUDIT = AuditDraft(NOW, "anna (1000)", "keys retire", "a new one is in use")


async def kept(journal: SqlJournal, *keys: DeviceKey) -> KeysKept:
    return await journal.device_keys.keep([prepared(key, None) for key in keys], NOW)


async def test_keys_are_kept_once_and_shown_by_check_value(journal: SqlJournal) -> None:
    assert await kept(journal, TTK, TR34) == KeysKept(2, 0, 0)
    assert await kept(journal, TTK, replace(TTK, terminal="GATE-X1:VAL00002")) == KeysKept(1, 1, 0)
    salt, other, first = await journal.device_keys.rows()
    assert (salt.check_value, salt.why) == (None, "the exact TR-34 profile is not public")
    assert (first.check_value, first.index, first.received_at, first.retired_at) == (CHECK, "3", NOW, None)
    assert (other.check_value, other.terminal) == (CHECK, "GATE-X1:VAL00002")
    assert await journal.device_keys.secret(first.id) == SECRET
    assert await journal.device_keys.secret(salt.id) == b"cryptic text"


async def test_a_key_that_a_person_brought_is_audited_once_and_none_of_it_told(journal: SqlJournal) -> None:
    brought = AuditDraft(NOW, "anna (1000)", "terminal register", "a new gate")
    for _ in range(2):
        await journal.device_keys.keep([prepared(TTK, None), prepared(TR34, None)], NOW, brought)
    rows = await journal.operations.audited(10)
    assert {(row.what, row.subject) for row in rows} == {
        ("terminal register", f"TTK {CHECK} (key 1)"),
        ("terminal register", "SALT TR34 (key 2)"),
    }
    assert len(rows) == 2


async def test_another_key_of_the_same_index_is_a_version_beside_it(journal: SqlJournal) -> None:
    await kept(journal, TTK)
    assert await kept(journal, replace(TTK, data="11" * 16)) == KeysKept(1, 0, 0)
    assert [row.index for row in await journal.device_keys.rows()] == ["3", "3"]


async def test_what_was_kept_as_received_opens_when_it_can(journal: SqlJournal) -> None:
    key = replace(TTK, format="AES", index="")
    await kept(journal, key)
    [row] = await journal.device_keys.rows()
    assert "no key-exchange key" in row.why
    ready = prepared(key, bytes(16))
    assert await journal.device_keys.keep([ready], NOW) == KeysKept(0, 1, 0)
    [opened] = await journal.device_keys.rows()
    assert (opened.id, opened.why) == (row.id, "")
    assert opened.check_value is not None
    assert check_value("TTK", await journal.device_keys.secret(row.id)) == opened.check_value
    assert await kept(journal, key) == KeysKept(0, 1, 0)
    assert await journal.device_keys.rows() == [opened], "without the exchange key it stays open"


async def test_a_retired_key_is_gone_stays_so_and_is_audited(journal: SqlJournal) -> None:
    await kept(journal, TTK)
    retired = await journal.device_keys.retire(1, NOW, AUDIT)
    assert (retired.check_value, retired.retired_at) == (CHECK, NOW)
    with pytest.raises(RefusedError, match="was retired"):
        await journal.device_keys.secret(1)
    with pytest.raises(RefusedError, match="retired already"):
        await journal.device_keys.retire(1, NOW, AUDIT)
    assert await kept(journal, TTK) == KeysKept(0, 1, 1)
    [row] = await journal.device_keys.rows()
    assert row == retired
    [audited] = await journal.operations.audited(10)
    assert (audited.what, audited.subject, audited.why) == ("keys retire", f"TTK {CHECK} (key 1)", AUDIT.why)


async def test_a_key_that_is_not_there(journal: SqlJournal) -> None:
    with pytest.raises(NotFoundError, match="no key 7"):
        await journal.device_keys.secret(7)
    with pytest.raises(NotFoundError, match="no key 7"):
        await journal.device_keys.retire(7, NOW, AUDIT)


async def test_no_key_lies_open_in_any_file_and_a_later_life_opens_it(engine: Engine) -> None:
    journal = await engine.open()
    await kept(journal, TTK, TR34)
    copy = engine.after_sigkill()
    await journal.close()
    again = await copy.open()
    try:
        assert await again.device_keys.secret(1) == SECRET
    finally:
        await again.close()
    files = [file for folder in engine.traces() for file in folder.rglob("*") if file.is_file()]
    assert files
    for file in files:
        content = file.read_bytes()
        assert SECRET not in content
        assert SECRET.hex().encode() not in content
        assert b"cryptic text" not in content
