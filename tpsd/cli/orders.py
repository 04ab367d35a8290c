"""Doing something about taps that rest: ``release``, ``resend``, ``close``, ``resolve``.

One tap is acted on at once; a whole cause only with ``--yes``, and is counted without it.
"""

from __future__ import annotations

import asyncio
import re
import time
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from tpsd.admin.client import tell
from tpsd.cli.command import (
    FAILED,
    AsJson,
    Command,
    ConfigFile,
    Socket,
    audit_words,
    complain,
    console,
    emit,
    socket_path,
)
from tpsd.cli.resting import amounts
from tpsd.domain.notice import NoticeKind
from tpsd.domain.time import DAY, HOUR, MINUTE

TapName = Annotated[
    str | None, typer.Argument(metavar="[TAP]", help="Its number, the beginning of its UUID, or VAL00042:3:17.")
]
Cause = Annotated[
    str | None, typer.Option("--cause", help="All taps that rest for this cause, as 'tpsd held' or a mail names it.")
]
Since = Annotated[
    str | None,
    typer.Option("--since", help="Of a cause only the taps taken since: 90m, 36h, 2d ago, or 2026-11-23T08:00 (UTC)."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do it to a whole cause; without it they are only counted.")]
Rebuild = Annotated[
    bool, typer.Option("--rebuild", help="A new UUID and request under the configuration now in force.")
]
Why = Annotated[str, typer.Option("--reason", help="Your own words for the audit; no card data.")]
MustSayWhy = Annotated[str, typer.Option("--reason", help="Why; for the audit. No card data.")]

_AGO = re.compile(r"(\d{1,6})([mhd])")
_UNITS = {"m": MINUTE, "h": HOUR, "d": DAY}
_SENDS = frozenset({"release", "resend"})  # undone by a further order, so a reason may be left out
_KIND = re.compile(rf"^(?:{'|'.join(kind.value for kind in NoticeKind)})/")


class Resolution(Enum):
    """What a person found out."""

    CHARGED = "charged"
    NOT_CHARGED = "not-charged"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("release", cls=Command)(release)
    app.command("resend", cls=Command)(resend)
    app.command("close", cls=Command)(close)
    app.command("resolve", cls=Command)(resolve)


def release(
    cause: str = typer.Option(..., "--cause", help="As 'tpsd held' or a mail names it."),
    since: Since = None,
    rebuild: Rebuild = False,
    reason: Why = "",
    yes: Yes = False,
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Send held taps again, their cause being mended: each starts its ladder anew."""
    _order("release", None, cause, since, reason, yes, rebuild, socket_path(socket, config), as_json)


def resend(
    tap: TapName = None,
    cause: Cause = None,
    since: Since = None,
    rebuild: Rebuild = False,
    reason: Why = "",
    yes: Yes = False,
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Send a failed or held tap again: the same bytes under the same UUID, on a new ladder."""
    _order("resend", tap, cause, since, reason, yes, rebuild, socket_path(socket, config), as_json)


def close(
    reason: MustSayWhy,
    tap: TapName = None,
    cause: Cause = None,
    since: Since = None,
    yes: Yes = False,
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Give a failed or held tap up: it is final, and its card data is erased."""
    _order("close", tap, cause, since, reason, yes, False, socket_path(socket, config), as_json)


def resolve(
    outcome: Annotated[Resolution, typer.Option("--as", help="What you found out.")],
    reason: MustSayWhy,
    tap: TapName = None,
    cause: Cause = None,
    since: Since = None,
    yes: Yes = False,
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Settle a tap that may have been charged, once you know; its card data is erased."""
    _order(outcome.value, tap, cause, since, reason, yes, False, socket_path(socket, config), as_json)


def since_micros(text: str, now: int) -> int:
    """``36h`` before ``now``, or an ISO 8601 time (UTC unless it names a zone), in microseconds. Raises ValueError."""
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return max(0, now - int(ago[1]) * _UNITS[ago[2]])
    moment = datetime.fromisoformat(text.strip())
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    since = int(moment.timestamp()) * 1_000_000
    if since < 0:
        raise ValueError("before 1970")
    return since


def _order(
    order: str,
    tap: str | None,
    cause: str | None,
    since: str | None,
    reason: str,
    yes: bool,
    rebuild: bool,
    socket: Path,
    as_json: bool,
) -> None:
    if (tap is None) == (cause is None):
        raise typer.BadParameter("name one tap, or a whole cause with --cause", param_hint="TAP")
    if tap is not None and since is not None:
        raise typer.BadParameter("belongs to --cause, not to one tap", param_hint="--since")
    why = audit_words(reason, required=order not in _SENDS)
    asked: dict[str, Any] = {"order": order, "why": why, "rebuild": rebuild}
    if tap is not None:
        done = asyncio.run(tell(socket, "/orders", asked | {"tap": tap}))
        if as_json:
            emit({"order": order, "tap": tap} | done)
        else:
            console().print(f"{order}: {done['uuid']}, it was {done['was']}")
        return
    asked |= {"cause": _KIND.sub("", cause or ""), "since": _since(since), "dry": not yes}
    found = asyncio.run(_all_of(socket, asked))
    result = {"order": order, "cause": asked["cause"], "dry": not yes} | found
    if as_json:
        emit(result)
    else:
        _show(result)
    if not found["count"] and found["refused"]:
        raise typer.Exit(FAILED)


def _since(text: str | None) -> int:
    if text is None:
        return 0
    try:
        return since_micros(text, time.time_ns() // 1000)
    except (ValueError, OverflowError) as exc:
        raise typer.BadParameter(
            "is neither like 90m, 36h, 2d nor like 2026-11-23T08:00", param_hint="--since"
        ) from exc


async def _all_of(socket: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """The daemon does some thousand rows at a time; this asks until all are done, and totals."""
    count, sums, refused, after = 0, dict[str, int](), dict[str, int](), None
    while True:
        some = await tell(socket, "/orders", asked | {"after": after})
        count += some["count"]
        for total, part in ((sums, some["sums"]), (refused, some["refused"])):
            for key, number in part.items():
                total[key] = total.get(key, 0) + number
        after = some["after"]
        if after is None:
            return {"count": count, "sums": sums, "refused": refused}


def _show(result: dict[str, Any]) -> None:
    done = "would be done to" if result["dry"] else "done to"
    taps = "1 tap" if result["count"] == 1 else f"{result['count']:,} taps"
    total = f", {amounts(result['sums'])}" if result["sums"] else ""
    console().print(f"{result['order']}: {done} {taps}{total}")
    for words, count in result["refused"].items():
        console().print(f"refused: {count:,}, because {words}")
    if result["dry"] and result["count"]:
        complain("nothing was changed; add --yes to do it")
