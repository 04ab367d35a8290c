"""The writer: who hears of which failure, what of it stays, and when it goes on."""

import asyncio
import gc
import weakref

import apsw
import pytest

from tests.writer_disk import Disk, Surprise, Work, behind_gate, fail, write
from tpsd.errors import JournalError, JournalUnavailableError
from tpsd.store.writer import InlineWriter, ThreadedWriter, Urgency, Writer


@pytest.mark.parametrize("error", [ValueError("no"), KeyError("no"), StopIteration("end")], ids=repr)
async def test_a_failing_write_undoes_itself_alone(writer: ThreadedWriter, disk: Disk, error: Exception) -> None:
    results = await behind_gate(
        writer,
        (write("before"), Urgency.SETTLE),
        (fail(error), Urgency.SETTLE),
        (write("after"), Urgency.SETTLE),
    )
    assert (results[0], results[2]) == ("before", "after")
    assert isinstance(results[1], RuntimeError if isinstance(error, StopIteration) else type(error))
    assert disk.words() == ["before", "after"]


async def test_a_broken_constraint_undoes_itself_alone(writer: ThreadedWriter, disk: Disk) -> None:
    def twice(connection: apsw.Connection) -> None:
        write("half")(connection)
        write("before")(connection)

    results = await behind_gate(
        writer,
        (write("before"), Urgency.SETTLE),
        (twice, Urgency.SETTLE),
        (write("after"), Urgency.SETTLE),
    )
    assert isinstance(results[1], apsw.ConstraintError)
    assert disk.words() == ["before", "after"]


@pytest.mark.parametrize("either_error", [Surprise(), ValueError("no")], ids=repr)
async def test_what_work_raises_comes_out_and_the_writer_goes_on(
    either: Writer, disk: Disk, either_error: BaseException
) -> None:
    for call in (either.write, either.read):
        with pytest.raises(type(either_error)):
            await call(fail_reading(either_error))
    await either.write(write("later"))
    assert disk.words() == ["later"]


def fail_reading(error: BaseException) -> Work:
    def work(_connection: apsw.Connection) -> object:
        raise error

    return work


async def test_a_surprise_that_ends_the_transaction_fails_the_group_and_no_more(
    writer: ThreadedWriter, disk: Disk
) -> None:
    def rudely(connection: apsw.Connection) -> None:
        connection.execute("ROLLBACK")
        raise Surprise

    async with asyncio.timeout(10):
        results = await behind_gate(
            writer,
            (write("before"), Urgency.SETTLE),
            (rudely, Urgency.SETTLE),
        )
    assert [type(result) for result in results] == [JournalUnavailableError] * 2
    await writer.write(write("later"))
    assert disk.words() == ["later"]


async def test_work_that_leaves_its_own_transaction_open_or_shut_fails_its_group(either: Writer, disk: Disk) -> None:
    with pytest.raises(JournalUnavailableError):
        await either.write(lambda connection: connection.execute("COMMIT") and None)
    await either.write(write("later"))
    assert disk.words() == ["later"]


def fill(connection: apsw.Connection) -> None:
    """Leave no page free."""
    connection.pragma("max_page_count", connection.pragma("page_count"))


def empty(connection: apsw.Connection) -> None:
    connection.pragma("max_page_count", 1_000_000)


async def test_a_full_disk_fails_the_whole_group_and_is_over_when_space_is_back(
    writer: ThreadedWriter, disk: Disk
) -> None:
    await writer.write(write("kept"))
    await writer.read(fill)
    results = await behind_gate(
        writer,
        (write("small"), Urgency.INTAKE),
        (write("large" * 5000), Urgency.INTAKE),
        (write("after"), Urgency.SETTLE),
    )
    # The small one was already in the group that met the full disk; what came after it in a group of its own may pass.
    assert [type(result) for result in results[:2]] == [JournalUnavailableError] * 2
    assert all("check the disk's space" in str(result) for result in results[:2])
    await writer.read(empty)
    await writer.write(write("large" * 5000))
    assert disk.words()[0] == "kept"
    assert "small" not in disk.words()


async def test_a_full_disk_is_the_same_inline(disk: Disk) -> None:
    writer = InlineWriter(disk.connect)
    await writer.read(fill)
    with pytest.raises(JournalUnavailableError, match="FullError"):
        await writer.write(write("large" * 5000))
    await writer.read(empty)
    await writer.write(write("large" * 5000))
    await writer.close()


async def test_a_locked_database_is_unavailable_until_it_is_free(either: Writer, disk: Disk) -> None:
    other = apsw.Connection(str(disk.path))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalUnavailableError, match="BusyError"):
        await either.write(write("one"))
    other.execute("ROLLBACK")
    other.close()
    await either.write(write("one"))
    assert disk.words() == ["one"]


@pytest.mark.parametrize("error", [apsw.IOError("disk I/O error"), apsw.CorruptError("malformed")], ids=repr)
@pytest.mark.parametrize("where", ["write", "read"])
async def test_a_broken_disk_is_never_written_again_by_this_process(
    either: Writer, disk: Disk, error: apsw.Error, where: str
) -> None:
    await either.write(write("before"))
    with pytest.raises(JournalUnavailableError, match=type(error).__name__):
        await (either.write if where == "write" else either.read)(fail_reading(error))
    for _ in range(2):
        with pytest.raises(JournalError, match=r"stays closed until tpsd starts again") as refused:
            await either.write(write("after"))
        assert not isinstance(refused.value, JournalUnavailableError)  # not something to wait for
    assert await either.read(lambda connection: connection.execute("SELECT count(*) FROM line").get) == 1
    assert disk.words() == ["before"]


@pytest.mark.parametrize("where", ["write", "read"])
async def test_an_error_keeps_neither_cursors_nor_what_the_work_held(either: Writer, disk: Disk, where: str) -> None:
    class Card:
        """Stands for card data in a frame."""

    held: list[weakref.ref[Card]] = []

    def work(connection: apsw.Connection) -> None:
        card = Card()
        held.append(weakref.ref(card))
        rows = connection.execute("SELECT 1 UNION SELECT 2")
        next(rows)
        raise LookupError("in the middle of a query")

    await either.write(write("one"))
    gc.disable()
    try:
        with pytest.raises(LookupError) as kept:
            await (either.write if where == "write" else either.read)(work)
        assert held[0]() is None
        assert kept.value.__traceback__ is not None  # where it happened can still be told
    finally:
        gc.enable()

    def checkpoint(connection: apsw.Connection) -> tuple[int, int]:
        return connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)

    assert await either.read(checkpoint) == (0, 0)  # nobody reads an old snapshot any more
