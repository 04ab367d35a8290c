"""What the simulated TPS does to a request, and how an amount names it.

The table ``RULES`` is the documentation: ``tpsd simulate tps --fates`` prints it, and ``by_amount`` follows it.
A script instead names the fates of the 1st, 2nd, … request of a transaction; the last one repeats.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from tpsd.domain.time import Micros

SLOW_SECONDS = 3.0  # s: long for a passenger who waits, shorter than the daemon's time-out


class Delivery(Enum):
    """How an answer travels."""

    ANSWER = "answer"
    CLOSE = "close"  # the connection ends, nothing is written
    HOLD = "hold"  # nothing is written until the client leaves


class Content(Enum):
    """What an answer's body is."""

    JSON = "json"
    EMPTY = "empty"
    HTML = "html"
    HUGE = "huge"
    GARBAGE = "garbage"


@dataclass(frozen=True, slots=True)
class Fate:
    """One request's fate. ``charges``: money moves. ``settles``: a repeat gets this answer again, whatever its
    own fate, and moves no money. ``amount`` is that of a partial approval, in minor units.
    """

    name: str
    http: int = 200
    approved: bool | None = None
    action_code: str | None = None
    system_code: int | None = None
    amount: int | None = None
    charges: bool = False
    settles: bool = False
    content: Content = Content.JSON
    delivery: Delivery = Delivery.ANSWER
    delay_seconds: float = 0.0
    retry_after: str | None = None
    location: str | None = None


Fates = tuple[Fate, ...]


def approve(code: str = "000") -> Fate:
    """Charged; the action code must begin with 0."""
    return Fate(f"action.{code}", approved=True, action_code=code, charges=True, settles=True)


def partial(amount: int) -> Fate:
    """Charged in part: action code 002 and the amount."""
    return replace(approve("002"), amount=amount)


def decline(code: str = "116") -> Fate:
    """The issuer's no: action code 100 to 899 with HTTP 200."""
    return Fate(f"action.{code}", approved=False, action_code=code, settles=True)


def action(code: str) -> Fate:
    """Any action code with HTTP 200, in its meaning; 900 and above settles nothing."""
    if code < "100":
        return approve(code)
    return decline(code) if code < "900" else replace(decline(code), settles=False)


def bare(http: int, *, retry_after: str | None = None) -> Fate:
    """An HTTP status without a body."""
    return Fate(f"http.{http}", http=http, content=Content.EMPTY, retry_after=retry_after)


def system(code: int, http: int = 400) -> Fate:
    """A system code; a 4XX settles it, except 303."""
    return Fate(f"system.{code}", http=http, system_code=code, settles=http < 500 and code != 303)


def in_progress() -> Fate:
    """HTTP 409 with system code 303."""
    return replace(system(303, 409), name="in_progress")


def close_before() -> Fate:
    """The connection closes; no charge."""
    return Fate("close_before", delivery=Delivery.CLOSE)


def close_after() -> Fate:
    """Charged, then the connection closes without an answer."""
    return replace(approve(), name="close_after", delivery=Delivery.CLOSE)


def never(*, charged: bool = False) -> Fate:
    """The connection stays open and silent until the client leaves."""
    if charged:
        return replace(approve(), name="never_charged", delivery=Delivery.HOLD)
    return Fate("never", delivery=Delivery.HOLD)


def slow(seconds: float = SLOW_SECONDS, then: Fate | None = None) -> Fate:
    """``then`` (approved) after some seconds; in progress until that, whether or not the client stays."""
    return replace(then or approve(), name="slow", delay_seconds=seconds)


def html() -> Fate:
    """HTTP 200 with a page, as a captive portal answers."""
    return Fate("html", content=Content.HTML)


def huge() -> Fate:
    """HTTP 200 with 10 MB."""
    return Fate("huge", content=Content.HUGE)


def garbage() -> Fate:
    """HTTP 200 with JSON that is cut off."""
    return Fate("garbage", content=Content.GARBAGE)


def redirect(location: str = "/elsewhere") -> Fate:
    """HTTP 307 to another path of this server."""
    return Fate("redirect", http=307, content=Content.EMPTY, location=location)


def contradiction() -> Fate:
    """``approved`` true with a decline's action code; nobody was charged."""
    return replace(decline(), name="contradiction", approved=True)


# --- by the amount


@dataclass(frozen=True, slots=True)
class Rule:
    """Amounts ``first`` to ``last`` get the fates that ``fates(amount)`` names; ``text`` says so to people."""

    first: int
    last: int
    text: str
    fates: Callable[[int], Fates]


def _always(*fates: Fate) -> Callable[[int], Fates]:
    return lambda _amount: fates


def _by_code(amount: int) -> Fates:
    code = f"{amount % 1000:03d}"
    return (partial(amount // 2),) if code == "002" else (action(code),)


def _by_system_code(amount: int) -> Fates:
    return (in_progress() if amount % 1000 == 303 else system(amount % 1000),)


def _by_status(amount: int) -> Fates:
    return (bare(amount % 1000),)


RULES: tuple[Rule, ...] = (
    Rule(90_000, 90_999, "HTTP 200, action code = the last three digits; 90002 approves half of it", _by_code),
    Rule(80_000, 80_999, "HTTP 400, system code = the last three digits; 80303: in progress", _by_system_code),
    Rule(70_100, 70_599, "the last three digits as HTTP status, no body", _by_status),
    Rule(60_001, 60_001, "closes without an answer, never charged", _always(close_before())),
    Rule(60_002, 60_002, "charged, closes without an answer; then answers", _always(close_after(), approve())),
    Rule(60_003, 60_003, "never answers, not charged", _always(never())),
    Rule(60_004, 60_004, "503 twice, then approved", _always(bare(503), bare(503), approve())),
    Rule(60_005, 60_005, "HTTP 200 with an HTML page", _always(html())),
    Rule(60_006, 60_006, "HTTP 200 with 10 MB", _always(huge())),
    Rule(60_007, 60_007, f"approved after {SLOW_SECONDS:g} s", _always(slow())),
    Rule(60_008, 60_008, "closes before the charge once, then approved", _always(close_before(), approve())),
    Rule(60_009, 60_009, "charged, never answers", _always(never(charged=True))),
    Rule(60_010, 60_010, "approved is true, the action code 116", _always(contradiction())),
    Rule(60_011, 60_011, "HTTP 200 with JSON cut off", _always(garbage())),
    Rule(60_012, 60_012, "911 twice, then approved", _always(action("911"), action("911"), approve())),
)
OTHERWISE = "any other amount: approved, action code 000"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a fate may depend on. ``tag``: the card data as Base64, as it came."""

    uuid: str
    serial: str
    tapped_at: Micros
    amount: int
    type: str
    initial: str | None = None  # the transaction that it follows
    carded: bool = True  # a card started it
    pan_token: str | None = None
    tag: str = field(default="", repr=False)


Choose = Callable[[Asked], Sequence[Fate]]


def by_amount(asked: Asked) -> Fates:
    """The fates that ``RULES`` names for the amount."""
    for rule in RULES:
        if rule.first <= asked.amount <= rule.last:
            return rule.fates(asked.amount)
    return (approve(),)


Key = str | int | tuple[str, Micros]


def scripted(table: Mapping[Key, Sequence[Fate]], otherwise: Choose = by_amount) -> Choose:
    """Fates by UUID, by (validator serial, tap time to the millisecond), by serial, or by amount: the first found."""

    def choose(asked: Asked) -> Sequence[Fate]:
        keys: tuple[Key, ...] = (asked.uuid, (asked.serial, asked.tapped_at), asked.serial, asked.amount)
        return next((table[key] for key in keys if table.get(key)), None) or otherwise(asked)

    return choose
