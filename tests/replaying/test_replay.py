"""Replays of logs made by hand: the same comes to the same, and every change to exactly its differences."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.replaying.logs import DIGEST, MORNING, Log, configuration, day, tap_fields, token_of, uuid_of
from tpsd.core import intake
from tpsd.domain.tap import Told, Verdict
from tpsd.domain.time import DAY, HOUR, MINUTE, SECOND, Micros, iso_micros
from tpsd.replay import Asked, Aspect, Difference, ReplayError, replay, run


def found(*paths: Path, **options: Any) -> list[Difference]:
    return list(replay(paths, **options))


def aspects(differences: list[Difference]) -> list[Aspect]:
    return [one.aspect for one in differences]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """Three taps: approved, declined, approved; and one whose card had expired."""
    made = Log(configuration(tmp_path))
    made.tap(1, MORNING)
    made.tap(2, Micros(MORNING + SECOND), answer="116")
    made.tap(3, Micros(MORNING + 2 * SECOND))
    fields = tap_fields(4, Micros(MORNING + 3 * SECOND), uuid_of(4), token_of(4))
    denied = {"told": {"verdict": 2, "reason": "expired", "amount": None}, "local": "expired"}
    fields["card"]["expired"] = True
    fields["decided"] |= {**denied, "disposition": "denied", "state": None, "uuid": None, "request": None}
    made.say(Micros(MORNING + 3 * SECOND), "tap", **fields)
    return made


def test_the_same_comes_to_the_same(tmp_path: Path, log: Log) -> None:
    result = run(Asked([log.write(tmp_path / "log.jsonl")]))
    assert (result.taps, result.differences, result.skipped, result.missing) == (4, (), (), 0)


def test_a_journal_in_a_database_is_none_here(tmp_path: Path) -> None:
    store = {"url": "postgresql://tpsd@database.invalid:5432/tpsd", "password_file": "/nowhere/password"}
    keys = {"kek_file": "/nowhere/kek", "epoch_dir": "/nowhere/epochs", "exchange_key_file": "/nowhere/exchange"}
    path = day(configuration(tmp_path, store=store, keys=keys), 3).write(tmp_path / "log.jsonl")
    assert found(path) == []


def test_progress_is_told(tmp_path: Path, log: Log) -> None:
    told: list[tuple[int, int]] = []
    run(Asked([log.write(tmp_path / "log.jsonl")]), lambda done, total: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_another_fare_is_asked_for_and_charged(tmp_path: Path, log: Log) -> None:
    differences = found(log.write(tmp_path / "log.jsonl"), changes=["lanes.front.fare=300"])
    assert aspects(differences) == [Aspect.REQUEST, Aspect.MONEY, Aspect.REQUEST, Aspect.REQUEST, Aspect.MONEY]
    request, money = differences[:2]
    assert (request.tap, request.lane, request.uuid) == ("VAL00042:1:1", "front", uuid_of(1))
    assert request.then == {"fields.transactionData.amount": 250}
    assert request.now == {"fields.transactionData.amount": 300}
    assert (money.then, money.now) == (250, 300)


def test_a_card_on_the_deny_list_is_turned_away_and_not_sent(tmp_path: Path, log: Log) -> None:
    path = log.write(tmp_path / "log.jsonl")
    differences = found(path, denied=[bytes.fromhex(token_of(3))])
    assert {one.tap for one in differences} == {"VAL00042:1:3"}
    assert aspects(differences) == [Aspect.VERDICT, Aspect.REQUEST, Aspect.OUTCOME, Aspect.MONEY]
    assert differences[0].now["told.reason"] == "deny_list"
    assert (differences[1].now, differences[3].then, differences[3].now) == (None, 250, 0)


def test_a_card_that_was_denied_then_is_denied_again(tmp_path: Path) -> None:
    made = Log(configuration(tmp_path))
    for number in (1, 2):
        fields = tap_fields(number, Micros(MORNING + number * SECOND), uuid_of(number), token_of(7))
        told = {"verdict": 2, "reason": "deny_list", "amount": None}
        fields["decided"] |= {"told": told, "listed": True, "disposition": "denied", "state": None, "uuid": None}
        fields["decided"]["request"] = None
        made.say(Micros(MORNING + number * SECOND), "tap", **fields)
    uuid = made.tap(3, Micros(MORNING + HOUR), token=token_of(7))
    path = made.write(tmp_path / "log.jsonl")
    assert found(path) == []
    assert uuid == uuid_of(3), "struck from the list meanwhile, as then"


def test_a_list_that_was_too_old_then_is_too_old_again(tmp_path: Path) -> None:
    lane = {"name": "front", "port": "/dev/front", "fare": 250, "stale_list": {"accept_below": 250}}
    made = Log(configuration(tmp_path, lanes=[lane]))
    fields = tap_fields(1, MORNING, uuid_of(1), token_of(1))
    told = {"verdict": 2, "reason": "list_stale", "amount": None}
    fields["decided"] |= {"told": told, "list_is_stale": True, "disposition": "denied", "state": None, "uuid": None}
    fields["decided"]["request"] = None
    made.say(MORNING, "tap", **fields)
    made.tap(2, Micros(MORNING + SECOND))
    path = made.write(tmp_path / "log.jsonl")
    assert found(path) == [], "and complete again for the second tap"
    lenient = found(path, changes=["lanes.front.stale_list=accept"])
    assert {one.tap for one in lenient} == {"VAL00042:1:1"}
    assert lenient[0].now["told.reason"] == "ok"


def unanswered(made: Log, counter: int, at: Micros, waits: list[float]) -> None:
    """A tap that TPS never answers, on the ladder of these minutes."""
    made.say(at, "tap", **tap_fields(counter, at, uuid_of(counter), token_of(counter)))
    common: dict[str, Any] = {"outcome": "unknown", "outcome_cause": "timeout", "clean": False, "amount": 250}
    for number, wait in enumerate([*waits, None], start=1):
        ended = Micros(at + 10 * SECOND)
        made.say(ended, "sent", uuid=uuid_of(counter), number=number, reason="ladder", credential="common",
                 seconds=10.0, exchange={"kind": "no_answer", "cause": "timeout"})  # fmt: skip
        due = None if wait is None else Micros(at + int(wait * MINUTE))
        made.say(ended, "settled", uuid=uuid_of(counter), number=number, **common,
                 state="permanently_failed" if wait is None else "pending", cause="timeout", may_have_charged=True,
                 due=None if due is None else iso_micros(due), jitter=None,
                 wait_seconds=None if wait is None else wait * 60)  # fmt: skip
        at = due or at


LADDER = [1.0, 1, 1, 15, 15, 15, 60, 60, 60, 360, 360, 360]


def test_the_whole_ladder_again(tmp_path: Path) -> None:
    made = Log(configuration(tmp_path))
    unanswered(made, 1, MORNING, LADDER)
    assert found(made.write(tmp_path / "log.jsonl")) == []


def test_another_ladder(tmp_path: Path) -> None:
    made = Log(configuration(tmp_path))
    made.tap(2, Micros(MORNING - SECOND // 2))
    unanswered(made, 1, MORNING, LADDER)
    path = made.write(tmp_path / "log.jsonl")
    differences = found(path, changes=["retry.tiers=[{tries=2,every_minutes=5}]"])
    assert [(one.aspect, one.tap) for one in differences] == [(Aspect.LADDER, "VAL00042:1:1"), (Aspect.MAIL, "")]
    assert differences[0].then == [60.0 * minutes for minutes in LADDER]
    assert differences[0].now == [300.0, 300.0]
    assert list(differences[1].now.values()) == [1], "the mail that then came after the log's end"


def test_jitter_is_as_it_was_drawn(tmp_path: Path) -> None:
    made = Log(configuration(tmp_path, retry={"jitter": 0.1}))
    made.say(MORNING, "tap", **tap_fields(1, MORNING, uuid_of(1), token_of(1)))
    made.say(Micros(MORNING + SECOND), "sent", uuid=uuid_of(1), number=1, reason="ladder", credential="common",
             seconds=1.0, exchange={"kind": "answer", "http": 503, "readable": False})  # fmt: skip
    made.say(Micros(MORNING + SECOND), "settled", uuid=uuid_of(1), number=1, outcome="try_again",
             outcome_cause="http.503", clean=False, state="pending", cause="http.503", jitter=0.75, wait_seconds=64.5,
             amount=250, may_have_charged=True)  # fmt: skip
    path = made.write(tmp_path / "log.jsonl")
    assert found(path) == []
    path.write_text(path.read_text().replace("64.5", "60.5"))
    assert aspects(found(path)) == [Aspect.LADDER]


def test_what_was_only_pending_when_the_log_ended_is_not_sent_on(tmp_path: Path) -> None:
    made = Log(configuration(tmp_path))
    made.say(MORNING, "tap", **tap_fields(1, MORNING, uuid_of(1), token_of(1)))
    made.say(Micros(MORNING + SECOND), "sent", uuid=uuid_of(1), number=1, reason="ladder", credential="common",
             seconds=1.0, exchange={"kind": "no_answer", "cause": "closed"})  # fmt: skip
    made.say(Micros(MORNING + SECOND), "settled", uuid=uuid_of(1), number=1, outcome="unknown",
             outcome_cause="closed", clean=False, state="pending", cause="closed", wait_seconds=60.0, amount=250,
             may_have_charged=True)  # fmt: skip
    assert found(made.write(tmp_path / "log.jsonl")) == []


def test_a_tap_from_before_the_time_was_known_is_passed_over(tmp_path: Path) -> None:
    made = Log(configuration(tmp_path))
    early = Micros(60 * SECOND)
    made.tap(1, early)
    made.lines = [line.replace('"lane": "front"', '"lane": "front", "timed": false') for line in made.lines]
    made.tap(2, MORNING)
    result = run(Asked([made.write(tmp_path / "log.jsonl")]))
    assert (result.taps, result.differences) == (1, ())
    assert [str(one) for one in result.skipped] == [
        "tap VAL00042:1:1 at front: it was taken before the time was known, and is not replayed"
    ]


def test_a_life_whose_schedule_began_in_1970_is_replayed_in_its_own_time(tmp_path: Path) -> None:
    made = day(configuration(tmp_path), 3)
    lines = [json.loads(line) for line in made.lines]
    for number, line in enumerate(lines):
        line["at"] = f"1970-01-01T00:01:{number:02d}.000000Z"
    made.lines = [json.dumps(line) for line in lines]
    assert found(made.write(tmp_path / "log.jsonl")) == []


def test_files_in_any_order_are_one_log(tmp_path: Path) -> None:
    made = Log(configuration(tmp_path))
    unanswered(made, 1, MORNING, LADDER)
    head, *rest = made.lines
    for number, part in enumerate((rest[:9], rest[9:])):
        (tmp_path / f"{number}.jsonl").write_text("".join(f"{line}\n" for line in [head, *part]))
    assert found(tmp_path / "1.jsonl", tmp_path / "0.jsonl") == []


def test_a_repeat_gets_the_verdict_it_got(tmp_path: Path) -> None:
    made = Log(configuration(tmp_path))
    made.tap(1, MORNING)
    again = tap_fields(1, Micros(MORNING + 2 * SECOND), uuid_of(1), token_of(1))
    again |= {"new": False, "tapped_at": iso_micros(Micros(MORNING - 5000)), "age_ms": 2005}
    again["decided"] |= {"state": None, "uuid": None, "request": None}
    made.say(Micros(MORNING + 2 * SECOND), "tap", **again)
    assert found(made.write(tmp_path / "log.jsonl")) == []


def test_a_planted_bug_is_found(tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """As another release could have it: what an expired card is told."""
    path = log.write(tmp_path / "log.jsonl")
    monkeypatch.setattr(intake, "_judge_card", lambda report, card, judged_at: Told(Verdict.ACCEPTED, "ok"))
    differences = found(path)
    assert {one.tap for one in differences} == {"VAL00042:1:4"}
    assert differences[0].aspect is Aspect.VERDICT
    assert differences[0].then["told.reason"] == "expired"
    assert differences[0].now["told.reason"] == "ok"
    assert Aspect.MONEY in aspects(differences), "it is charged now"


def test_twice_gives_the_same_in_the_same_order(tmp_path: Path) -> None:
    path = day(configuration(tmp_path), 40).write(tmp_path / "log.jsonl")
    once = found(path, changes=["lanes.front.fare=300"])
    assert len(once) == 80
    assert found(path, changes=["lanes.front.fare=300"]) == once
    assert [one.tap for one in once] == [f"VAL00042:1:{number}" for number in range(1, 41) for _ in range(2)]


def test_the_simulator_answers_where_it_is_asked_to(tmp_path: Path, log: Log) -> None:
    differences = found(log.write(tmp_path / "log.jsonl"), tps="simulate")
    assert {one.tap for one in differences} == {"VAL00042:1:2"}, "by its amount that one is approved"
    assert aspects(differences) == [Aspect.OUTCOME, Aspect.MONEY]


def test_another_configuration(tmp_path: Path, log: Log) -> None:
    other = tmp_path / "other.toml"
    other.write_text(
        'mode = "test"\noperator = {company_id = 1001, stock_location_id = 42}\nsfey = {base_url = "https://x"}\n'
        'store = {url = "sqlite:///x/y"}\nkeys = {kek_file = "k", epoch_dir = "e"}\n'
        'email = {smtp_url = "smtp://x", sender = "a@b.example", recipients = ["c@d.example"]}\n'
        '[[lanes]]\nname = "front"\nport = "/dev/x"\nfare = 200\n'
    )
    differences = found(log.write(tmp_path / "log.jsonl"), config=other)
    assert {one.now["fields.transactionData.amount"] for one in differences if one.aspect is Aspect.REQUEST} == {200}


def test_a_lane_that_the_configuration_lacks_is_said(tmp_path: Path, log: Log) -> None:
    path = log.write(tmp_path / "log.jsonl")
    result = run(Asked([path], changes=['lanes=[{name="rear",port="/dev/x",fare=1}]']))
    assert result.taps == 0
    assert [str(one) for one in result.skipped] == [
        "lane front: 4 taps of it were not replayed: the configuration has no such lane"
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("lanes.front.fare", "is no KEY=VALUE"),
        ("=5", "is no KEY=VALUE"),
        ("lanes.rear.fare=5", "there is no rear; known are front"),
        ("lanes.front.fair=5", "fair: Extra inputs are not permitted"),
        ("lanes=5", "lanes: Input should be a valid"),
        ("operator.currency.x=5", "x is in nothing that has settings"),
        ("lanes=[5]", r"lanes\.0: Input should be a valid"),
        ("lanes.0.x.y=5", "x: Extra inputs are not permitted"),
        ("retry.tiers=[]", "retry.tiers: Tuple should have at least 1 item"),
    ],
)
def test_a_change_that_cannot_be_made(tmp_path: Path, log: Log, change: str, words: str) -> None:
    with pytest.raises(ReplayError, match=words):
        found(log.write(tmp_path / "log.jsonl"), changes=[change])


def test_it_reaches_nobody(tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket is made, whatever the log's configuration names, and whatever is to be mailed."""

    def refuse(*given: Any, **more: Any) -> None:
        raise AssertionError("a socket was asked for")

    for counter in (5, 6):
        unanswered(log, counter, Micros(MORNING + counter * SECOND), LADDER)
    path = log.write(tmp_path / "log.jsonl")
    for name in ("socket", "create_connection", "getaddrinfo", "socketpair", "create_server"):
        monkeypatch.setattr(socket, name, refuse)
    result = run(Asked([path], changes=["retry.tiers=[{tries=1,every_minutes=1}]"]))
    assert result.by_kind["mail"] >= 1, "one would have been sent"
    with pytest.raises(AssertionError, match="a socket was asked for"):
        socket.create_connection(("127.0.0.1", 9))


def test_nothing_is_left_behind(tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    path = log.write(tmp_path / "log.jsonl")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "tmp").mkdir()
    found(path)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_several_files_are_one_log_and_one_twice_counts_once(tmp_path: Path) -> None:
    made = day(configuration(tmp_path), 10)
    first, second = tmp_path / "2026-11-23.front.jsonl", tmp_path / "2026-11-23.jsonl"
    lines = [json.loads(line) for line in made.lines]
    for path, wanted in ((first, {"tap"}), (second, {"sent", "settled"})):
        kept = [line for line in lines if line["event"] in wanted or line["event"] == "begin"]
        path.write_text("".join(f"{json.dumps(line)}\n" for line in kept))
    for paths in ([tmp_path], [second, first], [first, second, first, tmp_path]):
        result = run(Asked(paths))
        assert (result.taps, result.differences, result.missing) == (10, (), 0)
    assert run(Asked([first])).missing == 18, "what TPS answered is in the other"


def test_a_month_and_a_reload(tmp_path: Path) -> None:
    made = Log(configuration(tmp_path))
    made.tap(1, MORNING)
    made.tap(2, Micros(MORNING + 30 * DAY))
    made.say(
        Micros(MORNING + 30 * DAY + SECOND), "begin", why="reload", version="0.1.0", config_digest=DIGEST, config={}
    )
    assert found(made.write(tmp_path / "log.jsonl")) == []
