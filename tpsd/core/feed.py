"""The update feed's decisions: what a page changes, what is done next, and when a new list waits for a person."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tpsd.core.notices import cause_key
from tpsd.domain.feed import Action, BadPage, Denial, Heard, Loss, NoPage, Page, RawPage, Record
from tpsd.domain.notice import NoticeDraft, NoticeKind
from tpsd.domain.time import HOUR, MINUTE, SECOND

PAGE_RECORDS: Final = 1000
"""Asked for a page: the most that TPS gives (sfey.md 6). More in an answer is against the contract."""

ROUND_PAGES_MAX: Final = 20_000
"""Pages without an end: 20,000,000 records, a list of 10,000,000 and as many changes to it."""

FEED_TOKENS_MAX: Final = 20_000_000
"""Entries of the feed, an old and a new list of 10,000,000 together: 800 MB of journal."""

LONG_LIST: Final = 1000
"""A shorter list may lose more than half in a day; of a longer one that is a fault somewhere until a person says no."""

RETRY_FIRST_US: Final = 5 * SECOND
RETRY_MAX_US: Final = 5 * MINUTE
"""A gateway that restarts costs seconds; one that is gone is asked as often as a healthy one is polled."""

RETRY_AFTER_US_MAX: Final = HOUR
"""The longest that a ``Retry-After`` is heeded: a card that was recovered rides within the hour, whatever TPS asks."""

JITTER_SHARE: Final = 0.1
"""Of any pause, only ever longer: terminals of a fleet that started together must not ask together."""

ANEW_AFTER: Final = 6
"""Refusals in a row of the same token, after which the list is asked for from the beginning: the token may be bad."""


TURN_AFTER: Final = 3
"""Denials in a row after which another terminal asks: TPS may refuse one, and its list is the whole company's."""

NOBODY: Final = NoPage("terminal")
"""No validator has said yet who it is, and no lane is set whose terminal is known."""


@dataclass(frozen=True, slots=True)
class Put:
    """Enter these cards; those that are there stay. Sorted, each once."""

    tokens: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Strike:
    """Strike these cards from the feed's own lists."""

    tokens: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Flush:
    """A new list begins: it takes effect beside the old one, and replaces it once it is complete."""


Step = Put | Strike | Flush


@dataclass(frozen=True, slots=True)
class Take:
    """A page to keep, in one commit with ``token``, from which the next request resumes. ``done``: TPS has no more."""

    steps: tuple[Step, ...]
    token: str | None
    done: bool


def asks_with(token: str | None, refusals: int) -> str | None:
    """The token of the next request; None asks for everything."""
    return None if refusals >= ANEW_AFTER else token


def turn_of(denials: int) -> int:
    """Whose turn it is to ask, counted from 0, after so many denials in a row."""
    return denials // TURN_AFTER


def judge(page: Page, asked_with: str | None, seen: Collection[str], *, listed: bool) -> Take | BadPage:
    """What a page comes to. ``seen``: the tokens of this round before; ``listed``: the feed has entries already.

    A list that was asked for from the beginning replaces what is there, as after a flush.
    """
    wrong = against_contract(page, len(page.records) + len(page.foreign), asked_with, seen)
    if wrong is not None:
        return wrong
    anew = (Flush(),) if asked_with is None and listed else ()
    token = asked_with if page.token is None else page.token
    return Take((*anew, *_steps(page.records)), token, page.complete)


def against_contract(
    page: Page | RawPage, records: int, asked_with: str | None, seen: Collection[str]
) -> BadPage | None:
    """What is wrong with a page of so many records, beside what is in them."""
    if records > PAGE_RECORDS:
        return BadPage("page.records")
    if page.complete:
        return None
    if page.token is None:
        return BadPage("token.missing")
    if page.token == asked_with or page.token in seen:
        return BadPage("token.repeats")
    return BadPage("round.endless") if len(seen) >= ROUND_PAGES_MAX else None


def waits(loss: Loss) -> bool:
    """Whether a new list may not replace the old one before a person has said so."""
    return loss.before > LONG_LIST and 2 * loss.lost > loss.before


def pause(heard: Heard, failures: int, poll_us: int, draw: float) -> int:
    """Microseconds until TPS is asked again, ``failures`` in a row so far; ``draw`` from 0 to 1."""
    match heard:
        case Page():
            wait = poll_us
        case BadPage() | Denial():
            wait = _back_off(failures)
        case NoPage(_, retry_after):
            wait = max(_back_off(failures), min((retry_after or 0) * SECOND, RETRY_AFTER_US_MAX))
    return round(wait * (1 + JITTER_SHARE * draw))


def _back_off(failures: int) -> int:
    return min(RETRY_FIRST_US << min(max(failures - 1, 0), 10), RETRY_MAX_US)


def alarm(heard: BadPage | Denial) -> NoticeDraft:
    """What an operator is told of a feed that is of no use."""
    cause = cause_key(NoticeKind.ALARM, f"feed.{heard.cause}")
    what = "TPS refuses to give the deny list" if isinstance(heard, Denial) else "TPS's answer was refused"
    return NoticeDraft(NoticeKind.ALARM, cause, f"{what} ({heard.cause}); the deny list that is there stays in force")


def held_back(loss: Loss) -> NoticeDraft:
    """What an operator is told of a new list that waits."""
    return NoticeDraft(
        NoticeKind.ALARM,
        cause_key(NoticeKind.ALARM, "feed.loses"),
        f"a new deny list of {loss.after} cards lacks {loss.lost} of the {loss.before} of the old one; both deny until "
        "'tpsd denylist accept'",
    )


def _steps(records: Sequence[Record]) -> Iterator[Step]:
    """Between two flushes a card's last record counts, so that the order of cards is nobody's concern."""
    last: dict[bytes, Action] = {}
    for record in records:
        if record.action is Action.FLUSH:
            yield from _changes(last)
            last.clear()
            yield Flush()
        elif record.token is not None:
            last[record.token] = record.action
    yield from _changes(last)


def _changes(last: dict[bytes, Action]) -> Iterator[Step]:
    struck = tuple(sorted(token for token, action in last.items() if action is Action.DELETE))
    put = tuple(sorted(token for token, action in last.items() if action is not Action.DELETE))
    if put:
        yield Put(put)
    if struck:
        yield Strike(struck)
