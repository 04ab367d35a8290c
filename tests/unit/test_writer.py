"""The writer: what shares a commit, whose turn it is, and how it ends."""

import asyncio
import time

import apsw
import pytest

from tests.writer_disk import Disk, Gate, Surprise, Work, behind_gate, write
from tpsd.errors import JournalError
from tpsd.store.writer import GROUP_SECONDS, InlineWriter, ThreadedWriter, Urgency, Writer


async def test_what_was_written_is_committed_when_it_returns(either: Writer, disk: Disk) -> None:
    assert await either.write(write("one")) == "one"
    assert disk.words() == ["one"]


async def test_many_writes_share_few_commits(writer: ThreadedWriter, disk: Disk) -> None:
    jobs = [(write(f"word {number}"), Urgency.INTAKE) for number in range(50)]
    assert len(await behind_gate(writer, *jobs)) == 50
    assert len(disk.words()) == 50
    assert 1 <= disk.commits <= 10


async def test_intake_goes_before_settlements_that_waited_longer(writer: ThreadedWriter, disk: Disk) -> None:
    await behind_gate(
        writer,
        (write("settle 1"), Urgency.SETTLE),
        (write("settle 2"), Urgency.SETTLE),
        (write("intake 1"), Urgency.INTAKE),
        (write("intake 2"), Urgency.INTAKE),
    )
    assert disk.words() == ["intake 1", "intake 2", "settle 1", "settle 2"]


async def test_reads_run_between_groups_and_outside_transactions(writer: ThreadedWriter) -> None:
    def look(connection: apsw.Connection) -> tuple[bool, int]:
        return connection.in_transaction, connection.execute("SELECT count(*) FROM line").get

    results = await behind_gate(
        writer,
        (look, Urgency.READ),
        (write("one"), Urgency.INTAKE),
        (look, Urgency.READ),
        (write("two"), Urgency.SETTLE),
    )
    assert results == [(False, 2), "one", (False, 2), "two"]


async def test_taps_without_end_keep_no_settlement_waiting_for_more_than_a_group(
    writer: ThreadedWriter, disk: Disk
) -> None:
    def slow(word: str) -> Work:
        def work(connection: apsw.Connection) -> object:
            until = time.monotonic() + GROUP_SECONDS
            while time.monotonic() < until:
                pass  # one of these fills a group
            return write(word)(connection)

        return work

    taps = [(slow(f"tap {number}"), Urgency.INTAKE) for number in range(4)]
    await behind_gate(writer, *taps, (write("settle 1"), Urgency.SETTLE), (write("settle 2"), Urgency.SETTLE))
    assert disk.words() == ["tap 0", "settle 1", "tap 1", "settle 2", "tap 2", "tap 3"]
    assert disk.commits == 4


async def test_a_caller_that_went_away_costs_nobody_anything(writer: ThreadedWriter, disk: Disk) -> None:
    gate = Gate()
    busy = asyncio.create_task(writer.read(gate))
    await asyncio.to_thread(gate.reached.wait, 10)
    impatient = asyncio.create_task(writer.write(write("impatient")))
    patient = asyncio.create_task(writer.write(write("patient")))
    await asyncio.sleep(0)
    impatient.cancel()
    gate.opened.set()
    assert await patient == "patient"
    await busy
    with pytest.raises(asyncio.CancelledError):
        await impatient
    assert "patient" in disk.words()
    assert await writer.write(write("later")) == "later"


async def test_closing_runs_what_was_submitted(disk: Disk) -> None:
    writer = ThreadedWriter(disk.connect)
    writer.start()
    gate = Gate()
    busy = asyncio.create_task(writer.read(gate))
    await asyncio.to_thread(gate.reached.wait, 10)
    waiting = [asyncio.create_task(writer.write(write(f"word {number}"))) for number in range(20)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(writer.close())
    await asyncio.sleep(0)
    with pytest.raises(JournalError, match="closed"):
        await writer.write(write("too late"))
    gate.opened.set()
    await asyncio.gather(busy, closing, *waiting)
    assert len(disk.words()) == 20
    await writer.close()


async def test_a_closed_inline_writer_says_so(disk: Disk) -> None:
    writer = InlineWriter(disk.connect)
    await writer.close()
    await writer.close()
    for call in (writer.write(write("late")), writer.read(lambda _connection: None)):
        with pytest.raises(JournalError, match="closed"):
            await call


async def test_a_connection_that_cannot_be_made_is_told_at_once() -> None:
    def refuse() -> apsw.Connection:
        raise JournalError("no")

    with pytest.raises(JournalError, match="no"):
        ThreadedWriter(refuse).start()
    with pytest.raises(JournalError, match="no"):
        InlineWriter(refuse)


def test_a_loop_that_is_gone_is_no_trouble_for_the_next_one(disk: Disk) -> None:
    writer = ThreadedWriter(disk.connect)
    writer.start()
    gate = Gate()

    async def leave_in_the_middle() -> None:
        tasks = [asyncio.create_task(writer.read(gate)), asyncio.create_task(writer.write(write("orphan")))]
        await asyncio.to_thread(gate.reached.wait, 10)
        for task in tasks:
            task.cancel()

    async def come_later() -> object:
        result = await writer.write(write("later"))
        await writer.close()
        return result

    asyncio.run(leave_in_the_middle())
    gate.opened.set()
    assert asyncio.run(come_later()) == "later"
    assert disk.words() == ["orphan", "later"]


async def test_the_end_of_the_thread_is_told_to_everybody(disk: Disk) -> None:
    # What cannot happen: the thread itself fails. A connection whose savepoint cannot even be begun ends it.
    class Dead:
        in_transaction = property(lambda _self: (_ for _ in ()).throw(Surprise()))

        def execute(self, _sql: str) -> None:
            raise Surprise

        def close(self) -> None:
            pass

    writer = ThreadedWriter(Dead)  # type: ignore[arg-type]
    writer.start()
    async with asyncio.timeout(10):
        with pytest.raises(JournalError, match=r"writer stopped \(Surprise\)"):
            await writer.write(write("one"))
        with pytest.raises(JournalError, match=r"writer stopped"):
            await writer.write(write("two"))
        await writer.close()
