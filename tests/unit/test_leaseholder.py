"""A daemon's lease: what may be sent under it, when it is renewed, and when others' work is taken over."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from tests.integration.stage import until as until_it_is
from tpsd.config.locations import machine_name
from tpsd.demo.clock import WarpClock
from tpsd.domain.time import SECOND, Micros, later
from tpsd.errors import JournalUnavailableError
from tpsd.leases import LEASE_US, RENEW_US, TAKE_OVER_US, Endings, Hold, Neighbour, Renewed
from tpsd.workers.leaseholder import Leaseholder

NOW = Micros(1_790_000_000_000_000)
SEND_US = 10 * SECOND


@dataclass
class Table:
    """A shared journal's table of daemons as another of them sees it."""

    at: Micros = NOW
    others: list[Neighbour] = field(default_factory=list)
    gone: dict[str, Micros] = field(default_factory=dict)
    left: frozenset[str] = frozenset()
    broken: bool = False
    left_over: int = 1
    calls: list[str] = field(default_factory=list)
    daemon: str = "one"
    presides: bool = True

    async def clock(self) -> Micros:
        return self.at

    async def describe(self, credentials: Mapping[str, str]) -> None:
        if self.broken:
            raise JournalUnavailableError("no")
        self.calls.append(f"describe {sorted(credentials.items())}")

    async def renew(self) -> Renewed:
        if self.broken:
            raise JournalUnavailableError("no")
        self.calls.append("renew")
        return Renewed(self.at, list(self.others), dict(self.gone), self.left)

    async def leave(self) -> None:
        if self.broken:
            raise JournalUnavailableError("no")
        self.calls.append("leave")

    async def declare_gone(self, neighbour: Neighbour) -> bool:
        self.calls.append(f"gone {neighbour.name}")
        self.others.remove(neighbour)
        self.gone[neighbour.name] = self.at
        return True

    async def take_over(self, now: Micros, endings: Endings) -> dict[str, int]:
        del now, endings
        self.calls.append("take over")
        return {"sends_taken_over": self.left_over}


class Still(WarpClock):
    """Stands where it is put."""

    def __init__(self) -> None:
        super().__init__()
        self.at = NOW

    def schedule(self) -> Micros:
        return self.at


def holder(table: Table, clock: Still) -> tuple[Leaseholder, Hold]:
    hold = Hold(clock.schedule, SEND_US)
    nobody = lambda ended: pytest.fail("nobody asked")  # noqa: E731
    endings = Endings(nobody, nobody, nobody, None)
    return Leaseholder(table, hold, clock, endings, lambda: table.calls.append("look around")), hold


async def rounds(table: Table, count: int = 1) -> list[int]:
    """So many rounds; how long it waits after each, microseconds."""
    one, _ = holder(table, Still())
    return [await one.round() for _ in range(count)]


class TestHold:
    """What may be sent under a lease."""

    def test_nothing_before_it_was_ever_renewed(self) -> None:
        assert not Hold(lambda: NOW, SEND_US).lasts()

    def test_a_send_ends_before_anybody_else_may_begin_it(self) -> None:
        clock = Still()
        hold = Hold(clock.schedule, SEND_US)
        hold.extend(NOW)
        for passed, lasts in ((0, True), (LEASE_US - SEND_US, True), (LEASE_US - SEND_US + 1, False)):
            clock.at = later(NOW, passed)
            assert hold.lasts() is lasts

    def test_an_older_renewal_takes_nothing_away(self) -> None:
        clock = Still()
        hold = Hold(clock.schedule, SEND_US)
        hold.extend(later(NOW, SECOND))
        hold.extend(NOW)
        clock.at = later(NOW, LEASE_US - SEND_US + SECOND)
        assert hold.lasts()

    def test_a_daemon_that_renews_in_time_may_always_send(self) -> None:
        assert RENEW_US + SEND_US <= LEASE_US

    def test_within_thirty_seconds_another_may(self) -> None:
        assert TAKE_OVER_US <= 30 * SECOND


class TestLeaseholder:
    """The loop."""

    async def test_it_renews_every_five_seconds_and_looks_around(self) -> None:
        table = Table(others=[Neighbour("two", 1, 20 * SECOND)])
        assert await rounds(table, 2) == [RENEW_US] * 2
        assert table.calls == ["renew", "look around"] * 2

    async def test_it_looks_when_the_lease_of_another_ends(self) -> None:
        (wait_us,) = await rounds(Table(others=[Neighbour("two", 1, 2 * SECOND), Neighbour("three", 1, 9 * SECOND)]))
        assert 2 * SECOND < wait_us < 3 * SECOND

    async def test_whose_lease_is_over_is_gone_and_its_work_taken_over(self) -> None:
        table = Table(others=[Neighbour("two", 7, -1), Neighbour("three", 1, 9 * SECOND)])
        await rounds(table, 2)
        assert table.calls == ["renew", "gone two", "take over", "look around", "renew", "take over", "look around"]

    async def test_what_falls_due_of_a_gone_daemon_later_is_taken_over_too(self) -> None:
        table = Table(gone={"two": NOW})
        await rounds(table)
        assert table.calls == ["renew", "take over", "look around"]

    async def test_whom_tps_sees_is_said_before_anything_is_taken_over_by_it(self) -> None:
        table = Table(gone={"two": NOW})
        one, _ = holder(table, Still())
        one.show({"common": "a", "gate": "b"})
        await one.begin()
        one.show({"gate": "c"})
        table.broken = True
        with pytest.raises(JournalUnavailableError):
            await one.round()
        table.broken = False
        await one.round()
        await one.round()
        assert table.calls[:2] == ["describe [('common', 'a'), ('gate', 'b')]", "renew"]
        assert table.calls[2:5] == ["describe [('common', 'a'), ('gate', 'c')]", "renew", "take over"]
        assert table.calls[6:] == ["renew", "take over", "look around"], "said once"

    async def test_it_looks_soon_again_where_something_was_left(self) -> None:
        table = Table(gone={"two": NOW})
        one, _ = holder(table, Still())
        waits = [await one.round(), await one.round()]
        table.left_over = 0
        waits += [await one.round() for _ in range(5)]
        assert [wait / SECOND for wait in waits] == [0.5, 0.5, 1, 2, 4, 5, 5]

    async def test_a_lease_that_cannot_be_given_up_runs_out(self) -> None:
        table = Table()
        one, _ = holder(table, Still())
        await one.leave()
        table.broken = True
        await one.leave()
        assert table.calls == ["leave"]

    async def test_who_left_in_order_is_told_of_when_its_lease_would_have_ended(self) -> None:
        for since, told in ((LEASE_US, {}), (LEASE_US + 1, {"two": LEASE_US + 1})):
            one, _ = holder(Table(gone={"two": later(NOW, -since)}, left=frozenset({"two"})), Still())
            await one.begin()
            assert one.facts().gone == told

    async def test_it_renews_at_once_where_somebody_may_not_send_any_more(self) -> None:
        """After a machine's sleep nobody waits for the next round."""
        table, clock = Table(), Still()
        one, hold = holder(table, clock)
        running = asyncio.create_task(one.run())
        await until_it_is(lambda: table.calls.count("renew") == 1, "the first renewal")
        clock.at = later(NOW, LEASE_US)
        assert not hold.lasts()
        await until_it_is(lambda: table.calls.count("renew") == 2, "another", seconds=RENEW_US / SECOND / 2)
        assert hold.lasts()
        running.cancel()
        await asyncio.wait((running,))

    async def test_the_lease_counts_from_before_the_request(self) -> None:
        clock = Still()
        one, hold = holder(Table(), clock)
        await one.begin()
        clock.at = later(NOW, LEASE_US - SEND_US)
        assert hold.lasts()
        clock.at = later(clock.at, 1)
        assert not hold.lasts()

    @pytest.mark.parametrize(("database", "apart"), [(0, 0), (3 * SECOND, -3 * SECOND), (-3 * SECOND, 3 * SECOND)])
    async def test_how_far_the_clocks_are_apart(self, database: int, apart: int) -> None:
        one, _ = holder(Table(at=later(NOW, database)), Still())
        await one.begin()
        assert one.facts().apart_us == apart

    async def test_who_is_gone_for_how_long(self) -> None:
        one, _ = holder(Table(gone={"two": later(NOW, -60 * SECOND)}, others=[Neighbour("three", 1, 1)]), Still())
        await one.begin()
        facts = one.facts()
        assert (facts.daemon, facts.presides, facts.others, facts.gone) == (
            "one",
            True,
            ("three",),
            {"two": 60 * SECOND},
        )


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("gate-3", "gate-3"),
        ("Gate3.depot.example.org", "gate3"),
        ("gate№3", "gate-3"),
        ("g" * 60, "g" * 32),
        ("", "tpsd"),
    ],
)
def test_a_machines_name_as_a_daemons(host: str, name: str) -> None:
    assert machine_name(host) == name
