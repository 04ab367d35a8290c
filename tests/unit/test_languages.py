"""Every language file in the catalogue: complete, fit for the display, and no more open than the English one."""

from __future__ import annotations

import re

import pytest

from tpsd.core.codes import ACTION_CODES
from tpsd.core.display import display
from tpsd.core.texts import Catalogue, fits_display, languages, load, parse, required_keys
from tpsd.domain.tap import Told, Verdict

EN = load("en")
FR = load("fr")
OTHERS = [load(language) for language in languages() if language != "en"]

other_languages = pytest.mark.parametrize("other", OTHERS, ids=lambda catalogue: catalogue.language)

# What a translation must leave alone: settings, fields, commands with their options, and numbers of every kind.
_VERBATIM = re.compile(
    r"""
    tpsd\ (?:audit|checkout|journeys|resolve)(?:\ --[a-z-]+)?
    | [a-z]+(?:[_.][a-z]+)+(?![a-z])
    | [a-z]+[A-Z][A-Za-z]+
    | \b[A-Z]*[0-9][0-9A-F.=]*[0-9A-F]
    """,
    re.VERBOSE,
)


def verbatim(sentence: str) -> set[str]:
    """Its words that are no language's."""
    return set(_VERBATIM.findall(sentence.replace("\u00a0", " ")))


def test_french_is_one_of_them() -> None:
    assert {"en", "fr"} <= set(languages())


@other_languages
def test_it_has_exactly_the_keys_of_english(other: Catalogue) -> None:
    assert set(other.texts) == set(EN.texts) == set(required_keys())


@other_languages
def test_it_fits_and_says_one_sentence(other: Catalogue) -> None:
    for key, text in other.texts.items():
        assert fits_display(text.passenger), key
        assert text.passenger == "\n".join(line.strip() for line in text.passenger.split("\n")), key
        assert text.operator.endswith("."), key
        assert "\n" not in text.operator, key
        assert len(text.operator) <= 250, key


@other_languages
def test_it_tells_a_queue_no_more_than_english_does(other: Catalogue) -> None:
    """Reasons that read alike in English read alike: no wording of its own gives one of them away."""
    wording: dict[str, set[str]] = {}
    for key, text in EN.texts.items():
        wording.setdefault(text.passenger, set()).add(other.texts[key].passenger)
    assert {english: own for english, own in wording.items() if len(own) > 1} == {}


@other_languages
def test_it_is_not_copied_from_english(other: Catalogue) -> None:
    for key, text in other.texts.items():
        assert text.operator != EN.texts[key].operator, key
        assert text.passenger != EN.texts[key].passenger, key


@other_languages
def test_settings_commands_and_codes_stand_as_in_english(other: Catalogue) -> None:
    for key, text in other.texts.items():
        assert verbatim(text.operator) == verbatim(EN.texts[key].operator), key
        assert not set("{}%<>") & set(text.operator + text.passenger), key


def test_what_a_translation_must_leave_alone() -> None:
    assert verbatim(EN.operator("action.163")) == {"DE48.84=01", "03"}
    assert verbatim(EN.operator("system.60")) == {"DFFF8401", "DFFF8405"}
    assert verbatim(EN.operator("system.59")) == {"validationStatus"}
    assert verbatim(EN.operator("busy")) == {"retry.concurrency"}
    assert verbatim(EN.operator("ended_unpaid")) == {"tpsd journeys --ended-unpaid", "tpsd checkout"}
    assert verbatim(FR.operator("seal")) == {"kek_file", "epoch_dir"}


@other_languages
def test_soft_declines_ask_for_the_pin(other: Catalogue) -> None:
    for code, row in ACTION_CODES.items():
        assert ("PIN" in other.passenger(f"action.{code}")) == row.wants_pin, code


def test_french_shames_nobody_and_needs_no_more_than_latin_1() -> None:
    for key, text in FR.texts.items():
        shown = text.passenger.lower()
        assert not any(word in shown for word in ("fraud", "police", "perdu", "volé", "contrefa", "dette")), key
        assert text.passenger.encode("latin-1")


def test_french_sets_its_high_marks_apart() -> None:
    for key, text in FR.texts.items():
        assert not re.search(r"[^\u00a0][;:»?!]|«[^\u00a0]", text.operator), key
        assert not re.search(r"[;:»?!«]", text.passenger), key


def test_a_new_language_is_one_more_file() -> None:
    texts = dict.fromkeys(required_keys(), "Πάλι") | {"ok": "Καλό ταξίδι\\nκαι πάλι"}
    document = "".join(f'["{key}"]\npassenger = "{text}"\noperator = "Όλα καλά."\n' for key, text in texts.items())
    greek = parse("el", document)
    assert greek.language == "el"
    assert display(Told(Verdict.ACCEPTED, "ok"), greek).text == "Καλό ταξίδι\nκαι πάλι"
    assert display(Told(Verdict.CHECK_OUT_AGAIN, "ok"), greek).text == "Καλό ταξίδι\nΠάλι"
    assert greek.operator("system.4711@GATE-X1:VAL00042") == "Όλα καλά."
