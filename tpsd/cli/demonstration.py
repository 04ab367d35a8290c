"""The demo's last screen: what was tapped, what the ledgers say, and the mails that came."""

from __future__ import annotations

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tpsd.cli.command import console
from tpsd.demo import DemoResult


def show_result(result: DemoResult) -> None:
    """Print the summary and every mail."""
    out = console()
    for mail in result.mails:
        out.print(Panel(Text(mail.get_content().rstrip()), title=Text(str(mail["Subject"])), width=96))
    out.print(Group(_fates(result), _summary(result), _at_the_reader(result), _at_the_gates(result)))
    verdict = "no tap lost, none charged twice" if result.good else "SOMETHING WAS LOST OR CHARGED TWICE"
    out.print(Text(verdict, style="bold green" if result.good else "bold red"))


def _fates(result: DemoResult) -> Table:
    table = Table("what TPS was to do", "taps", title="tapped")
    for fate, count in sorted(result.fates.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(fate, str(count))
    return table


def _summary(result: DemoResult) -> Table:
    table = Table("by the validators' and TPS's own ledgers", "", title="result")
    for name, value in result.summary.items():
        shown = ", ".join(f"{key} {number}" for key, number in value.items()) if isinstance(value, dict) else value
        table.add_row(name.replace("_", " "), str(shown))
    return table


def _at_the_reader(result: DemoResult) -> Text:
    """Why its cards are more than its passengers."""
    passed = result.passed
    return Text(
        f"At the side door stands a ViVOpay reader, which has no memory. Of {passed.cards_held} cards the data of "
        f"{passed.cards_lost} was lost on the line and {passed.cards_unread} could not be read: their passengers "
        f"tapped again. {passed.let_in} were let in, {passed.charges} charged."
    )


def _at_the_gates(result: DemoResult) -> Text:
    """What became of the card that TPS listed over its feed."""
    denied, again = result.debt.denied, "let in again" if result.debt.let_in else "NOT LET IN AGAIN"
    if denied is None:
        return Text("")
    return Text(
        f"At the gate a card on TPS's deny list was turned away ({denied}). Its debt was recovered, TPS struck it from "
        f"the list, and after the next poll it was {again}."
    )
