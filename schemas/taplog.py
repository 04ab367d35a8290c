"""The tap log's lines, version 1: what came in and went out, without card data. JSON Schema in taplog.schema.json.

Times are ISO 8601 in UTC with microseconds, as texts, so that no number looks like a card's. A later version may add
fields and events: a reader passes over what it does not know. Amounts are minor units.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

VERSION = 1

Instant = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")]
"""``2026-11-23T08:15:30.123456Z``."""

Token = Annotated[str, Field(pattern=r"^[0-9a-f]{2,128}$")]
"""A card token or a keyed digest, hex."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class Line(_Part):
    """What every line has. ``at`` is the schedule clock, a tap's row's time; ``mono`` seconds of the monotonic one.

    ``n`` counts the lines of one process life, in the order in which things happened; ``life`` names it.
    """

    v: Literal[1]
    life: str
    n: int = Field(ge=1)
    at: Instant
    wall: Instant
    mono: float


class Begin(Line):
    """The head of each file, and again where the configuration changed: what the following lines happened under.

    ``why``: ``start`` of a process life, ``file`` continued from another, ``reload``.
    """

    event: Literal["begin"]
    why: Literal["start", "file", "reload"]
    version: str
    config_digest: str
    config: dict[str, Any]


class Card(_Part):
    """What of a card decided. ``mode``: the tap data's; None with ``fault``, the reason it could not be used.

    ``expired`` None: the card's date could not be read, or was not judged. ``token`` is keyed, ``masked`` shows six
    and four digits.
    """

    mode: int | None = Field(default=None, ge=0, le=255)
    fault: str | None = None
    expired: bool | None = None
    token: Token | None = None
    masked: str | None = None


class Told(_Part):
    """A verdict as the validator got it, by its VL1 number, with its reason."""

    verdict: int
    reason: str
    amount: int | None = None


class Request(_Part):
    """What TPS is sent for it; ``fields`` is the body without the tap data."""

    path: str
    credential: str
    fields: dict[str, Any]


class Decided(_Part):
    """The verdict with its inputs. ``local``: the local checks' reason; ``listed``: a deny list holds the card.

    ``list_is_stale``: TPS's list was too old, and the lane goes by that. ``told`` None: TPS is asked.
    ``list_version``: the deny list's. ``uuid``: the authorisation's, where there is one.
    """

    kind: str | None = None
    amount: int | None = None
    currency: str | None = None
    terminal: str
    tapped_at: Instant
    local: str
    told: Told | None = None
    disposition: str | None = None
    state: str | None = None
    cause: str | None = None
    note: str | None = None
    listed: bool = False
    list_is_stale: bool = False
    list_version: int | None = None
    config_digest: str
    uuid: str | None = None
    request: Request | None = None


class Tap(Line):
    """A tap as it came and what was decided. ``number`` is the journal's; ``new`` False: a repeat of that one.

    ``digest`` names the payload under the journal's key. ``code`` is VL1's DF8A03; ``oda`` and ``shown`` as there.
    ``timed`` False: the clock was not known when it was stamped. ``decided`` None: it could not be decided.
    """

    event: Literal["tap"]
    lane: str
    number: int
    new: bool
    serial: str
    type_name: str
    boot: int | None = None
    counter: int | None = None
    digest: Token
    code: int
    received_at: Instant
    tapped_at: Instant | None = None
    age_ms: int | None = None
    amount: int | None = None
    currency: str | None = None
    stop: str | None = None
    where: tuple[tuple[str, str], ...] = ()
    oda: int = 0
    shown: int = 0
    fault: str | None = None
    can_take_pin: bool = False
    timed: bool = True
    card: Card
    decided: Decided | None = None


class Exchanged(_Part):
    """What was seen on the wire. ``answer`` has the numbers of an answer, never its text; the others a cause."""

    kind: Literal["answer", "no_connection", "credential_refused", "no_answer"]
    cause: str | None = None
    http: int | None = None
    approved: bool | None = None
    action_code: str | None = None
    system_code: int | None = None
    amount: int | None = None
    retry_after: int | None = None
    readable: bool = True


class Sent(Line):
    """One exchange about a transaction ended. ``reason``: ladder, canary, tap, hand; ``seconds`` it took.

    ``request`` is there where it holds no card data: a check-out, refund or release that follows another transaction.
    """

    event: Literal["sent"]
    uuid: str
    number: int
    reason: str
    credential: str
    seconds: float
    exchange: Exchanged
    request: Request | None = None


class Settled(Line):
    """What an attempt came to. ``due``: when it is sent again; ``jitter``: the draw that delays it, 0 to 1.

    ``counted`` False: it used no rung. ``told``: a realtime tap's verdict, ``tap`` its number.
    """

    event: Literal["settled"]
    uuid: str
    number: int
    outcome: str
    outcome_cause: str
    clean: bool
    http: int | None = None
    state: str
    cause: str | None = None
    due: Instant | None = None
    wait_seconds: float | None = None
    jitter: float | None = None
    counted: bool = True
    may_have_charged: bool = False
    amount: int | None = None
    approved_amount: int | None = None
    told: Told | None = None
    tap: int | None = None


class Enquired(Line):
    """TPS was asked what became of a transaction."""

    event: Literal["enquired"]
    uuid: str
    seconds: float
    exchange: Exchanged


class Probed(Line):
    """A host of TPS that could not be reached was tried again."""

    event: Literal["probed"]
    host: str
    exchange: Exchanged


class Mailed(Line):
    """The mail server took a mail. Its text is not kept here."""

    event: Literal["mailed"]
    message_id: str
    subject: str
    created_at: Instant


class Link(Line):
    """A lane's link changed."""

    event: Literal["link"]
    lane: str
    state: str
    reason: str = ""
    serial: str | None = None


class Ordered(Line):
    """Something was done by hand.

    ``subject``: a check-out's check-in, the tap that is given back, the lane that is closed or opened; of the other
    orders the UUID of a transaction, or with ``states`` the cause of all that rest in one of those ``since`` then.
    """

    event: Literal["ordered"]
    order: Literal[
        "checkout",
        "refund",
        "release",
        "resend",
        "rebuild",
        "close",
        "charged",
        "not_charged",
        "close_lane",
        "open_lane",
    ]
    subject: str
    who: str
    amount: int | None = None
    currency: str | None = None
    release: bool = False
    again: bool = False
    since: Instant | None = None
    states: tuple[str, ...] = ()


class Freed(Line):
    """What rested is sent again, by order or since a canary was judged. ``draw``: where in the spread, 0 to 1.

    ``new``: the transaction in its place, whose request was made anew.
    """

    event: Literal["freed"]
    uuid: str
    draw: float
    new: str | None = None


class Attended(Line):
    """Journeys that nobody ended were ended, by what was done."""

    event: Literal["attended"]
    done: dict[str, int]


class End(Line):
    """The process ended in order. ``lost``: lines of this life that could not be written."""

    event: Literal["end"]
    lost: int


AnyLine = Annotated[
    Begin | Tap | Sent | Settled | Enquired | Probed | Mailed | Link | Ordered | Freed | Attended | End,
    Field(discriminator="event"),
]

LINE: TypeAdapter[AnyLine] = TypeAdapter(AnyLine)
