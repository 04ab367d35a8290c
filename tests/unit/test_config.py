"""The configuration: every refusal with its message, what takes effect, what is never shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.config import Configuration
from tests.configurations import KEK_HEX, changed, production, values, write
from tpsd.config import config_digest, database_url, effective, flat, ladder, load, mail_settings, store_path, warnings
from tpsd.core.retry import DEFAULT_LADDER
from tpsd.domain.authorisation import Tier
from tpsd.domain.time import SECOND
from tpsd.errors import ConfigError

LANE = {"name": "gate-1", "port": "/dev/ttyNOT0", "fare": 250}
READER = LANE | {"protocol": "vivopay"}


def refusal(folder: Path, given: dict[str, Any]) -> str:
    path = write(folder, given)
    with pytest.raises(ConfigError) as caught:
        load(path)
    return str(caught.value)


def loaded(folder: Path, changes: dict[str, Any] | None = None) -> Configuration:
    return load(write(folder, changed(values(folder), changes or {})))


def test_a_small_file_is_enough(tmp_path: Path) -> None:
    config = loaded(tmp_path)
    assert config.lanes[0].baud == 115_200
    assert config.operator.currency == "978"
    assert store_path(config) == tmp_path / "data" / "journal.db"
    assert ladder(config) == DEFAULT_LADDER
    assert mail_settings(config).port == 2525


def test_relative_paths_start_at_the_files_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    config = loaded(tmp_path, {"keys": {"kek_file": "../keys/kek"}})
    assert config.keys.kek_file == tmp_path.parent / "keys" / "kek"
    assert config.keys.epoch_dir == tmp_path / "epochs"
    assert config.admin.socket == tmp_path / "tpsd.sock"


FIELD_REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": ({"keys": {"kek_fil": "x"}}, "keys.kek_fil is not a known key; did you mean keys.kek_file?"),
    "unknown section": ({"stores": {"url": "x"}}, "stores is not a known key; did you mean store?"),
    "key of another section": ({"keys": {"jitter": 0.1}}, "keys.jitter is not a known key; it belongs into [retry]"),
    "far from everything": ({"admin": {"zzz": 1}}, "admin.zzz is not a known key; known here: socket"),
    "missing key": (
        {"operator": {"company_id": None}},
        "operator.company_id is missing; add it: Sfey's organisation id",
    ),
    "missing section": ({"email": None}, "email is missing; add the section"),
    "mode": ({"mode": "live"}, "mode is wrong: input should be 'test' or 'production'"),
    "a text for a number": ({"operator": {"company_id": "1001"}}, "operator.company_id is wrong: input should be"),
    "currency": ({"operator": {"currency": "EUR"}}, "operator.currency is wrong"),
    "time-out": ({"sfey": {"timeout_seconds": 61}}, "sfey.timeout_seconds is wrong"),
    "not a time-out": ({"sfey": {"timeout_seconds": 0}}, "sfey.timeout_seconds is wrong"),
    "base_url": ({"sfey": {"base_url": "ftp://x"}}, "sfey.base_url is not an https URL; write https://host"),
    "user in base_url": ({"sfey": {"base_url": "https://a:b@x"}}, "sfey.base_url holds a user, a query or a fragment"),
    "a password in the URL": (
        {"store": {"url": "postgresql://tpsd:hunter2@h/d"}},
        "store.url holds a password; put it into a file of its own and name that as password_file",
    ),
    "a password among the options": (
        {"store": {"url": "postgresql://tpsd@h/d?password=hunter2"}},
        "store.url holds a password; put it into a file",
    ),
    "no database": ({"store": {"url": "postgresql://h/"}}, "store.url names no database; write postgresql://role@"),
    "a database's option": (
        {"store": {"url": "postgresql://h/d?application_name=x"}},
        "store.url has an option application_name; those there are: host, port, sslcert",
    ),
    "no database's URL": ({"store": {"url": "postgresql://[h/d"}}, "store.url is not a URL; write postgresql://role@"),
    "relative store": ({"store": {"url": "sqlite://journal.db"}}, "store.url is not a journal; write sqlite:///var"),
    "store options": ({"store": {"url": "sqlite:///j.db?mode=ro"}}, "store.url holds ?, # or %"),
    "key in place of a file": ({"keys": {"kek_file": KEK_HEX}}, "keys.kek_file this looks like the key itself"),
    "NUL in a path": ({"keys": {"kek_file": "a\0b"}}, "keys.kek_file holds a NUL character; no file can be named so"),
    "NUL in the store": ({"store": {"url": "sqlite:///j\0.db"}}, "store.url holds a NUL character"),
    "NUL in a port": ({"lanes": [LANE | {"port": "/dev/tty\0"}]}, "lanes[0].port holds a NUL character"),
    "no tiers": ({"retry": {"tiers": []}}, "retry.tiers is wrong"),
    "jitter": ({"retry": {"jitter": 0.11}}, "retry.jitter is wrong: input should be less than or equal to 0.1"),
    "no concurrency": ({"retry": {"concurrency": 0}}, "retry.concurrency is wrong"),
    "smtp_url": (
        {"email": {"smtp_url": "mail.example.org"}},
        "email.smtp_url is not an SMTP URL; write smtp://host:25",
    ),
    "no recipients": ({"email": {"recipients": []}}, "email.recipients is wrong"),
    "recipient": ({"email": {"recipients": ["ops"]}}, "email.recipients[0] is not a mail address; write name@"),
    "sender": ({"email": {"sender": "a b@x.org"}}, "email.sender is not a mail address"),
    "lane name": ({"lanes": [LANE | {"name": "Gate 1"}]}, "lanes[0].name is wrong"),
    "port": ({"lanes": [LANE | {"port": "ttyUSB0"}]}, "lanes[0].port is not a port; write /dev/serial/by-id/"),
    "socket port": ({"lanes": [LANE | {"port": "socket://h"}]}, "lanes[0].port is not a socket port"),
    "slow": ({"lanes": [LANE | {"baud": 9600}]}, "lanes[0].baud 9600 baud is too slow for a gate; set 57600"),
    "protocol": ({"lanes": [LANE | {"protocol": "osdp"}]}, "lanes[0].protocol is wrong: input should be 'vl1' or 'viv"),
    "country": ({"lanes": [READER | {"country": "DEU"}]}, "lanes[0].country is wrong"),
    "MTT in realtime": ({"lanes": [LANE | {"timing": "realtime"}]}, "MTT's verdict is local; leave it out, or use KFT"),
    "retail afterwards": (
        {"lanes": [LANE | {"kind": "RETAIL_PAYMENT", "timing": "deferred"}]},
        "RETAIL_PAYMENT needs TPS's answer; leave it out",
    ),
    "a list for a kind": ({"lanes": [LANE | {"kind": []}]}, "lanes[0].kind is wrong: input should be 'MTT', 'KFT'"),
    "terminal_sn": ({"lanes": [LANE | {"terminal_sn": "a/b"}]}, "lanes[0].terminal_sn is wrong"),
    "no fare": (
        {"lanes": [{"name": "a", "port": "/dev/x"}]},
        "lanes[0].fare is missing, and so is zone; set one: what taps without amount cost",
    ),
}


@pytest.mark.parametrize("case", FIELD_REFUSALS)
def test_a_bad_key_is_refused(tmp_path: Path, case: str) -> None:
    changes, message = FIELD_REFUSALS[case]
    assert message in refusal(tmp_path, changed(values(tmp_path), changes))


RELATION_REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "tokens of a reader": (
        {"lanes": [READER | {"tokens": "validator"}]},
        "lanes[0].tokens is validator, and a vivopay reader makes none",
    ),
    "tokens without a key": ({"lanes": [READER | {"tokens": "ours"}]}, "lanes[0].tokens is ours without a key for"),
    "journeys of a reader that encrypts": (
        {"lanes": [READER | {"kind": "RETAIL_CHECK_IN", "tokens": "none"}]},
        "lanes[0].tokens gives no card token",
    ),
    "a reader's patience": (
        {"lanes": [READER | {"kind": "RETAIL_PAYMENT", "verdict_seconds": 56}]},
        "lanes[0].verdict_seconds is 56, and a vivopay reader is freed after 60 s; use at most 55",
    ),
    "lane names": ({"lanes": [LANE, LANE | {"port": "/dev/b"}]}, "lanes[1].name 'gate-1' is taken by another lane"),
    "lane ports": ({"lanes": [LANE, LANE | {"name": "b"}]}, "lanes[1].port is the port of lane 'gate-1' too"),
    "socket ports": (
        {"lanes": [LANE | {"port": "socket://H:1"}, LANE | {"name": "b", "port": "socket://h:1"}]},
        "lanes[1].port is the port of lane 'gate-1' too",
    ),
    "fare": ({"lanes": [LANE | {"amount_limit": 249}]}, "lanes[0].fare 250 is above amount_limit 249"),
    "zero": ({"lanes": [LANE | {"fare": 0, "zero_allowed": False}]}, "lanes[0].fare is 0 and zero_allowed is false"),
    "certificate alone": (
        {"sfey": {"client_cert_file": "a"}},
        "sfey.client_cert_file is set and client_key_file is not; set both or neither",
    ),
    "key alone": (
        {"lanes": [LANE | {"client_key_file": "a"}]},
        "lanes[0].client_key_file is set and client_cert_file is not",
    ),
    "epochs": ({"keys": {"epoch_dir": "data/epochs"}}, "is inside the store's folder"),
    "epochs up and down": ({"keys": {"epoch_dir": "x/../data"}}, "is inside the store's folder"),
    "key": ({"keys": {"kek_file": "data/kek"}}, "must not hold the keys to it"),
    "socket": ({"admin": {"socket": "/run/" + "x" * 103}}, "admin.socket is 108 bytes long; use a path of at most 107"),
    "tries": ({"retry": {"tiers": [{"tries": 12, "every_minutes": 1}, {"tries": 1, "every_minutes": 1}]}}, "13 tries"),
    "horizon": (
        {"retry": {"idempotency_horizon_hours": 23}},
        "23 is less than the ladder, its jitter and 1 h (23.4 h)",
    ),
    "wire": ({"sfey": {"wire": {"field.tagg": "x"}}}, "sfey.wire.field.tagg cannot be used"),
    "password in clear": (
        {"email": {"smtp_url": "smtp://u:hunter2@mail.example.org?starttls=never"}},
        "a password may only travel over TLS",
    ),
    "language": ({"operator": {"language": "xx"}}, "operator.language cannot be used: no texts for language 'xx'"),
    "http": ({"sfey": {"base_url": "http://tps.example.org"}}, "sfey.base_url is http beyond this machine"),
}


@pytest.mark.parametrize("case", RELATION_REFUSALS)
def test_keys_that_do_not_fit_are_refused(tmp_path: Path, case: str) -> None:
    changes, message = RELATION_REFUSALS[case]
    text = refusal(tmp_path, changed(values(tmp_path), changes))
    assert message in text
    assert "hunter2" not in text


PRODUCTION_REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "http": ({"sfey": {"base_url": "http://127.0.0.1"}}, "sfey.base_url is 127.0.0.1 in production"),
    "loopback": ({"sfey": {"base_url": "https://localhost:8443"}}, "sfey.base_url is localhost in production"),
    "loopback AFC": ({"sfey": {"afc_base_url": "https://[::1]/afc"}}, "sfey.afc_base_url is ::1 in production"),
    "fractions": (
        {"retry": {"tiers": [{"tries": 3, "every_minutes": 0.5}]}},
        "retry.tiers[0].every_minutes is 0.5 in production; use whole minutes",
    ),
    "no certificate": (
        {"sfey": {"client_cert_file": None, "client_key_file": None}},
        "lanes[0] has no client certificate",
    ),
}


@pytest.mark.parametrize("case", PRODUCTION_REFUSALS)
def test_production_is_stricter(tmp_path: Path, case: str) -> None:
    changes, message = PRODUCTION_REFUSALS[case]
    assert load(write(tmp_path, production(tmp_path))).mode == "production"
    assert message in refusal(tmp_path, changed(production(tmp_path), changes))


def test_two_names_of_one_port_are_one_port(tmp_path: Path) -> None:
    (tmp_path / "tty").touch()
    (tmp_path / "alias").symlink_to(tmp_path / "tty")
    lanes = [LANE | {"port": str(tmp_path / "tty")}, LANE | {"name": "b", "port": str(tmp_path / "alias")}]
    assert "lanes[1].port is the port of lane 'gate-1' too" in refusal(tmp_path, values(tmp_path) | {"lanes": lanes})


def test_a_link_into_the_stores_folder_is_seen_through(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "epochs").symlink_to(tmp_path / "data")
    assert "is inside the store's folder" in refusal(tmp_path, values(tmp_path))


def test_every_problem_is_named_at_once_with_its_line(tmp_path: Path) -> None:
    given = changed(values(tmp_path), {"mode": "live", "store": {"url": "x"}, "lanes": [LANE, LANE | {"bauds": 1}]})
    path = write(tmp_path, given)
    numbers = {line: number for number, line in enumerate(path.read_text().splitlines(), start=1)}
    text = refusal(tmp_path, given)
    assert text.splitlines()[0] == f"{path}: 3 problems, nothing was started"
    expected = {
        'mode = "live"': "mode is wrong",
        'url = "x"': "store.url is not a journal",
        "bauds = 1": "lanes[1].bauds is not a known key",
    }
    for line, what in expected.items():
        assert f"line {numbers[line]}: {what}" in text


def test_unknown_keys_do_not_hide_relations(tmp_path: Path) -> None:
    given = changed(values(tmp_path), {"lanes": [LANE, LANE | {"fares": 1}]})
    text = refusal(tmp_path, given)
    assert "did you mean lanes[1].fare?" in text
    assert "lanes[1].name 'gate-1' is taken" in text


def test_a_file_that_is_not_toml_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "tpsd.toml"
    path.write_text('mode = "test"\n[operator\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"not TOML at line 2: .*; correct that line"):
        load(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read \(No such file"):
        load(tmp_path / "none.toml")


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tpsd.toml"
    path.write_bytes(b'mode = "\xff"')
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        load(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"x = {'[' * 2000}{']' * 2000}", "nested hundreds deep"),
        (f"x = {'{a = ' * 2000}1{'}' * 2000}", "nested hundreds deep"),
        (f"x{'.a' * 1200} = 1", "nested hundreds deep"),
        (f"x = {'9' * 5000}", "thousands of digits"),
    ],
    ids=["arrays", "tables", "dotted", "digits"],
)
def test_what_the_parser_of_toml_cannot_take_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, values(tmp_path))
    path.write_text(f"{text}\n{path.read_text(encoding='utf-8')}", encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load(path)


def test_fractions_of_minutes_are_for_test_mode(tmp_path: Path) -> None:
    config = loaded(tmp_path, {"retry": {"tiers": [{"tries": 2, "every_minutes": 0.05}]}})
    assert ladder(config) == (Tier(2, 3 * SECOND),)


def test_the_wire_profile_can_be_written_as_dotted_keys(tmp_path: Path) -> None:
    path = write(tmp_path, values(tmp_path))
    path.write_text(path.read_text() + "[sfey.wire]\nfield.tag = \"tagData\"\n'type.MTT' = 'MTT2'\n")
    assert load(path).sfey.wire == {"field.tag": "tagData", "type.MTT": "MTT2"}


def test_secrets_are_never_shown(tmp_path: Path) -> None:
    config = loaded(tmp_path, {"email": {"smtp_url": "smtps://user:hunter%402@mail.example.org"}})
    shown = json.dumps(effective(config)) + repr(config) + str(list(flat(effective(config))))
    assert "hunter" not in shown
    assert effective(config)["email"]["smtp_url"] == "smtps://user:****@mail.example.org"


def test_effective_values_read_back_as_the_same_configuration(tmp_path: Path) -> None:
    config = loaded(tmp_path, {"sfey": {"wire": {"field.tag": "t"}}})
    again = load(write(tmp_path, _without_nothing(effective(config)), "again.toml"))
    assert again == config
    assert config_digest(again) == config_digest(config)


def _without_nothing(given: Any) -> Any:
    """TOML has no null."""
    if isinstance(given, dict):
        return {key: _without_nothing(value) for key, value in given.items() if value is not None}
    return [_without_nothing(value) for value in given] if isinstance(given, list) else given


def test_the_digest_names_what_takes_effect(tmp_path: Path) -> None:
    config = loaded(tmp_path)
    assert len(config_digest(config)) == 16
    assert int(config_digest(config), 16) >= 0
    assert config_digest(loaded(tmp_path, {"retry": {"jitter": 0.1}})) == config_digest(config)
    assert config_digest(loaded(tmp_path, {"retry": {"jitter": 0}})) != config_digest(config)


def test_what_is_doubtful_is_only_warned_about(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "kek").write_text(KEK_HEX)
    (tmp_path / "keys" / "kek").chmod(0o644)
    config = loaded(tmp_path, {"lanes": [LANE | {"baud": 57_600}]})
    found = [str(problem) for problem in warnings(config)]
    assert len(found) == 2
    assert found[0].startswith("lanes[0].baud 57600 takes 52 ms")
    assert found[1].startswith("keys.kek_file")
    assert "is open to other users" in found[1]
    clear = [str(problem) for problem in warnings(load(write(tmp_path, production(tmp_path))))]
    assert clear[0].startswith("keys.ttk_file is missing")
    assert [problem.key for problem in warnings(loaded(tmp_path, {"lanes": None}))][-1] == ("lanes",)


@pytest.mark.parametrize(
    ("url", "doubted"),
    [
        ("postgresql://tpsd@db.example/gate", True),
        ("postgresql://tpsd@db.example/gate?sslmode=prefer", True),
        ("postgresql://tpsd@127.0.0.1,db.example:5433/gate", True),
        ("postgresql://tpsd@db.example/gate?sslmode=verify-full", False),
        ("postgresql://tpsd@[::1]:5432/gate", False),
        ("postgresql://tpsd@/gate?host=/run/postgresql", False),
    ],
)
def test_a_database_beyond_this_machine_is_reached_encrypted(tmp_path: Path, url: str, doubted: bool) -> None:
    config = loaded(tmp_path, {"store": {"url": url, "password_file": "secret"}})
    assert database_url(config) == url
    assert any(problem.key == ("store", "url") for problem in warnings(config)) is doubted
    with pytest.raises(ConfigError, match="the journal is in a PostgreSQL database"):
        store_path(config)
