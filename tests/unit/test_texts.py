"""The catalogue: complete, total, and fit for a validator's display."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tpsd.core.codes import ACTION_CODES, SYSTEM_CODES
from tpsd.core.texts import REASONS, fits_display, load, parse, required_keys
from tpsd.errors import ConfigError

EN = load("en")
CODES = [*(f"action.{code}" for code in ACTION_CODES), *(f"system.{number}" for number in SYSTEM_CODES)]


@pytest.mark.parametrize("key", [*CODES, *REASONS])
def test_every_code_and_reason_has_both_texts_and_they_fit(key: str) -> None:
    assert key in EN.texts
    passenger = EN.passenger(key)
    lines = passenger.split("\n")
    assert 1 <= len(lines) <= 2
    assert all(1 <= len(line) <= 20 for line in lines)
    assert len(passenger.encode()) <= 64
    operator = EN.operator(key)
    assert operator.endswith(".")
    assert "\n" not in operator
    assert len(operator) <= 250


def test_no_text_is_left_over() -> None:
    assert set(EN.texts) == set(required_keys())


@pytest.mark.parametrize(
    ("cause", "same_as"),
    [
        ("action.042", "approved"),
        ("action.199", "action.other"),
        ("action.999", "action.again"),
        ("action.x", "action.other"),
        ("system.999", "system.other"),
        ("system.-5", "system.other"),
        ("http.502", "http.5xx"),
        ("http.418", "http.4xx"),
        ("http.302", "http.3xx"),
        ("http.199", "http"),
        ("system.41@GATE-X1:VAL00042", "system.41"),
        ("held/system.41@GATE-X1:VAL00042", "system.41"),
        ("alarm/tap_identity@GATE-X1:a/b@c", "tap_identity"),
        ("permanently_failed/timeout", "timeout"),
        ("tls.server", "tls.server"),
        ("tls.alert", "tls"),
        ("no such thing", "unknown"),
        ("", "unknown"),
        ("@", "unknown"),
    ],
)
def test_what_is_not_there_falls_back_to_its_family(cause: str, same_as: str) -> None:
    assert EN.operator(cause) == EN.texts[same_as].operator
    assert EN.passenger(cause) == EN.texts[same_as].passenger


@given(st.text())
def test_no_cause_makes_a_look_up_fail(cause: str) -> None:
    assert EN.operator(cause)
    assert fits_display(EN.passenger(cause))


def test_passengers_read_nothing_that_shames_them() -> None:
    for code in ("102", "202", "205", "208", "209", "210"):
        text = EN.passenger(f"action.{code}").lower()
        assert not any(word in text for word in ("fraud", "police", "lost", "stolen", "counterfeit"))


def test_soft_declines_ask_for_the_pin() -> None:
    for code, row in ACTION_CODES.items():
        assert ("PIN" in EN.passenger(f"action.{code}")) == row.wants_pin


def test_a_catalogue_is_read_once() -> None:
    assert load("en") is EN


@pytest.mark.parametrize("language", ["xx", "../en", "EN", ""])
def test_an_unknown_language_is_refused_with_those_there_are(language: str) -> None:
    with pytest.raises(ConfigError, match="there are: en, fr"):
        load(language)


def test_a_file_that_lacks_keys_names_them() -> None:
    whole = "\n".join(f'["{key}"]\npassenger = "x"\noperator = "y."' for key in required_keys())
    parse("xx", whole)
    with pytest.raises(ConfigError, match=r"catalogue/xx\.toml lacks timeout, system\.60$"):
        parse("xx", whole.replace('["timeout"]', '["time"]').replace('["system.60"]', '["system.6"]'))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ('passenger = "x"', "needs passenger and operator"),
        ('passenger = "x"\noperator = " "', "empty text"),
        ('passenger = "x"\noperator = 1', "empty text"),
        (f'passenger = "{"x" * 21}"\noperator = "y"', "20 characters"),
        ('passenger = "a\\nb\\nc"\noperator = "y"', "2 lines"),
        ('passenger = "a\\u0007"\noperator = "y"', "2 lines"),
        (f'passenger = "{"x" * 17}\\n{"€" * 18}"\noperator = "y"', "64 bytes"),
    ],
)
def test_a_text_that_cannot_be_shown_is_refused(body: str, says: str) -> None:
    rest = "\n".join(f'["{key}"]\npassenger = "x"\noperator = "y."' for key in required_keys() if key != "ok")
    with pytest.raises(ConfigError, match=r"\[ok\]") as caught:
        parse("xx", f"[ok]\n{body}\n{rest}")
    assert says in str(caught.value)


def test_a_file_that_is_not_toml_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"catalogue/xx\.toml is not TOML"):
        parse("xx", "[[")


@pytest.mark.parametrize("line", ["a\\nb", "€" * 15])
def test_a_line_that_does_not_fit_below_another_is_refused(line: str) -> None:
    texts = dict.fromkeys(required_keys(), "x") | {"ok": "€" * 20, "check_out_failed": line}
    whole = "\n".join(f'["{key}"]\npassenger = "{text}"\noperator = "y."' for key, text in texts.items())
    with pytest.raises(ConfigError, match=r"\[check_out_failed\] does not fit the display below the first line of"):
        parse("xx", whole)
