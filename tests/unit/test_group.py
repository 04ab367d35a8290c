"""Group commit: what goes together is done at once, and each alone where that fails."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import apsw
import pytest

from tpsd.store.group import TOGETHER_MAX, GroupCommit, Job, Together


class Book:
    """A table, and who wrote into it how."""

    def __init__(self) -> None:
        self.connection = apsw.Connection(":memory:")
        self.connection.execute("CREATE TABLE page (number INTEGER PRIMARY KEY)")
        self.alone: list[int] = []
        self.crowds: list[list[int]] = []
        self.surprise: Exception | None = None

    def job(self, number: int) -> Job:
        def alone(connection: apsw.Connection) -> int:
            self.alone.append(number)
            connection.execute("INSERT INTO page VALUES (?)", (number,))
            return number

        return Job(Together(alone, self.all_of, number))

    def all_of(self, connection: apsw.Connection, numbers: Sequence[int]) -> list[int | None]:
        self.crowds.append(list(numbers))
        even = [number for number in numbers if number % 2 == 0]
        connection.executemany("INSERT INTO page VALUES (?)", [(number,) for number in even])
        if self.surprise is not None:
            raise self.surprise
        return [number if number % 2 == 0 else None for number in numbers]

    def write(self, jobs: Sequence[Job]) -> list[Job]:
        waiting = deque(jobs[1:])
        done = GroupCommit(self.connection).write(jobs[0], lambda: waiting.popleft() if waiting else None)
        assert not waiting
        return done

    def pages(self) -> list[int]:
        return [number for (number,) in self.connection.execute("SELECT number FROM page ORDER BY number")]


@pytest.fixture
def book() -> Book:
    return Book()


def plain(book: Book, number: int) -> Job:
    """One that goes with nobody."""

    def work(connection: apsw.Connection) -> int:
        connection.execute("INSERT INTO page VALUES (?)", (number,))
        return number

    return Job(work)


def test_who_is_given_none_is_done_alone(book: Book) -> None:
    done = book.write([book.job(number) for number in (2, 3, 4, 5)])
    assert [job.result for job in done] == [2, 3, 4, 5]
    assert (book.crowds, book.alone, book.pages()) == ([[2, 3, 4, 5]], [3, 5], [2, 3, 4, 5])


def test_between_others_they_stay_in_their_places(book: Book) -> None:
    jobs = [book.job(2), plain(book, 10), book.job(4), book.job(6), plain(book, 11), plain(book, 12), book.job(8)]
    done = book.write(jobs)
    assert done == jobs
    assert [job.result for job in done] == [2, 10, 4, 6, 11, 12, 8]
    assert (book.crowds, book.alone) == ([[4, 6]], [2, 8])


def test_where_all_at_once_fails_each_is_done_alone(book: Book) -> None:
    book.surprise = ValueError("one of them")
    done = book.write([book.job(number) for number in (2, 4, 4, 6)])
    assert [job.result for job in done] == [2, 4, None, 6]
    assert isinstance(done[2].error, apsw.ConstraintError)
    assert (book.alone, book.pages()) == ([2, 4, 4, 6], [2, 4, 6])


def test_an_engine_in_trouble_loses_all_of_them(book: Book) -> None:
    book.surprise = apsw.FullError("no room")
    done = book.write([book.job(2), book.job(4)])
    assert all(job.error is not None for job in done)
    assert (book.alone, book.pages()) == ([], [])


def test_a_crowd_has_an_end(book: Book) -> None:
    book.write([book.job(2 * number) for number in range(1, TOGETHER_MAX + 3)])
    assert [len(crowd) for crowd in book.crowds] == [TOGETHER_MAX, 2]
