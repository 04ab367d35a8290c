"""Journeys, and what an operator does about them and about payments: ``journeys``, ``checkout``, ``refund``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table

from schemas.values import AMOUNT_MAX, TIMEOUT_SECONDS_MAX
from tpsd.admin.client import tell
from tpsd.admin.journeys import local_date
from tpsd.admin.plain import plain
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
    folding,
    socket_path,
)
from tpsd.cli.inspect import TapName, answer
from tpsd.cli.rendering import moment
from tpsd.cli.resting import amounts
from tpsd.core.receipts import cause_words
from tpsd.domain.authorisation import State
from tpsd.domain.journey import JourneyState
from tpsd.domain.time import Micros

if TYPE_CHECKING:
    from tpsd.store.viewing import Reading

UUID_START = 13  # characters, with the first dash: enough to name it, and never taken for a number
Why = typer.Option(..., "--reason", help="Why; for the audit. No card data.")
ORDER_SECONDS = 2 * TIMEOUT_SECONDS_MAX + 10.0  # a credential's probe and its request each have the whole time-out


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("journeys", cls=Command)(journeys)
    app.command("checkout", cls=Command)(checkout)
    app.command("refund", cls=Command)(refund)


def journeys(
    is_open: bool = typer.Option(False, "--open", help="Those that a tap may still end."),
    ended_unpaid: bool = typer.Option(False, "--ended-unpaid", help="Those whose third check-out try failed."),
    expired: bool = typer.Option(False, "--expired", help="Those that nobody ended in time."),
    limit: int = typer.Option(50, min=1, max=1000, help="At most so many, the newest."),
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List journeys, newest first: all, or those of the states that are named."""
    states = [state for state in JourneyState if is_open and state.travels]
    states += [JourneyState.ENDED_UNPAID] if ended_unpaid else []
    states += [JourneyState.EXPIRED] if expired else []

    async def read(journal: Reading) -> dict[str, Any]:
        return {"journeys": plain(await journal.journeys.rows(states, limit))}

    params = {"states": ",".join(state.value for state in states), "limit": str(limit)}
    found = asyncio.run(answer(socket, config, "/journeys", params, read))
    emit(found) if as_json else console().print(folding(_table(found["journeys"])))


def checkout(
    journey: str = typer.Argument(metavar="JOURNEY", help="Its number, or a UUID or VAL00042:3:17 of either end."),
    amount: int = typer.Option(..., min=0, max=AMOUNT_MAX, help="Minor units: 320 is 3.20."),
    reason: str = Why,
    currency: str | None = typer.Option(None, help="ISO 4217 numeric; refused where it is not the journey's."),
    release: bool = typer.Option(False, "--release", help="With --amount 0: only release what the check-in holds."),
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """End a journey without its passenger: send its check-out now. Exit code 0 when approved or ordered before."""
    if currency is not None and not (len(currency) == 3 and currency.isascii() and currency.isdigit()):
        raise typer.BadParameter("is not three digits, as in 978 (ISO 4217 numeric)", param_hint="--currency")
    asked = {"journey": _name(journey, "JOURNEY"), "amount": amount, "currency": currency, "release": release}
    _order("/checkout", asked, reason, socket_path(socket, config), as_json)


def refund(
    tap: TapName,
    amount: int | None = typer.Option(None, min=1, max=AMOUNT_MAX, help="Minor units; default all that is left."),
    again: bool = typer.Option(False, "--again", help="Though as much was given back before."),
    reason: str = Why,
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Give a payment back to its card, whole or in part. Exit code 0 when approved or ordered before."""
    asked = {"tap": _name(tap, "TAP"), "amount": amount, "again": again}
    _order("/refund", asked, reason, socket_path(socket, config), as_json)


def came_of(done: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether an order is done or was ordered before, and what came of it in a sentence or two."""
    what = _what(done)
    if done["already"]:
        return True, f"ordered before, so nothing was sent now: the {what} {_standing(done)}"
    if done["state"] == State.APPROVED.value:
        part = done["approved"]
        partly = f", but only {_money(done, part)} of it" if part not in (None, done["amount"]) else ""
        return True, f"approved: the {what}{partly} ({done['uuid']}){_day(done)}"
    if done["state"] == State.IN_DOUBT.value:
        cause = cause_words(done["cause"])
        return False, f"in doubt ({cause}): nobody knows whether the {what} was made{_day(done)}. {_doubtful(done)}"
    if done["state"] in _NOT_DONE:
        words = _NOT_DONE[done["state"]]
        return (
            False,
            f"not done: the {what} {words} ({cause_words(done['cause'])}){_day(done)}; it may be ordered again",
        )
    return False, f"the {what} was settled by somebody else meanwhile; see: tpsd show {done['uuid']}"


_NOT_DONE = {
    State.DECLINED.value: "was declined",
    State.TAP_REFUSED.value: "was refused by TPS",
    State.FAILED.value: "failed",
}


def _what(done: Mapping[str, Any]) -> str:
    if done["order"] == "release" or not done["amount"]:
        return "release of what the check-in holds"
    return f"{'refund' if done['order'] == 'refund' else 'check-out'} of {_money(done, done['amount'])}"


def _standing(done: Mapping[str, Any]) -> str:
    uuid = done["uuid"]
    if done["state"] == State.IN_DOUBT.value:
        return f"({uuid}) is in doubt. {_doubtful(done)}"
    if done["state"] == State.SENDING.value:
        return f"({uuid}) is being sent at this moment"
    return f"({uuid}) is {done['state']}"


def _doubtful(done: Mapping[str, Any]) -> str:
    resolve = f"'tpsd resolve {done['uuid']} --as charged' or '--as not-charged'"
    if done["enquired"]:
        return f"TPS is being asked about it: see 'tpsd in-doubt'; if that stays without an end, {resolve}"
    return f"Do not pay it in another way: find out what TPS did, then {resolve}"


def _day(done: Mapping[str, Any]) -> str:
    if done["same_day"] is None or done["order"] != "refund":
        return ""
    if done["same_day"]:
        return "; the charge is of the same day, so this is a cancellation, usually free"
    return f"; the charge is of {_date(done['charged_at'])}, so this is a refund, which costs"


def _date(at: int) -> date:
    return local_date(Micros(at))


def _money(done: Mapping[str, Any], amount: int) -> str:
    return amounts({done["currency"]: amount})


def _order(path: str, asked: dict[str, Any], reason: str, socket: Path, as_json: bool) -> None:
    why = audit_words(reason, required=True)
    found = asyncio.run(tell(socket, path, asked | {"why": why}, seconds=ORDER_SECONDS))
    done, words = came_of(found)
    if as_json:
        emit({"done": done, "words": words} | found)
    elif done:
        console().print(words, markup=False, soft_wrap=True)
    else:
        complain(words)
    if not done:
        raise typer.Exit(FAILED)


def _name(reference: str, hint: str) -> str:
    if not reference.strip():
        raise typer.BadParameter("is empty; give a number, a UUID, or serial:boot:counter", param_hint=hint)
    return reference.strip()


def _table(rows: Iterable[Mapping[str, Any]]) -> Table:
    table = Table(
        "journey", "state", "began", "ended", "lane", "zone", "held", "card", "token key", "tap", "check-in", "tries",
        "check-out", "what to do", title="Journeys",
    )  # fmt: skip
    for row in rows:
        currency, out = row["currency"], row["check_out_amount"]
        table.add_row(
            str(row["id"]),
            row["state"],
            moment(row["opened_at"]),
            moment(row["ended_at"]),
            row["lane"],
            row["zone"] or "",
            amounts({currency: row["held"]}),
            row["masked"] or "",
            row["token_key"] or "",
            str(row["tap"] or ""),
            row["check_in"][:UUID_START],
            str(row["tries"]),
            ""
            if out is None
            else f"{amounts({currency: out})} {row['check_out_state']} {row['check_out'][:UUID_START]}",
            f"tpsd checkout {row['id']}" if row["state"] in _WAIT_FOR_A_PERSON else "",
        )
    return table


_WAIT_FOR_A_PERSON = frozenset({JourneyState.ENDED_UNPAID.value, JourneyState.EXPIRED.value})
