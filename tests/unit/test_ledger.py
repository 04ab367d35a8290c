"""The simulated TPS's books: what counts as a second charge, and what a killed process leaves behind."""

import json
from pathlib import Path

from tpsd.domain.time import Micros
from tpsd.sfey.ledger import Charge, Entry, Ledger, Reply, Request, Violation, Visit

AT = Micros(1_795_421_730_123_000)


def charge(uuid: str, tapped_at: int = AT, *, serial: str = "V1", amount: int = 250, type_: str = "MTT") -> Charge:
    return Charge(AT, uuid, serial, Micros(tapped_at), amount, type_)


def filled(*entries: Charge) -> Ledger:
    ledger = Ledger()
    for entry in entries:
        ledger.add(entry)
    return ledger


def test_one_charge_a_uuid_and_tap_is_no_duplicate() -> None:
    ledger = filled(charge("a"), charge("b", AT + 1000), charge("c", serial="V2"))
    assert ledger.duplicates() == []
    assert ledger.charged_total == 750


def test_a_second_charge_of_a_uuid_is_one() -> None:
    second = charge("a", AT + 1000)
    assert filled(charge("a"), second).duplicates() == [second]


def test_a_second_uuid_for_the_same_tap_is_one() -> None:
    second = charge("b")
    assert filled(charge("a"), second, charge("c", AT + 1000)).duplicates() == [second]


def test_a_refund_goes_the_other_way() -> None:
    assert filled(charge("a"), charge("b", AT + 1000, amount=100, type_="RETAIL_REFUND")).charged_total == 150


def test_requests_of_a_tap_are_found_by_the_millisecond() -> None:
    ledger = Ledger()
    mine = Request(AT, "a", 1, "d", "V1", AT, 250, "MTT")
    for entry in (mine, Request(AT, "b", 1, "d", "V2", AT, 250, "MTT"), Request(AT, None, 1, "d")):
        ledger.add(entry)
    assert ledger.requests_of("V1", Micros(AT + 999)) == [mine]
    assert ledger.requests_of("V1", Micros(AT + 1000)) == []


def test_a_file_holds_all_entries_while_the_ledger_is_open(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    ledger = Ledger(file)
    try:
        entries: list[Entry] = [
            Request(AT, "a", 1, "d", "V1", AT, 250, "MTT"),
            charge("a"),
            Violation(AT, None, "what"),
            Reply(AT, "a", 1, "action.000"),
            Visit(AT, "GET", "/"),
        ]
        for entry in entries:
            ledger.add(entry)
        loaded = Ledger.load(file)
    finally:
        ledger.close()
    assert loaded.entries == entries
    assert json.loads(loaded.dump()) == [json.loads(line) for line in file.read_text().splitlines()]
    assert (loaded.replies("a"), len(loaded.violations), len(loaded.visits())) == (["action.000"], 1, 1)


def test_a_line_cut_by_a_kill_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    ledger = Ledger(file)
    ledger.add(charge("a"))
    ledger.add(charge("b", AT + 1000))
    ledger.close()
    whole = file.read_bytes()
    for cut in range(whole.index(b"\n") + 1, len(whole)):
        file.write_bytes(whole[:cut])
        assert Ledger.load(file).charges() == [charge("a")]
