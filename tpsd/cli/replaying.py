"""``tpsd replay``: what would the same taps come to now? Exit code 0: the same; 1: different; 2: it cannot be said."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tpsd.cli.command import WRONG_USE, AsJson, Command, complain, console, emit, folding
from tpsd.domain.denial import NoToken, read_token
from tpsd.domain.time import iso_millis
from tpsd.errors import TpsdError

if TYPE_CHECKING:
    from tpsd.replay import Asked, Difference, Result

SHOWN_MAX = 50  # differences in the table; --json and --limit 0 give all
SKIPPED_SHOWN_MAX = 20
DIFFERENT = 1


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay", cls=Command)(replay)


def replay(
    files: list[Path] = typer.Argument(..., help="Tap logs: files, or folders of them."),
    tps: str = typer.Option("recorded", help="Who answers: recorded, as TPS did then; simulate, as the simulator."),
    config: Path | None = typer.Option(None, help="Another configuration than the log's own."),
    changes: list[str] = typer.Option([], "--set", help="KEY=VALUE on top of it: lanes.front.fare=300"),
    deny: list[str] = typer.Option([], help="A card token that the deny list is to hold."),
    speed: str | None = typer.Option(None, help="10x: ten hours in one; default as fast as it goes."),
    save_golden: Path | None = typer.Option(
        None, "--save-golden", help="Write a golden case there: the taps that differ, or those of --tap, or all."
    ),
    taps: list[str] = typer.Option([], "--tap", help="For --save-golden: VAL00042:3:17 and what hangs on its card."),
    limit: int = typer.Option(SHOWN_MAX, min=0, help="So many differences are shown; 0: all."),
    as_json: AsJson = False,
) -> None:
    """Replay logged taps through this tpsd and tell what would differ; nothing is reached, nobody charged."""
    asked = _asked(files, tps, config, changes, deny, speed)
    try:
        if save_golden is not None:
            _save(asked, save_golden, taps, as_json=as_json)
            return
        result = _run(asked)
    except TpsdError as exc:
        complain(str(exc))
        if as_json:
            emit({"error": str(exc)})
        raise typer.Exit(WRONG_USE) from exc
    for skipped in result.skipped[:SKIPPED_SHOWN_MAX]:
        complain(f"passed over: {skipped}")
    if len(result.skipped) > SKIPPED_SHOWN_MAX:
        complain(f"passed over: {len(result.skipped) - SKIPPED_SHOWN_MAX} lines more")
    if result.missing:
        complain(f"{result.missing} lines are missing: lost when they were written, or in files that were not named")
    found = result.differences
    shown = found if limit == 0 else found[:limit]
    if not as_json:
        _show(shown, len(found))
    summary: dict[str, Any] = {
        "taps": result.taps,
        "differences": len(found),
        "by_kind": result.by_kind,
        "skipped": len(result.skipped),
        "missing": result.missing,
    }
    if as_json:
        emit({**summary, "found": [_plain(one) for one in shown]})
    else:
        kinds = ", ".join(f"{name} {count}" for name, count in result.by_kind.items()) or "none"
        console().print(f"{result.taps} taps, {len(found)} differences: {kinds}")
    raise typer.Exit(DIFFERENT if found else 0)


def _asked(
    files: list[Path], tps: str, config: Path | None, changes: list[str], deny: list[str], speed: str | None
) -> Asked:
    from tpsd.replay import Asked

    if tps not in ("recorded", "simulate"):
        raise typer.BadParameter("choose recorded or simulate", param_hint="--tps")
    return Asked(
        files,
        "simulate" if tps == "simulate" else "recorded",
        config,
        changes,
        [_token(text) for text in deny],
        _times(speed),
    )


def _run(asked: Asked) -> Result:
    from tpsd.replay import run

    with _bar() as progress:
        return run(asked, progress)


def _save(asked: Asked, folder: Path, taps: list[str], *, as_json: bool) -> None:
    from tpsd.replay.golden import save

    case = save(asked, folder, taps)
    if as_json:
        emit({"saved": str(folder), "differences": len(case.expected)})
    else:
        console().print(f"saved {folder}; a replay of it is to find {len(case.expected)} differences")


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console

    columns = (TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("replaying", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _show(found: Sequence[Difference], total: int) -> None:
    if not found:
        return
    table = Table("when", "tap", "lane", "what", "then", "now")
    for one in found:
        then, now = _words(one.then), _words(one.now)
        table.add_row(iso_millis(one.at), one.tap or "-", one.lane or "-", one.aspect.value, then, now)
    console().print(folding(table))
    if total > len(found):
        console().print(f"{total - len(found)} more; --limit 0 shows all")


def _words(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_words(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return "; ".join(map(_words, value)) or "none"
    return str(value)


def _plain(difference: Difference) -> dict[str, Any]:
    return {**asdict(difference), "aspect": difference.aspect.value, "at": iso_millis(difference.at)}


def _token(text: str) -> bytes:
    token = read_token(text)
    if isinstance(token, NoToken):
        raise typer.BadParameter(token.what, param_hint="--deny")
    return token


def _times(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        times = float(text.removesuffix("x"))
    except ValueError:
        times = 0.0
    if not 0 < times < float("inf"):
        raise typer.BadParameter("is no speed: 1x is as it was, 60x an hour in a minute", param_hint="--speed")
    return times
