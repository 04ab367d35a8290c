"""Plain text mails from notices. The same notices give the same text, so a mail can be frozen and sent again.

Only masked card fields are taken, and one that does not look masked is not printed.
"""

from __future__ import annotations

import re
import textwrap
import unicodedata
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from tpsd.core.notices import LISTED_MAX, Totals
from tpsd.core.texts import Catalogue
from tpsd.domain.card import UNMASKABLE
from tpsd.domain.notice import Episode, MailDraft, NoticeKind, NoticeRow
from tpsd.domain.time import MINUTE, Micros, iso_millis

FIELD_CHARACTERS_MAX: Final = 300
"""Cuts a field that ran away; the longest text of ours is shorter."""

LINE_CHARACTERS: Final = 78  # RFC 5322 2.1.1: the width a line should keep

_MASKED: Final = re.compile(r"[0-9]{4,6}\*{2,11}[0-9]{4}")  # a reader that encrypts shows four or six

HEADLINES: Final[dict[NoticeKind, tuple[str, str]]] = {
    NoticeKind.PERMANENTLY_FAILED: ("tap permanently failed", "taps permanently failed"),
    NoticeKind.HELD: ("tap held", "taps held"),
    NoticeKind.TAP_REFUSED: ("tap refused by TPS", "taps refused by TPS"),
    NoticeKind.IN_DOUBT: ("tap in doubt", "taps in doubt"),
    NoticeKind.UNSEEN: ("tap with another end than shown", "taps with another end than shown"),
    NoticeKind.ALARM: ("alarm", "alarms"),
    NoticeKind.OUTAGE: ("word on an outage", "words on an outage"),
    NoticeKind.BODY_GOES: ("tap soon beyond resending", "taps soon beyond resending"),
    NoticeKind.JOURNEY: ("journey without a payment", "journeys without a payment"),
}
"""For one notice and for several."""

MEANINGS: Final[dict[NoticeKind, str]] = {
    NoticeKind.PERMANENTLY_FAILED: (
        "Every send of the ladder failed. tpsd sends these transactions no more and keeps them until "
        "somebody sends them again or closes them."
    ),
    NoticeKind.HELD: (
        "TPS, or something before it, refuses this terminal. Its taps are kept until the cause is mended."
    ),
    NoticeKind.TAP_REFUSED: (
        "TPS refused these transactions for what is in them. They are final and are not sent again."
    ),
    NoticeKind.IN_DOUBT: (
        "Money may have moved and no answer says so. Nothing is sent again: find out, and tell it with 'tpsd resolve'."
    ),
    NoticeKind.OUTAGE: "While TPS cannot be reached, taps are kept; they are sent when it can be reached again.",
    NoticeKind.BODY_GOES: (
        "Card data may be kept no longer: in 48 hours these taps can no longer be sent again. Decide before."
    ),
    NoticeKind.UNSEEN: "What the passenger was shown is not what the journal holds.",
    NoticeKind.JOURNEY: (
        "These passengers checked in, and no check-out was paid. The fare is not charged unless somebody sends the "
        "check-out by hand."
    ),
    NoticeKind.ALARM: "Something happened that should be impossible. An engineer should look at it.",
}


LIST_MEANING: Final = "While TPS does not complete its deny list, cards that it listed since then are not on ours."
"""Of an outage that is the feed's alone."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row as its mail shows it: words only."""

    name: str
    lane: str
    tapped: str
    amount: str
    card: str
    attempts: int
    answer: tuple[str, ...]
    charged: str
    note: str


def window_mail(
    journal_id: str,
    episode: Episode,
    rows: tuple[NoticeRow, ...],
    totals: Totals,
    *,
    now: Micros,
    catalogue: Catalogue,
) -> MailDraft:
    """The mail of a window that closed with notices. ``now`` is the closing on the schedule clock.

    ``episode`` is the window that closed, ``rows`` at most LISTED_MAX of its notices, ``totals`` of all.
    """
    template = "outage.txt.j2" if episode.kind is NoticeKind.OUTAGE else "window.txt.j2"  # no tap stands in that one
    text = TEMPLATES.get_template(template).render(
        headline=_headline(totals.count, episode.kind),
        cause=episode.cause,
        meaning=_wrapped(_meaning(episode)),
        words=_wrapped(catalogue.operator(episode.cause), LINE_CHARACTERS - 2),
        earlier=episode.listed,
        entries=[_entry(row, catalogue) for row in rows[:LISTED_MAX]],
        unlisted=totals.count - len(rows[:LISTED_MAX]),
        total="1 row" if totals.count == 1 else f"{totals.count} rows",
        sums=[money(amount, currency) for currency, amount in totals.sums],
        commands=_commands(episode, rows),
    )
    again = ", again" if episode.mails else ""
    subject = f"[tpsd] {_headline(totals.count, episode.kind)}{again}: {_bare(episode)}"
    return _draft(journal_id, episode, subject, text, now)


def all_clear_mail(journal_id: str, episode: Episode, *, now: Micros, currency: str) -> MailDraft:
    """The mail that ends an episode which made several: its totals. ``currency`` is the operator's."""
    text = TEMPLATES.get_template("all_clear.txt.j2").render(
        cause=episode.cause,
        quiet_minutes=max((episode.closes_at - episode.opened_at) // MINUTE, 1),
        headline=_headline(episode.listed, episode.kind),
        mails=episode.mails,
        amount=money(episode.amount_sum, currency) if episode.amount_sum else "",
        commands=_commands(episode, ()),
    )
    subject = f"[tpsd] all clear after {_headline(episode.listed, episode.kind)}: {_bare(episode)}"
    return _draft(journal_id, episode, subject, text, now)


def message_id(journal_id: str, cause: str, opened_at: Micros, step: int) -> str:
    """The Message-ID of a window's mail: the same values give the same id, however often it is made."""
    seed = "\n".join((journal_id, cause, str(opened_at), str(step)))
    host = sha256(journal_id.encode()).hexdigest()[:8]
    return f"<{sha256(seed.encode()).hexdigest()[:32]}@tpsd-{host}.internal>"


def money(amount: int, currency: str) -> str:
    """``2.50 978``: minor units as hundredths and the numeric currency; exact for sums of any size."""
    return f"{amount // 100}.{amount % 100:02d} {currency}"


def printable(value: object) -> str:
    """A field's text without what could move a cursor, start a line or hide: such characters become ``?``."""
    text = str(value)[:FIELD_CHARACTERS_MAX]
    return "".join("?" if unicodedata.category(character) in _UNPRINTABLE else character for character in text)


_UNPRINTABLE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # Cf: the marks that turn the writing direction


def _draft(journal_id: str, episode: Episode, subject: str, text: str, now: Micros) -> MailDraft:
    name = message_id(journal_id, episode.cause, episode.opened_at, episode.step)
    return MailDraft(name, printable(subject), text, now)


def _bare(episode: Episode) -> str:
    return episode.cause.removeprefix(f"{episode.kind.value}/")


def _meaning(episode: Episode) -> str:
    return LIST_MEANING if _is_of_list(episode) else MEANINGS[episode.kind]


def _is_of_list(episode: Episode) -> bool:
    return episode.kind is NoticeKind.OUTAGE and _bare(episode).startswith("feed.")


def _headline(count: int, kind: NoticeKind) -> str:
    one, many = HEADLINES[kind]
    return f"{count} {one if count == 1 else many}"


def _entry(row: NoticeRow, catalogue: Catalogue) -> Entry:
    amount = None if row.amount is None or row.currency is None else money(row.amount, row.currency)
    return Entry(
        name=row.uuid or row.tap_id or "a tap that could not be read",
        lane=row.lane or "not known",
        tapped="not known" if row.tapped_at is None else _utc(row.tapped_at),
        amount=amount or "not known",
        card=_card(row.masked),
        attempts=row.attempts,
        answer=_answer(row, catalogue),
        charged="it may have been charged" if row.may_have_charged else "no",
        note=row.detail,
    )


def _answer(row: NoticeRow, catalogue: Catalogue) -> tuple[str, ...]:
    if row.last_cause is None:
        return ("none, nothing was sent" if row.attempts == 0 else "none is known",)
    return _wrapped(f"{row.last_cause}: {catalogue.operator(row.last_cause)}", LINE_CHARACTERS - 20)


def _card(masked: str | None) -> str:
    if masked is None:
        return "not readable here"
    return masked if _MASKED.fullmatch(masked) else UNMASKABLE


def _utc(at: Micros) -> str:
    return f"{iso_millis(at)[:19].replace('T', ' ')} UTC"


def _wrapped(text: str, width: int = LINE_CHARACTERS) -> tuple[str, ...]:
    return tuple(textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)) or ("",)


def _commands(episode: Episode, rows: tuple[NoticeRow, ...]) -> tuple[str, ...]:
    """First what to look at, then what to do about it. Those over a whole cause only count until told otherwise."""
    kind = episode.kind
    names = [row.uuid or row.tap for row in rows if row.uuid or row.tap is not None]
    show = (f"tpsd show {names[0]}",) if names else ()
    taps = (f"tpsd taps --state {kind.value}",) if kind in _STATES else ("tpsd taps",)
    looking = show or taps if len(rows) == 1 else (*show, *taps)
    match kind:
        case NoticeKind.PERMANENTLY_FAILED:
            which = rows[0].uuid if len(rows) == 1 and rows[0].uuid else f"--cause {_bare(episode)}"
            return (*looking, f"tpsd resend {which}")
        case NoticeKind.HELD:
            return (*looking, "tpsd held", f"tpsd release --cause {_bare(episode)}")
        case NoticeKind.JOURNEY:
            return (*looking, "tpsd journeys --ended-unpaid", "tpsd journeys --expired")
        case NoticeKind.IN_DOUBT:
            return (*looking, "tpsd in-doubt")
        case NoticeKind.OUTAGE if _is_of_list(episode):
            return ("tpsd denylist status",)
        case _:
            return looking


_STATES: Final = frozenset(
    {NoticeKind.PERMANENTLY_FAILED, NoticeKind.HELD, NoticeKind.TAP_REFUSED, NoticeKind.IN_DOUBT}
)

TEMPLATES: Final = Environment(
    loader=PackageLoader("tpsd.mail", "templates"),
    undefined=StrictUndefined,
    autoescape=False,  # plain text has no markup; ``finalize`` takes what could do harm in it
    finalize=printable,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
