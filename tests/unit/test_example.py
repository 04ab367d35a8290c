"""The example configuration: whole, in force as it stands, and with everything optional too."""

from __future__ import annotations

import re
from pathlib import Path

from schemas.config import Configuration, Section, fields_of, section_of
from schemas.example import IN_FORCE, SAMPLES, example_config
from tpsd.config import load, warnings

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "systemd" / "tpsd.example.toml"

APART = {("feed", "enabled"), ("taplog", "folder")}  # the operator's to decide, and to make


def test_it_is_what_the_models_make_and_loads() -> None:
    assert FILE.read_text(encoding="utf-8") == example_config()
    assert [doubt.key for doubt in warnings(load(FILE))] == [
        ("keys", "ttk_file"),  # not every reader encrypts
        ("feed", "enabled"),  # Sfey says first that a terminal may ask
    ]


def test_with_everything_optional_in_force_it_loads_too(tmp_path: Path) -> None:
    file = tmp_path / "tpsd.toml"
    file.write_text(re.sub(r"^# (?!spool = )", "", example_config(), flags=re.MULTILINE))  # the journal is a file there
    config = load(file)
    assert [str(problem) for problem in warnings(config) if problem.key not in APART] == [
        "store.password_file is for a journal in a database, and does nothing here; leave it out",
        "lanes[0].country is for vivopay readers, and does nothing here; leave it out",
    ]
    assert (config.zones[0].start, config.lanes[0].zone) == ("centre", "centre")
    assert config.sfey.wire == {"field.tag": "tag"}


def test_every_setting_stands_there_once_behind_its_meaning() -> None:
    lines = example_config().splitlines()
    for model, names in _settings(Configuration, set()):
        for name in names:
            description = model.model_fields[name].description if name in model.model_fields else None
            key = fields_of(model)[name]
            assert description or key.description
            places = [at for at, line in enumerate(lines) if re.match(rf"(# )?{name} = ", line)]
            assert any(lines[at - 1].startswith("## ") for at in places), name


def test_samples_are_for_settings_that_there_are() -> None:
    known = {"mode"}
    for name, field in fields_of(Configuration).items():
        section = section_of(Configuration, name)
        if section is not None:
            known |= {f"{name}.{key}" for key in fields_of(section)}
        assert field is not None
    assert IN_FORCE.keys() | SAMPLES.keys() <= known
    assert not IN_FORCE.keys() & SAMPLES.keys()


def test_no_line_but_the_ladders_is_longer_than_a_screen() -> None:
    assert [line for line in example_config().splitlines() if len(line) > 120 and not line.startswith("tiers")] == []


def _settings(model: type[Section], seen: set[type[Section]]) -> list[tuple[type[Section], list[str]]]:
    found = []
    for name in fields_of(model):
        inner = section_of(model, name)
        if inner is not None and model is Configuration and inner not in seen:
            seen.add(inner)
            found.append((inner, list(fields_of(inner))))
    return found
