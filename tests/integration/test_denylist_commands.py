"""``tpsd denylist`` over a real socket to a real journal: what changes, what is refused, what is never repeated."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.intake_taps import told_of
from tests.store.builders import NOW, SALT, VISA, take
from tests.store.engines import SqliteEngine
from tpsd.admin.client import stream, tell
from tpsd.admin.denylist import BY_HAND_MAX, TOKENS_MAX, routes
from tpsd.admin.server import AdminServer
from tpsd.cli import app
from tpsd.domain.card import Pan
from tpsd.emv.reading import card_token
from tpsd.errors import RefusedError, TpsdError
from tpsd.store.audit import AuditLog
from tpsd.store.sqlite import SqliteJournal

TOKEN = card_token(SALT, Pan(VISA))
OTHER = "0b" * 32
WHO = f"{pwd.getpwuid(os.getuid()).pw_name} ({os.getuid()})"


@dataclass(frozen=True, slots=True)
class Desk:
    """A journal behind a socket, and the command line in front of it."""

    journal: SqliteJournal
    socket: Path
    folder: Path

    async def tpsd(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error."""
        given = ["denylist", *arguments, "--socket", str(self.socket)]
        result = await asyncio.to_thread(CliRunner().invoke, app, given)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    async def answer(self, *arguments: str) -> dict[str, Any]:
        """The JSON object of a command that works."""
        code, out, err = await self.tpsd(*arguments, "--json")
        assert (code, err) == (0, "")
        found = json.loads(out.splitlines()[-1])
        assert isinstance(found, dict)
        return found

    def file(self, *lines: str) -> str:
        """A file of these lines."""
        path = self.folder / "list.txt"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return str(path)

    async def audited(self) -> list[tuple[str, str, str, str]]:
        """Who, what, subject and why, oldest first."""
        rows = await AuditLog(self.journal._writer).rows(100)
        return [(row.who, row.what, row.subject, row.why) for row in reversed(rows)]


async def nothing() -> dict[str, Any]:
    return {}


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Desk]:
    journal = await SqliteEngine(folder / "engine", inline=False).open()
    socket = folder / "tpsd.sock"
    server = AdminServer(socket, journal, nothing, routes(journal.denylist, lambda: NOW))
    await server.start()
    try:
        yield Desk(journal, socket, folder)
    finally:
        await server.stop()
        await journal.close()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with opened(tmp_path) as desk:
        yield desk


async def told(desk: Desk, counter: int) -> str:
    return told_of(await take(desk.journal, counter)).reason


async def test_single_cards(desk: Desk) -> None:
    assert await desk.answer("count") == {"tokens": 0, "version": None, "sources": []}
    assert await desk.answer("add", TOKEN, OTHER.upper()) == {"asked": 2, "added": 2, "version": 1}
    assert await told(desk, 1) == "deny_list"
    assert await desk.answer("count") == {
        "tokens": 2,
        "version": 1,
        "sources": [{"source": "hand", "tokens": 2, "live_at": NOW, "token_key": None}],
    }
    assert await desk.answer("remove", TOKEN, "0c" * 32) == {"asked": 2, "removed": 1, "version": 2}
    assert await told(desk, 2) == "ok"


async def test_for_people(desk: Desk) -> None:
    _, out, _ = await desk.tpsd("add", TOKEN, TOKEN)
    assert out == "1 added, 1 there already; deny list version 1\n"
    _, out, _ = await desk.tpsd("import", desk.file(OTHER, OTHER, TOKEN), "--source", "feed")
    assert out == "2 tokens imported, 1 named twice; list feed extended; deny list version 2\n"
    _, out, _ = await desk.tpsd("count")
    assert [line.split()[1:-1] for line in out.splitlines() if "feed" in line or "hand" in line] == [
        ["feed", "│", "-", "│", "2", "│", "2026-09-21T14:13:20.000Z"],
        ["hand", "│", "-", "│", "1", "│", "2026-09-21T14:13:20.000Z"],
    ]
    _, out, _ = await desk.tpsd("remove", TOKEN, "0c" * 32)
    assert out == "1 removed, 1 on no list; deny list version 3\n"


async def test_everything_is_audited_with_who_what_and_why(desk: Desk) -> None:
    await desk.answer("add", TOKEN, "--reason", "a debt")
    await desk.answer("import", desk.file(OTHER), "--source", "feed", "--replace", "--reason", "the night's list")
    await desk.answer("remove", TOKEN, "--source", "hand", "--reason", "paid")
    assert await desk.audited() == [
        (WHO, "denylist add", TOKEN, "a debt"),
        (WHO, "denylist import", "feed: 1 tokens, replaced", "the night's list"),
        (WHO, "denylist remove", TOKEN, "paid"),
    ]


async def test_a_file_with_everything_a_good_file_may_have(desk: Desk) -> None:
    file = desk.file("\ufeff# from the office", "", f"  {TOKEN.upper()}  ", OTHER, OTHER, "# end")
    assert await desk.answer("import", file) == {
        "source": "file",
        "replaced": False,
        "lines": 3,
        "duplicates": 1,
        "imported": 2,
        "version": 1,
        "tokens": 2,
    }
    assert await told(desk, 1) == "deny_list"


async def test_a_list_beside_or_instead_of_the_former(desk: Desk) -> None:
    await desk.answer("add", TOKEN)
    await desk.answer("import", desk.file("01" * 32, "02" * 32))
    assert (await desk.answer("import", desk.file("02" * 32, "03" * 32)))["tokens"] == 4
    assert (await desk.answer("import", desk.file("04" * 32), "--replace"))["tokens"] == 2
    found = await desk.answer("count")
    assert [(row["source"], row["tokens"]) for row in found["sources"]] == [("file", 1), ("hand", 1)]


async def test_bad_lines_are_named_and_nothing_is_imported(desk: Desk) -> None:
    file = desk.file(TOKEN, VISA, "", "nonsense", OTHER)
    code, out, err = await desk.tpsd("import", file, "--json")
    assert code == 1
    assert err == (
        f"tpsd: {file}: 2 bad lines, nothing was imported\n"
        "  line 2 looks like a card number: never give one, give the card's token\n"
        "  line 4 is no card token: 64 hex digits are needed\n"
    )
    found = json.loads(out)
    assert (found["bad_line_count"], [line["line"] for line in found["bad_lines"]]) == (2, [2, 4])
    assert VISA not in out + err
    assert await told(desk, 1) == "ok"
    assert await desk.audited() == []


async def test_of_many_bad_lines_the_first_twenty(desk: Desk) -> None:
    _, _, err = await desk.tpsd("import", desk.file(*["bad"] * 35))
    assert "line 20 is" in err
    assert "line 21 is" not in err
    assert err.endswith("  and 15 more\n")


@pytest.mark.parametrize("command", ["add", "remove"])
@pytest.mark.parametrize(("text", "what"), [(VISA, "looks like a card number"), ("4f", "is no card token")])
async def test_what_is_no_token_is_refused_without_being_repeated(
    desk: Desk, command: str, text: str, what: str
) -> None:
    code, out, err = await desk.tpsd(command, TOKEN, text, "--json")
    assert code == 1
    assert f"token 2 {what}" in json.loads(out)["error"]
    assert VISA not in out + err
    assert (await desk.answer("count"))["version"] is None


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["import", "{none}"], "cannot be read (No such file or directory)"),
        (["import", "{folder}"], "cannot be read (Is a directory)"),
        (["import", "{empty}"], "holds no tokens; nothing was changed"),
        (["import", "{good}", "--source", "A b"], "the source is not 1 to 32 of a-z"),
        (["remove", TOKEN, "--source", "A b"], "the source is not 1 to 32 of a-z"),
        (["add", TOKEN, "--reason", "x" * 201], "the reason has more than 200 characters"),
    ],
)
async def test_refusals(desk: Desk, arguments: list[str], what: str) -> None:
    places = {"none": desk.folder / "none", "folder": desk.folder, "empty": desk.folder / "empty"}
    places["empty"].write_text("# nothing\n")
    given = [part.format(good=desk.file(TOKEN), **places) for part in arguments]
    code, out, err = await desk.tpsd(*given)
    assert (code, out) == (1, "")
    assert what in err
    assert (await desk.answer("count"))["version"] is None


async def test_wrong_uses_exit_2(desk: Desk) -> None:
    for arguments in (["add"], ["import"], ["nonsense"], ["count", "--nonsense"]):
        assert (await desk.tpsd(*arguments))[0] == 2


async def test_without_a_daemon(tmp_path: Path) -> None:
    desk = Desk(None, tmp_path / "none.sock", tmp_path)  # type: ignore[arg-type]
    for arguments in (["count"], ["add", TOKEN], ["import", desk.file(TOKEN)]):
        code, _, err = await desk.tpsd(*arguments)
        assert code == 1
        assert "no daemon listens on" in err


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def listing(**changes: str) -> dict[str, str]:
    return {"source": "file", "replace": "false", "tokens": "2", "reason": ""} | changes


@pytest.mark.parametrize(
    ("params", "body", "what"),
    [
        (listing(), b"x" * 96, "did not come as announced"),
        (listing(), b"x" * 32, "did not come as announced"),
        (listing(), b"x" * 63, "did not come as announced"),
        (listing(tokens="0"), b"", "a list holds 1 to"),
        (listing(tokens=str(TOKENS_MAX + 1)), b"", "a list holds 1 to"),
        (listing(tokens="²"), b"", "a list holds 1 to"),
        (listing(source="Ä"), b"x" * 64, "the source is not"),
    ],
)
async def test_a_list_that_is_not_as_announced(desk: Desk, params: dict[str, str], body: bytes, what: str) -> None:
    with pytest.raises(RefusedError, match=what):
        await stream(desk.socket, "/denylist/import", params, chunks(body))
    assert await desk.answer("count") == {"tokens": 0, "version": None, "sources": []}


async def test_a_caller_that_goes_away_in_the_middle_changes_nothing(desk: Desk) -> None:
    class GoneError(Exception):
        pass

    async def breaking_off() -> AsyncIterator[bytes]:
        yield bytes.fromhex(TOKEN)
        raise GoneError

    with pytest.raises((GoneError, TpsdError)):
        await stream(desk.socket, "/denylist/import", listing(), breaking_off())
    assert await told(desk, 1) == "ok"
    assert (await desk.answer("import", desk.file(OTHER)))["version"] == 1
    assert (await desk.answer("count"))["tokens"] == 1


@pytest.mark.parametrize("body", [{}, {"tokens": []}, {"tokens": TOKEN}, {"tokens": [OTHER] * (BY_HAND_MAX + 1)}])
async def test_too_few_or_too_many_at_once(desk: Desk, body: dict[str, Any]) -> None:
    with pytest.raises(TpsdError, match=f"tokens are not 1 to {BY_HAND_MAX}; import a file of them"):
        await tell(desk.socket, "/denylist/add", body)


async def test_the_server_reads_tokens_as_strictly_as_the_command(desk: Desk) -> None:
    with pytest.raises(RefusedError, match="token 1 looks like a card number") as caught:
        await tell(desk.socket, "/denylist/add", {"tokens": [VISA]})
    assert VISA not in str(caught.value)


async def test_taps_are_answered_while_a_long_list_comes_in(desk: Desk) -> None:
    rng = random.Random(1)
    tokens = sorted(rng.randbytes(32) for _ in range(50_000))
    ended = asyncio.Event()

    async def import_it() -> dict[str, Any]:
        try:
            body = chunks(*(b"".join(tokens[at : at + 2000]) for at in range(0, len(tokens), 2000)))
            return await stream(desk.socket, "/denylist/import", listing(tokens="50000"), body)
        finally:
            ended.set()

    importing = asyncio.create_task(import_it())
    counter = 0
    while not ended.is_set():
        counter += 1
        assert await told(desk, counter) == "ok"
    assert (await importing)["imported"] == 50_000
    assert counter > 10, "the list came in many commits, with taps between them"
