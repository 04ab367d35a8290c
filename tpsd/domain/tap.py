"""A tap: what the validator said, who it was, and what it was told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum, IntEnum

from device.tlv import Tlv
from tpsd.domain.card import CardToken, MaskedPan, mask_runs
from tpsd.domain.time import Micros


class Kind(Enum):
    """What a tap can be (design 2). The values are the journal's."""

    MTT = "MTT"
    KFT = "KFT"
    RETAIL_PAYMENT = "RETAIL_PAYMENT"
    RETAIL_CHECK_IN = "RETAIL_CHECK_IN"
    RETAIL_CHECK_OUT = "RETAIL_CHECK_OUT"
    RETAIL_REFUND = "RETAIL_REFUND"


class Timing(Enum):
    """Deferred: the verdict is local. Realtime: TPS's answer is the verdict."""

    DEFERRED = "deferred"
    REALTIME = "realtime"


class Verdict(IntEnum):
    """VL1's ``DF8A21``."""

    ACCEPTED = 0x01
    DENIED = 0x02
    TRY_AGAIN = 0x03
    INSERT_CARD = 0x04
    CHECKED_IN = 0x05
    CHECKED_OUT = 0x06
    CHECK_OUT_AGAIN = 0x07
    CHECK_OUT_FAILED = 0x08
    ALREADY_TAPPED = 0x09
    OUT_OF_SERVICE = 0x0A

    @property
    def accepts(self) -> bool:
        """Whether the passenger may travel on it."""
        return self in (Verdict.ACCEPTED, Verdict.CHECKED_IN, Verdict.CHECKED_OUT)


class Disposition(Enum):
    """Why a tap got no authorisation (design 2)."""

    REJECTED = "rejected"
    DENIED = "denied"
    REPEAT = "repeat"
    STALE = "stale"


class Shown(IntEnum):
    """VL1's ``DF8A0A``: what the passenger has been shown so far."""

    NOTHING = 0
    LET_IN = 1
    TURNED_AWAY = 2


class Oda(IntEnum):
    """VL1's ``DF8A07``: the result of offline data authentication (EMV Book 2)."""

    NOT_DONE = 0
    GOOD = 1
    FAILED = 2


@dataclass(frozen=True, slots=True, order=True)
class TapId:
    """A validator's own name for a tap: unique together with the keyed digest of its payload (design 4)."""

    serial: str
    boot: int
    counter: int

    def __str__(self) -> str:
        return f"{self.serial}:{self.boot}:{self.counter}"


@dataclass(frozen=True, slots=True)
class TapReport:
    """One tap as a link delivered it, the same for every protocol.

    ``fault`` says in our own words why it could not be understood (then ``card`` is empty and other fields may
    be missing). ``fingerprint`` is the payload without what may change between repeats; ``payload`` is all of it.
    """

    serial: str
    type_name: str
    boot: int | None
    counter: int | None
    received_at: Micros  # wall clock
    fingerprint: bytes = field(repr=False)
    payload: bytes = field(repr=False)
    kind: int = 0  # VL1's DF8A03; 0 = the lane's
    tapped_at: Micros | None = None
    age_ms: int | None = None  # DF8A09, by the validator's own timer
    amount: int | None = None
    currency: str | None = None
    stop: str | None = None
    where: tuple[tuple[str, str], ...] = ()  # route, trip, vehicle, position
    oda: Oda = Oda.NOT_DONE
    token: CardToken | None = None
    shown: Shown = Shown.NOTHING
    card: tuple[Tlv, ...] = field(default=(), repr=False)
    masked_pan: MaskedPan | None = field(default=None, repr=False)  # where a reader masked it; else we do
    fault: str | None = None

    @property
    def tap_id(self) -> TapId | None:
        """The validator's name for it, None when it could not be read."""
        if self.boot is None or self.counter is None:
            return None
        return TapId(self.serial, self.boot, self.counter)

    def masked(self) -> TapReport:
        """The same with what could be a card number masked in the validator's texts, which are kept and shown."""
        if self.stop is None and not self.where:
            return self
        stop = None if self.stop is None else mask_runs(self.stop)
        return replace(self, stop=stop, where=tuple((name, mask_runs(text)) for name, text in self.where))


@dataclass(frozen=True, slots=True)
class Told:
    """A verdict with its reason (ASCII ≤ 32), as the journal keeps it; texts and lights follow from these.

    ``amount``: what was charged or is held, in minor units below 2**32 (VL1's ``DF8A26``); None where nothing was.
    """

    verdict: Verdict
    reason: str
    amount: int | None = None
