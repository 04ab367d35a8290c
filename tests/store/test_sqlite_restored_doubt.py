"""What a backup calls failed may have been sent since: how old that doubt is, when no attempt in the backup says."""

from pathlib import Path

from tests.store.builders import NOW, after, fail_for_good, take
from tests.store.engines import KEK, SqliteEngine
from tpsd.core.doubt import DoubtPolicy
from tpsd.core.operations import InForce, Order, Refusal, judge
from tpsd.domain.audit import AuditDraft
from tpsd.domain.outcome import NoConnection
from tpsd.domain.time import HOUR, SECOND, Micros
from tpsd.store.copying import Copy
from tpsd.store.epochs import KeyFolder
from tpsd.store.opening import connect
from tpsd.store.restoring import Keyring, restore

POLICY = DoubtPolicy(horizon_us=36 * HOUR)


def backed_up(engine: SqliteEngine) -> Path:
    copy = Copy(engine.folder / "kept", spare_bytes=0)
    connection = connect(engine.path)
    copy.begin(connection)
    while not copy.step():
        pass
    copy.finish()
    connection.close()
    return engine.folder / "kept"


def resend_at(row_found: object, now: Micros) -> object:
    return judge(Order.RESEND, row_found, InForce(POLICY, frozenset({"common"}), now))  # type: ignore[arg-type]


async def test_a_restored_failure_is_not_sent_again_beyond_the_horizon(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "engine", inline=True)
    journal = await engine.open()
    await take(journal)
    await fail_for_good(journal, NoConnection("connect"))
    await journal.close()
    kept = backed_up(engine)
    by = AuditDraft(NOW, "root", "store restore", "a test")
    restore(kept, engine.path, Keyring(KEK, KeyFolder(engine.key_folder)), by, force=True)
    journal = await engine.open()
    row = await journal.operations.find("VAL00042:3:1")
    assert (row.may_have_charged, row.doubtful_since) == (True, row.created_at)
    horizon = POLICY.horizon_us / SECOND
    assert not isinstance(resend_at(row, after(horizon)), Refusal)
    assert isinstance(resend_at(row, after(horizon + 1)), Refusal)
    await journal.close()
