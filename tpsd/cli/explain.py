"""``tpsd explain``: the story of one tap in plain sentences."""

from __future__ import annotations

import asyncio
import textwrap
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import typer

from tpsd.admin.explaining import PATH, story_page
from tpsd.cli.command import AsJson, Command, ConfigFile, Socket, console, emit
from tpsd.cli.inspect import TapName, answer, segment
from tpsd.config import keeping, load
from tpsd.domain.history import Keeping
from tpsd.domain.time import Micros

if TYPE_CHECKING:
    from tpsd.store.viewing import Reading

TIME_COLUMNS = 31  # 2026-11-23T09:15:30.123+01:00 and two spaces
TEXT_COLUMNS_MIN = 40  # on a narrow terminal a sentence goes below its time


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("explain", cls=Command)(explain)


def explain(
    tap: TapName,
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Tell the story of a tap: what happened when and why, how it stands, and what comes next."""

    async def read(journal: Reading) -> dict[str, Any]:
        kept = Keeping(0, 0, 0) if config is None else keeping(load(config))
        return story_page(await journal.histories.of(tap), kept, Micros(time.time_ns() // 1000))

    found = asyncio.run(answer(socket, config, f"{PATH}/{segment(tap)}", {}, read))
    emit(found) if as_json else typer.echo("\n".join(lines(found, console().width)))


def lines(found: Mapping[str, Any], columns: int) -> Iterator[str]:
    """The story with each event's time before it. It takes the JSON that the socket gives."""
    for event in found["events"]:
        at, text = event["local_time"] or "", _printable(event["text"])
        room = columns - TIME_COLUMNS
        if room < TEXT_COLUMNS_MIN:
            yield from filter(None, (at, *_wrapped(text, columns - 2, "  ")))
        else:
            first, *rest = _wrapped(text, room, "") or [""]
            yield f"{at:<{TIME_COLUMNS}}{first}"
            yield from (" " * TIME_COLUMNS + line for line in rest)


def _wrapped(text: str, columns: int, indent: str) -> list[str]:
    """Lines of words; none is cut, since a UUID or a command that was could not be copied."""
    wrapped = textwrap.wrap(text, columns, break_long_words=False, break_on_hyphens=False)
    return [indent + line for line in wrapped]


def _printable(text: str) -> str:
    """A stop's name comes from a validator: nothing of it may steer a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)
