"""On which line a key stands."""

from __future__ import annotations

import pytest

from tpsd.config.lines import line_of, lines_of
from tpsd.config.problems import KeyPath, dotted

TEXT = """\
mode = "test"

[ operator ]   # who
company_id = 1
a.b = 2
"quoted key" = 3
[[lanes]]
name = "a"
[[lanes]]
name = "b"
 [lanes.inner]
x = 1
[[lanes]]
[retry]
tiers = [
  {tries = 3, every_minutes = 1},
]
"""


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (("mode",), 1),
        (("operator",), 3),
        (("operator", "company_id"), 4),
        (("operator", "a", "b"), 5),
        (("operator", "quoted key"), 6),
        (("operator", "missing"), 3),
        (("lanes", 0, "name"), 8),
        (("lanes", 1, "name"), 10),
        (("lanes", 1, "inner", "x"), 12),
        (("lanes", 2, "fare"), 13),
        (("retry", "tiers", 0, "tries"), 15),
        (("store",), None),
    ],
)
def test_the_nearest_line_is_found(key: KeyPath, line: int | None) -> None:
    assert line_of(lines_of(TEXT), key) == line


def test_keys_are_put_as_people_write_them() -> None:
    assert dotted(("lanes", 0, "port")) == "lanes[0].port"
    assert dotted(()) == "the file"


def test_the_first_of_two_lines_counts() -> None:
    lines = lines_of("a = 1\n[b]\nc = 1\nc = 2\n")
    assert (line_of(lines, ("b", "c")), line_of(lines, ("b", "c", "d")), line_of(lines, ())) == (3, 3, None)
