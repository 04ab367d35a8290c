"""Files of card tokens: one a line, empty lines and # comments are skipped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tpsd.cli.command import complain, emit
from tpsd.domain.denial import NoToken, read_token
from tpsd.errors import RefusedError

BAD_LINES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Listed:
    """A file's tokens, sorted and each once, of ``lines`` good lines; and its bad lines by number."""

    tokens: list[bytes]
    lines: int
    bad: list[tuple[int, str]]


def read_tokens(file: Path) -> Listed:
    """All of a file. Raises RefusedError where it cannot be read."""
    try:
        with file.open("rb") as opened:
            return _listed(opened)
    except OSError as exc:
        raise RefusedError(f"{file} cannot be read ({exc.strerror}); nothing was changed") from exc


def _listed(opened: IO[bytes]) -> Listed:
    tokens: set[bytes] = set()
    bad: list[tuple[int, str]] = []
    lines = 0
    for number, raw in enumerate(opened, start=1):
        text = raw.decode("utf-8-sig" if number == 1 else "utf-8", "replace").strip()
        if not text or text.startswith("#"):
            continue
        token = read_token(text)
        if isinstance(token, NoToken):
            bad.append((number, token.what))
        else:
            lines += 1
            tokens.add(token)
    return Listed([] if bad else sorted(tokens), lines, bad)


def report_bad(file: Path, listed: Listed, done: str, as_json: bool) -> None:
    """Say which lines are bad and what was ``done`` for that."""
    shown = listed.bad[:BAD_LINES_SHOWN]
    size = "1 bad line" if len(listed.bad) == 1 else f"{len(listed.bad)} bad lines"
    head = f"{file}: {size}, {done}"
    more = len(listed.bad) - len(shown)
    tail = [f"  and {more} more"] if more else []
    complain("\n".join([head, *(f"  line {number} {what}" for number, what in shown), *tail]))
    if as_json:
        lines = [{"line": number, "what": what} for number, what in shown]
        emit({"error": head, "bad_line_count": len(listed.bad), "bad_lines": lines})
