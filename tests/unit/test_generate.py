"""What is made from code: the JSON Schema, the settings table, and blocks between markers."""

from __future__ import annotations

import json
from pathlib import Path

from schemas.generate import config_schema, settings_table
from tpsd.cli.generate import BLOCKS, FILES, filled, generate

ROOT = Path(__file__).resolve().parents[2]


def test_the_stored_files_are_what_the_code_makes() -> None:
    for path, render in FILES.items():
        assert (ROOT / path).read_text(encoding="utf-8") == render()


def test_the_schema_refuses_unknown_keys_everywhere() -> None:
    schema = json.loads(config_schema())
    sections = [schema, *schema["$defs"].values()]
    assert all(section["additionalProperties"] is False for section in sections)


def test_the_settings_table_has_every_setting_with_a_meaning() -> None:
    rows = settings_table().splitlines()[2:]
    assert "| `mode` | required |" in rows[0]
    assert any(row.startswith("| `lanes[].baud` | `115200` |") for row in rows)
    assert any(row.startswith("| `retry.tiers[].tries` | required |") for row in rows)
    assert all(row.count(" | ") == 2 and not row.endswith("|  |") for row in rows)


def test_every_block_renders_a_table() -> None:
    for name, render in BLOCKS.items():
        lines = render().splitlines()
        assert len(lines) > 2, name
        assert all(line.startswith("| ") and line.endswith(" |") for line in lines), name


def test_blocks_are_filled_between_their_markers_only() -> None:
    text = "a\n<!-- x:begin -->\nold\n<!-- x:end -->\nb\n<!-- y:begin -->"
    blocks = {"x": lambda: "new\n", "y": lambda: "?", "z": lambda: "?"}
    made, absent = filled(text, blocks)
    assert made == "a\n<!-- x:begin -->\nnew\n<!-- x:end -->\nb\n<!-- y:begin -->"
    assert absent == ["y", "z"]
    assert filled(made, blocks)[0] == made


def test_writing_then_checking_agrees_and_a_change_is_found(tmp_path: Path) -> None:
    said: list[str] = []
    (tmp_path / "schemas").mkdir()
    (tmp_path / "README.md").write_text("<!-- settings:begin --><!-- settings:end -->\n")
    assert not generate(tmp_path, check=True, say=said.append)
    assert generate(tmp_path, check=False, say=said.append)
    assert generate(tmp_path, check=True, say=said.append)
    assert "`lanes[].fare`" in (tmp_path / "README.md").read_text()
    assert "README.md has no markers for ladder" in said
    (tmp_path / "schemas" / "config.schema.json").write_text("{}")
    assert not generate(tmp_path, check=True, say=said.append)
    assert said[-1].endswith("run: python -m tpsd.cli.generate")
