"""Reading tap logs: every line that can be read, and of every other one its file, its number and what is wrong.

A line with what could be a card number ends it: such a log must not be passed on, and nothing of it is shown.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, cast

from pydantic import ValidationError

from schemas.taplog import LINE, VERSION, AnyLine
from tpsd.errors import TpsdError
from tpsd.taplog.folder import in_order, is_log
from tpsd.taplog.guard import holds_number

LINE_BYTES_MAX: Final = 2**20  # bytes: a configuration of 256 lanes is a quarter of it
_EVENTS: Final = frozenset(LINE.json_schema()["discriminator"]["mapping"])


class ReplayError(TpsdError):
    """What was given cannot be replayed. The text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """What was passed over: where, and why. ``line`` from 1; 0: the whole file, or its rest."""

    file: str
    line: int
    why: str

    def __str__(self) -> str:
        where = f"{self.file}, line {self.line}" if self.line else self.file
        return f"{where}: {self.why}"


def files_of(paths: Sequence[Path]) -> list[Path]:
    """The files that were named, and those of a tap log in the folders. Raises ReplayError."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted((one for one in path.iterdir() if is_log(one)), key=in_order)
            if not inside:
                raise ReplayError(f"{path} holds no tap log: name the folder that [taplog] names, or its files")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise ReplayError(f"{path} is not there: name a tap log's file or folder")
    return list(dict.fromkeys(found))


def read(path: Path, skipped: Callable[[Skipped], None]) -> Generator[tuple[AnyLine, str], None, None]:
    """The lines of one file, each with its text; to be closed by who does not read to the end.

    Raises ReplayError for a card number, or a file not to be opened.
    """
    with closing(_lines(path, skipped)) as lines:
        for number, raw, whole in lines:
            text = raw.decode("ascii", "replace")
            if holds_number(text):
                raise ReplayError(
                    f"{path}, line {number} holds what could be a card number: nothing was replayed. Find out who "
                    "wrote it, and destroy the file and its copies"
                )
            found = _parsed(text, whole=whole)
            if isinstance(found, str):
                skipped(Skipped(str(path), number, found))
            else:
                yield found, text


def _lines(path: Path, skipped: Callable[[Skipped], None]) -> Generator[tuple[int, bytes, bool], None, None]:
    number = 0
    try:
        with _opened(path) as file:
            while raw := file.readline(LINE_BYTES_MAX):
                number += 1
                if not raw.endswith(b"\n") and len(raw) == LINE_BYTES_MAX:
                    skipped(Skipped(str(path), number, "it is longer than a megabyte, so the rest is no tap log"))
                    return
                if raw.strip():
                    yield number, raw, raw.endswith(b"\n")
    except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
        why = "the compressed file is cut off" if isinstance(exc, EOFError) else "it is damaged, or not compressed"
        skipped(Skipped(str(path), number + 1, f"{why}; what follows is lost"))
    except OSError as exc:
        raise ReplayError(f"{path} cannot be read ({exc.strerror}): check its rights") from exc


def _opened(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _parsed(text: str, *, whole: bool) -> AnyLine | str:
    """The line, or why it is none."""
    try:
        return LINE.validate_json(text)
    except ValidationError as exc:
        error = exc.errors(include_url=False, include_input=False, include_context=False)[0]
    try:
        value: Any = json.loads(text)
    except ValueError:
        return "it is no JSON" if whole else "it is cut off"
    if not isinstance(value, dict) or "v" not in value or "event" not in value:
        return "it is no line of a tap log"
    if isinstance(value["v"], int) and value["v"] > VERSION:
        return f"it is of version {value['v']}, and this tpsd knows {VERSION}: replay it with a newer one"
    if value["v"] != VERSION:
        return f"it is of a version that never was: {str(value['v'])[:20]!r}"
    if value["event"] not in _EVENTS:
        return "it tells of something that this tpsd does not know"
    where = ".".join(str(part) for part in error["loc"][1:])
    return f"its {where or 'content'} is wrong: {error['msg'][:1].lower()}{error['msg'][1:]}"
