"""A tap on its way through intake, as values: what its lane allows, what is made of it, what the journal knows, and
what commit 1 writes (design 1 and 2). Nothing here decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from tpsd.core.fares import NO_ZONES, Zones
from tpsd.core.journeys import Input
from tpsd.core.keeping import CardFacts
from tpsd.core.passback import OFF, THE_REST, CardPast, PassBack
from tpsd.core.requests import TransactionRequest
from tpsd.core.taptime import CLOCK_FLOOR
from tpsd.domain.authorisation import Draft, Ladder, State
from tpsd.domain.card import CardToken, MaskedPan
from tpsd.domain.journey import Journey
from tpsd.domain.notice import NoticeDraft
from tpsd.domain.tap import Disposition, Kind, Shown, TapReport, Told
from tpsd.domain.time import HOUR, SECOND, Micros
from tpsd.emv import tapdata

KIND_BY_CODE = {
    0x01: Kind.MTT,
    0x02: Kind.KFT,
    0x03: Kind.KFT,
    0x04: Kind.RETAIL_PAYMENT,
    0x05: Kind.RETAIL_CHECK_IN,
    0x06: Kind.RETAIL_CHECK_OUT,
}
"""VL1's DF8A03; 00 means the lane's own kind, 07 check-in or check-out by the open journey."""

KIND_OF_LANE = 0x00
KIND_BY_JOURNEY = 0x07
REALTIME_CODES = frozenset({0x03, 0x04, 0x05, 0x06, KIND_BY_JOURNEY})
DEFERRED_CODES = frozenset({0x01, 0x02})
JOURNEY_KINDS = frozenset({Kind.RETAIL_CHECK_IN, Kind.RETAIL_CHECK_OUT})

VERDICT_US = 10 * SECOND
"""The default patience of a realtime lane: most banks answer within three seconds, and a queue bears ten."""

JOURNEY_US = 18 * HOUR
"""How long a journey may stay open by default: longer than a service day."""


@dataclass(frozen=True, slots=True)
class LanePolicy:
    """What a lane allows and charges. Amounts in minor units."""

    name: str
    kinds: frozenset[Kind]
    kind: Kind | None  # None: check-in or check-out, by whether a journey is open
    fare: int | None
    amount_limit: int
    zero_allowed: bool
    credential: str
    terminal_sn: str | None = None
    terminal_type: str | None = None
    pass_back: PassBack = OFF
    pass_group: str | None = None  # None: the lane alone
    untokenised_denied: bool = False
    realtime: bool = False  # TPS's answer is the verdict
    verdict_us: int = VERDICT_US  # realtime: how long a passenger waits for it, microseconds
    partial_accepted: bool = False  # whether a partial approval (action code 002) lets in
    zone: str | None = None  # where it stands, for the zone table
    closes_old_journey: bool = False  # a check-in while one is open ends the old one first; else it is refused
    stale_accepts_below: int | None = None  # minor units, under a stale deny list; 0: nobody, None: everybody


@dataclass(frozen=True, slots=True)
class Operator:
    """Who the taps belong to, as Sfey numbers them."""

    company_id: int
    stock_location_id: int
    currency: str


@dataclass(frozen=True, slots=True)
class CardKeys:
    """Keys for card data: SALT for tokens, TTK for mode 01; either may be absent.

    ``honoured``: other SALTs, before or after that one, by which lists and journeys may still know a card. ``ttks``: by
    terminal (``TYPE:SERIAL``), before the one for all.
    """

    salt: bytes | None = field(default=None, repr=False)
    ttk: tapdata.Ttk | None = None
    honoured: tuple[bytes, ...] = field(default=(), repr=False)
    ttks: Mapping[str, tapdata.Ttk] = field(default_factory=dict)

    def ttk_of(self, terminal: str) -> tapdata.Ttk | None:
        """What a terminal's clear card data is encrypted under."""
        return self.ttks.get(terminal, self.ttk)


@dataclass(frozen=True, slots=True)
class Setting:
    """Everything ``prepare`` needs that is not the tap: the configuration in force, as values."""

    operator: Operator
    keys: CardKeys
    ladder: Ladder
    production: bool
    config_digest: str
    serialise: Callable[[TransactionRequest], tuple[str, bytes]]
    digest: Callable[[bytes], bytes]
    clock_floor: Micros = CLOCK_FLOOR
    zones: Zones = NO_ZONES
    enquires: bool = False  # TPS can be asked about a transaction
    journey_us: int = JOURNEY_US  # how long a journey may stay open, microseconds
    gives_back: bool = False  # what is found charged though the passenger was turned away is given back unasked


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tap ready for its transaction. ``draft`` is None when it can never be sent."""

    report: TapReport
    lane: str
    pass_group: str
    pass_back: PassBack
    terminal: str
    digest: bytes
    tapped_at: Micros
    kind: Kind | None
    amount: int | None
    currency: str | None
    token: CardToken | None
    masked: MaskedPan | None
    local: Told
    draft: Draft | None
    card: bytes | None = field(repr=False)  # BER-TLV as it arrived, sealed beside the body for a rebuild
    ladder: Ladder
    config_digest: str
    clock_life: str | None = None  # the life whose clock stamped it before that knew the time
    operator: int = 0  # Sfey's company id
    realtime: bool = False
    journey: Journey | None = None  # the card's, as it was when the request was made
    journey_over: bool = False  # open for longer than it may, and the attendant has not been there
    closes_old_journey: bool = False
    closing: Draft | None = None  # the old journey's check-out, where a check-in ends it
    enquires: bool = False
    zone: str | None = None
    facts: CardFacts = ()
    also: tuple[CardToken, ...] = ()  # the card's names under other token keys that are honoured
    token_key: str | None = None  # the version of the key that ``token`` was made under; None: not ours
    list_is_stale: bool = False  # the deny list, which the card was looked up in
    stale_denies: bool = False  # and then the lane lets nobody in who pays as much

    @property
    def keeps_journeys(self) -> bool:
        """Whether the verdict depends on the card's journey. Nobody looks for one where the lane refuses the kind."""
        asked = self.kind in JOURNEY_KINDS and self.local.reason != "kind"
        return self.realtime and asked and self.token is not None

    @property
    def untimed(self) -> bool:
        """Whether something of it waits until the time is known."""
        return self.clock_life is not None or (self.draft is not None and self.draft.body is None)

    @property
    def asks_of_card(self) -> bool:
        """Whether the verdict depends on the card's past or a list: for some reasons it is clear without."""
        return self.token is not None and self.local.reason in THE_REST


@dataclass(frozen=True, slots=True)
class KnownTap:
    """The row a repeated tap finds."""

    number: int
    told: Told | None  # None: TPS is still being asked
    disposition: Disposition | None
    state: State | None
    attempts: int
    unseen: bool
    shown: Shown = Shown.NOTHING  # what the validator last said it has shown
    pruned: bool = False  # only its identity and verdict are kept


@dataclass(frozen=True, slots=True)
class Facts:
    """What the journal knows when a tap arrives.

    ``clash``: the same identity stands with other content. ``held_cause``: why this terminal's rows are held.
    ``card_past``: for the lane's pass-back, None where it is off. ``denied``: the card stands on a deny list.
    Of a realtime tap: ``journey`` the card's open one; ``under_way``: the card is being authorised at this moment;
    ``doubtful``: the UUID of an earlier one of the same card, lane, kind and amount that is in doubt.
    """

    known: KnownTap | None = None
    clash: bool = False
    held_cause: str | None = None
    card_past: CardPast | None = None
    denied: bool = False
    journey: Journey | None = None
    under_way: bool = False
    doubtful: str | None = None


class Effect(Enum):
    """What a repeat does to the row it repeats."""

    NONE = "none"
    CANCEL = "cancel"  # turned away before anything was sent
    UNSEEN = "unseen"  # turned away, but a request may have left
    REVIVE = "revive"  # let in meanwhile although it had been denied: it is sent after all


@dataclass(frozen=True, slots=True)
class Asking:
    """What is sent at once, its attempt written in commit 1.

    ``same_as``: the authorisation whose stored bytes go again, None for the tap's own. ``asks_first``: the one in
    doubt that is enquired about before. ``step``: the input of the card's journey, if it has a part in it.
    """

    same_as: str | None = None
    asks_first: str | None = None
    step: Input | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What commit 1 writes. ``known`` names the row this tap repeats; then only ``effect`` is applied.

    ``told`` None: TPS is asked, and what the passenger is told follows.
    """

    told: Told | None
    known: int | None = None
    effect: Effect = Effect.NONE
    disposition: Disposition | None = None
    state: State | None = None
    cause: str | None = None
    note: str | None = None
    notices: tuple[NoticeDraft, ...] = ()
    asking: Asking | None = None
