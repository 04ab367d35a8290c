"""``python -m tpsd.cli.generate [--check]``: what is made from code, written or compared.

Whole files, and blocks of the README between ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->``. A block whose
markers are not there is reported and left out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from device.vl1.daemon import DAEMON_TABLE
from device.vl1.validator import VALIDATOR_TABLE
from schemas.example import example_config
from schemas.generate import config_schema, settings_table, taplog_schema
from tpsd.core.journeys import TABLE as JOURNEYS
from tpsd.core.outcomes import RULES as OUTCOME_RULES
from tpsd.core.preflight import TABLE as PREFLIGHT
from tpsd.core.preflight import Gravity
from tpsd.core.retry import DEFAULT_LADDER, minutes
from tpsd.core.uplink import TABLE as UPLINK
from tpsd.sfey.fates import OTHERWISE
from tpsd.sfey.fates import RULES as FATES
from tpsd.sfey.wire import assumptions

README = Path("README.md")

Render = Callable[[], str]


def _markdown(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(header)
    lines = [names, ["---"] * len(names), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _ladder() -> str:
    due = minutes(DEFAULT_LADDER)
    return _markdown(("send", *map(str, range(1, len(due) + 1))), [("minute", *(f"{minute:g}" for minute in due))])


def _outcomes() -> str:
    return _markdown(("", "if", "outcome"), ((str(rule.number), rule.when, rule.then) for rule in OUTCOME_RULES))


def _assumptions() -> str:
    return _markdown(
        ("setting", "value", "what"), ((f"`{name}`", f"`{value}`", what) for name, value, what in assumptions())
    )


def _fates() -> str:
    rows = [
        (f"{rule.first}" if rule.first == rule.last else f"{rule.first} to {rule.last}", rule.text) for rule in FATES
    ]
    return _markdown(("amount", "fate"), [*rows, ("any other", OTHERWISE.partition(": ")[2])])


def _session(table: Mapping[tuple[Any, Any], tuple[Any, tuple[Any, ...]]]) -> str:
    rows = (
        (state.value, given.value, after.value, "; ".join(effect.value for effect in effects))
        for (state, given), (after, effects) in table.items()
    )
    return _markdown(("state", "on", "then", "does"), rows)


def _uplink() -> str:
    rows = ((was.value, given.value, then.value, effect.value) for (was, given), (then, effect) in UPLINK.items())
    return _markdown(("host is", "what happens", "then it is", "what is done"), rows)


def _preflight() -> str:
    does = {Gravity.CLOSES: "closed", Gravity.WARNS: "opens, with a warning", Gravity.NOTES: "opens"}
    rows = ((check.value, does[deferred], does[realtime]) for check, (deferred, realtime) in PREFLIGHT.items())
    return _markdown(("what fails", "a deferred lane", "a realtime lane"), rows)


def _journeys() -> str:
    rows = (
        (was.value, given.value, then.value, "; ".join(effect.value for effect in effects) or "nothing")
        for (was, given), (then, effects) in JOURNEYS.items()
    )
    return _markdown(("journey is", "what happens", "then it is", "what is done"), rows)


def _commands() -> str:
    from tpsd.cli import app  # here, because the command line imports everything

    def rows(group: Any, prefix: str) -> Iterator[tuple[str, str]]:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from rows(command, f"{prefix} {name}")
            else:
                yield f"`{prefix} {name}`", " ".join((command.help or "").split())

    return _markdown(("command", "what it does"), rows(typer.main.get_command(app), "tpsd"))


FILES: Mapping[Path, Render] = {
    Path("schemas/config.schema.json"): config_schema,
    Path("schemas/taplog.schema.json"): taplog_schema,
    Path("systemd/tpsd.example.toml"): example_config,
}
BLOCKS: Mapping[str, Render] = {
    "commands": _commands,
    "settings": settings_table,
    "ladder": _ladder,
    "outcomes": _outcomes,
    "assumptions": _assumptions,
    "fates": _fates,
    "uplink": _uplink,
    "journeys": _journeys,
    "preflight": _preflight,
    "vl1-daemon": lambda: _session(DAEMON_TABLE),
    "vl1-validator": lambda: _session(VALIDATOR_TABLE),
}


def filled(text: str, blocks: Mapping[str, Render]) -> tuple[str, list[str]]:
    """The text with every marked block made anew, and the names of blocks that have no markers in it."""
    absent = []
    for name, render in blocks.items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        before, opened, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if opened and closed:
            text = f"{before}{begin}\n{render()}{end}{after}"
        else:
            absent.append(name)
    return text, absent


def generate(root: Path, *, check: bool, say: Callable[[str], None]) -> bool:
    """Write everything below ``root``, or compare it; False where something written differs from what is made."""
    wanted = {root / path: render() for path, render in FILES.items()}
    readme = root / README
    if readme.exists():
        wanted[readme], absent = filled(readme.read_text(encoding="utf-8"), BLOCKS)
    else:
        absent = list(BLOCKS)
    for name in absent:
        say(f"{README} has no markers for {name}")
    same = True
    for path, text in wanted.items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if check:
            say(f"{path} is not what the code makes; run: python -m tpsd.cli.generate")
            same = False
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            say(f"{path} written")
    return same


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tpsd.cli.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only; exit code 1 where something differs")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2], help="the source tree")
    given = parser.parse_args()
    return 0 if generate(given.root, check=given.check, say=lambda text: print(text, file=sys.stderr)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
