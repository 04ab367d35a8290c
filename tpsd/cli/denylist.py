"""``tpsd denylist``: cards that may not ride, by their tokens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress
from rich.table import Table

from tpsd.admin.client import ask, stream, tell
from tpsd.cli.command import (
    FAILED,
    AsJson,
    Command,
    CommandGroup,
    ConfigFile,
    Socket,
    audit_words,
    console,
    emit,
    socket_path,
)
from tpsd.cli.rendering import moment
from tpsd.cli.token_file import read_tokens, report_bad
from tpsd.domain.denial import NoToken, is_source, read_token
from tpsd.errors import RefusedError

CHUNK_TOKENS = 2_048

_KINDS = {
    "stop_list": "stop list (no verdict looks at it: what its records mean is not public)",
    "emv_parameter": "EMV parameters",
}

Tokens = Annotated[list[str], typer.Argument(metavar="TOKEN...", help="64 hex digits each; never a card number.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it goes to the audit.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        name="denylist", cls=CommandGroup, help="Cards that may not ride, by their tokens.", no_args_is_help=True
    )
    group.command("add", cls=Command)(add)
    group.command("remove", cls=Command)(remove)
    group.command("import", cls=Command)(import_file)
    group.command("count", cls=Command)(count)
    group.command("status", cls=Command)(status)
    group.command("accept", cls=Command)(accept)
    app.add_typer(group)


def add(
    tokens: Tokens, reason: Reason = "", socket: Socket = None, config: ConfigFile = None, as_json: AsJson = False
) -> None:
    """Deny single cards from now on (source "hand")."""
    _refuse_bad(tokens)
    body = {"tokens": tokens, "reason": audit_words(reason)}
    found = asyncio.run(tell(socket_path(socket, config), "/denylist/add", body))
    if as_json:
        emit(found)
        return
    there = found["asked"] - found["added"]
    console().print(f"{found['added']} added{_and(there, 'there already')}; deny list version {found['version']}")


def remove(
    tokens: Tokens,
    source: str | None = typer.Option(None, help="Only from this source's list; default from all."),
    reason: Reason = "",
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Strike single cards from the lists in force."""
    _refuse_bad(tokens)
    body = {"tokens": tokens, "source": source, "reason": audit_words(reason)}
    found = asyncio.run(tell(socket_path(socket, config), "/denylist/remove", body))
    if as_json:
        emit(found)
        return
    missing = found["asked"] - found["removed"]
    console().print(f"{found['removed']} removed{_and(missing, 'on no list')}; deny list version {found['version']}")


def import_file(
    file: Path = typer.Argument(metavar="FILE", help="One token a line; empty lines and # comments are skipped."),
    source: str = typer.Option("file", help="Whose list it is: 1 to 32 of a-z, 0-9, _ and -."),
    replace: bool = typer.Option(False, "--replace", help="Instead of the source's former lists, not beside them."),
    reason: Reason = "",
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Take a whole list from a file: all of it at one moment, or nothing."""
    if not is_source(source):
        raise RefusedError("the source is not 1 to 32 of a-z, 0-9, _ and -; choose another name")
    path, reason = socket_path(socket, config), audit_words(reason)
    listed = read_tokens(file)
    if listed.bad:
        report_bad(file, listed, "nothing was imported", as_json)
        raise typer.Exit(FAILED)
    if not listed.tokens:
        raise RefusedError(f"{file} holds no tokens; nothing was changed")
    params = {"source": source, "replace": str(replace).lower(), "tokens": str(len(listed.tokens)), "reason": reason}
    with _progress(len(listed.tokens), as_json) as advance:
        found = asyncio.run(stream(path, "/denylist/import", params, _chunks(listed.tokens, advance)))
    duplicates = listed.lines - len(listed.tokens)
    result = {"source": source, "replaced": replace, "lines": listed.lines, "duplicates": duplicates, **found}
    if as_json:
        emit(result)
        return
    twice = _and(duplicates, "named twice")
    how = "replaced" if replace else "extended"
    console().print(
        f"{found['imported']} tokens imported{twice}; list {source} {how}; deny list version {found['version']}"
    )


def count(socket: Socket = None, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Say how many cards are denied, by source and token key."""
    found = asyncio.run(ask(socket_path(socket, config), "/denylist"))
    if as_json:
        emit(found)
        return
    title = f"Deny list, version {found['version'] or 'none'}"
    table = Table("source", "token key", "tokens", "in force since", title=title)
    for row in found["sources"]:
        table.add_row(row["source"], row["token_key"] or "-", str(row["tokens"]), moment(row["live_at"]))
    table.add_row("all", "", str(found["tokens"]), "")
    console().print(table)


def status(socket: Socket = None, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Say how the list that TPS feeds is: its age, its cards, and whether a new one waits for you."""
    path = socket_path(socket, config)
    found = {**asyncio.run(ask(path, "/denylist/feed")), "version": asyncio.run(ask(path, "/denylist"))["version"]}
    if as_json:
        emit(found)
        return
    screen = console()
    for line in _status_lines(found):
        screen.print(line)


def accept(reason: Reason = "", socket: Socket = None, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Let a new list of TPS that waits replace the old one, although it lacks more than half of it."""
    found = asyncio.run(tell(socket_path(socket, config), "/denylist/accept", {"reason": audit_words(reason)}))
    if as_json:
        emit(found)
        return
    console().print(f"accepted: {found['tokens']} cards of TPS are denied; deny list version {found['version']}")


def _status_lines(found: Mapping[str, Any]) -> Iterator[str]:
    version = found["version"] or "none"
    yield f"{found['tokens']} cards of TPS are denied; deny list version {version}"
    if not found["on"]:
        yield "the feed is off: set [feed] enabled = true"
    else:
        last = "no page has come" if found["heard_at"] is None else f"last page {moment(found['heard_at'])}"
        yield f"{_completed(found)}; {last}"
        if found["stale"]:
            most = found["max_age_seconds"] / 3600
            yield f"that is too old (more than {most:g} h): lanes go by their stale_list"
        if found["cause"]:
            yield f"the last poll failed: {found['cause']}"
    if found["waits_since"] is not None:
        yield (
            f"a new list of {found['shadow']} cards waits since {moment(found['waits_since'])}: it lacks "
            f"{found['loses']} of the old one, both deny; 'tpsd denylist accept' lets it replace the old one"
        )
    elif found["shadow"] is not None:
        yield f"a new list is coming in: {found['shadow']} cards so far, denied too"
    for kind in found["parameters"]:
        if kind["version"]:
            whole = "not complete yet" if kind["whole_at"] is None else f"complete {moment(kind['whole_at'])}"
            records = f"version {kind['version']}, {kind['records']} records kept as they came"
            of = f" of {kind['terminal']}" if kind["terminal"] else ""
            yield f"{_KINDS[kind['kind']]}{of}: {records}, {whole}"
    if found["ignored"]:
        yield f"{found['ignored']} records of types unknown to this version were ignored"


def _completed(found: Mapping[str, Any]) -> str:
    if found["age_seconds"] is None:
        return (
            "never complete" if found["whole_at"] is None else "complete, of unknown age while the clock is not trusted"
        )
    since = f" {moment(found['whole_at'])}" if found["whole_at"] is not None else ""
    return f"complete{since}, {found['age_seconds'] / 60:.1f} min ago"


def _refuse_bad(tokens: Iterable[str]) -> None:
    for number, text in enumerate(tokens, start=1):
        if isinstance(token := read_token(text), NoToken):
            raise RefusedError(f"token {number} {token.what}; nothing was changed")


async def _chunks(tokens: list[bytes], advance: Callable[[int], None]) -> AsyncIterator[bytes]:
    for at in range(0, len(tokens), CHUNK_TOKENS):
        chunk = tokens[at : at + CHUNK_TOKENS]
        yield b"".join(chunk)
        advance(len(chunk))


@contextmanager
def _progress(total: int, as_json: bool) -> Iterator[Callable[[int], None]]:
    screen = console()
    with Progress(console=screen, transient=True, disable=as_json or not screen.is_terminal) as progress:
        task = progress.add_task("importing", total=total)
        yield lambda done: progress.advance(task, done)


def _and(number: int, what: str) -> str:
    return f", {number} {what}" if number else ""
