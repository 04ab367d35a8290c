"""The simulated TPS's own books: every request seen, every charge made, every rule broken.

Checkers judge tpsd by these and not by its own journal. An entry holds no card data: of path and body only a
SHA-256 stays. With a file, each entry is one JSON line, flushed at once, so that another process can read it
while this one lives and after it was killed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from tpsd.domain.time import Micros

_REFUND, _HOLD, _CHECK_OUT = "RETAIL_REFUND", "RETAIL_CHECK_IN", "RETAIL_CHECK_OUT"


@dataclass(frozen=True, slots=True)
class Request:
    """A transaction request as it arrived, ``number`` from 1 among those of its UUID; None: not to be read."""

    at: Micros
    uuid: str | None
    number: int
    digest: str
    serial: str | None = None
    tapped_at: Micros | None = None
    amount: int | None = None
    type: str | None = None


@dataclass(frozen=True, slots=True)
class Charge:
    """Money moved, by a refund the other way; by a check-in it was only held. ``amount`` in minor units.

    ``initial``: the transaction it follows; ``carded``: a card started it.
    """

    at: Micros
    uuid: str
    serial: str
    tapped_at: Micros
    amount: int
    type: str
    initial: str | None = None
    carded: bool = True


@dataclass(frozen=True, slots=True)
class Violation:
    """A request that broke the contract: ``what`` says how."""

    at: Micros
    uuid: str | None
    what: str


@dataclass(frozen=True, slots=True)
class Reply:
    """How a request ended: ``what`` is the fate's name, or ``refused.27``, ``in_progress``, ``repeated``."""

    at: Micros
    uuid: str | None
    number: int
    what: str


@dataclass(frozen=True, slots=True)
class Visit:
    """A request for anything but a transaction: a probe, an enquiry, a followed redirect."""

    at: Micros
    method: str
    path: str


Entry = Request | Charge | Violation | Reply | Visit

_ENTRIES: dict[str, Callable[..., Entry]] = {
    "request": Request,
    "charge": Charge,
    "violation": Violation,
    "reply": Reply,
    "visit": Visit,
}
_NAMES = {kind: name for name, kind in _ENTRIES.items()}


class Ledger:
    """Entries in the order they happened. ``file`` is appended to; close the ledger to close it."""

    def __init__(self, file: Path | None = None) -> None:
        self.entries: list[Entry] = []
        self._file: IO[str] | None = None if file is None else file.open("a", encoding="utf-8")

    @classmethod
    def load(cls, file: Path) -> Ledger:
        """The ledger that a simulator wrote to ``file``; a last line cut by a kill is left out."""
        ledger = cls()
        for line in file.read_bytes().split(b"\n")[:-1]:
            values = json.loads(line)
            ledger.entries.append(_ENTRIES[values.pop("event")](**values))
        return ledger

    def add(self, entry: Entry) -> None:
        """Write one entry down."""
        self.entries.append(entry)
        if self._file is not None:
            self._file.write(f"{json.dumps(_as_json(entry))}\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()

    def requests(self) -> list[Request]:
        """All transaction requests."""
        return [entry for entry in self.entries if isinstance(entry, Request)]

    def requests_of(self, serial: str, tapped_at: Micros) -> list[Request]:
        """Those of one tap; the wire carries milliseconds, so what is finer in ``tapped_at`` does not count."""
        return [
            seen
            for seen in self.requests()
            if seen.serial == serial and seen.tapped_at is not None and seen.tapped_at // 1000 == tapped_at // 1000
        ]

    def charges(self) -> list[Charge]:
        """All charges."""
        return [entry for entry in self.entries if isinstance(entry, Charge)]

    @property
    def charged_total(self) -> int:
        """Minor units charged, refunds taken off; what check-ins hold is not charged."""
        return sum(_SIGN.get(charge.type, 1) * charge.amount for charge in self.charges())

    def charged(self, uuid: str) -> int:
        """Minor units of one transaction, what was given back of it taken off; of a check-in what it still holds."""
        own = sum(charge.amount for charge in self.charges() if charge.uuid == uuid and charge.type != _REFUND)
        back = sum(charge.amount for charge in self.charges() if charge.initial == uuid and charge.type == _REFUND)
        return 0 if self.checked_out(uuid) else own - back

    def checked_out(self, check_in: str) -> list[Charge]:
        """The check-outs that ended a check-in; more than one is one too many."""
        return [charge for charge in self.charges() if charge.type == _CHECK_OUT and charge.initial == check_in]

    def duplicates(self) -> list[Charge]:
        """Charges beyond the first of their UUID, their tap (validator serial and tap time), or their check-in."""
        uuids: set[str] = set()
        taps: set[tuple[str, int]] = set()
        ended: set[str | None] = set()
        found = []
        for charge in self.charges():
            tap = (charge.serial, charge.tapped_at)
            ends = charge.initial if charge.type == _CHECK_OUT else None
            if charge.uuid in uuids or (charge.carded and tap in taps) or (ends is not None and ends in ended):
                found.append(charge)
            uuids.add(charge.uuid)
            if charge.carded:
                taps.add(tap)
            ended.add(ends)
        return found

    @property
    def violations(self) -> list[Violation]:
        """Every broken rule, among them repeats that differed from the first request."""
        return [entry for entry in self.entries if isinstance(entry, Violation)]

    def replies(self, uuid: str) -> list[str]:
        """How the requests of one UUID ended, in order."""
        return [entry.what for entry in self.entries if isinstance(entry, Reply) and entry.uuid == uuid]

    def visits(self) -> list[Visit]:
        """Requests for other paths."""
        return [entry for entry in self.entries if isinstance(entry, Visit)]

    def dump(self) -> str:
        """All of it as one JSON array."""
        return json.dumps([_as_json(entry) for entry in self.entries])


_SIGN = {_REFUND: -1, _HOLD: 0}


def _as_json(entry: Entry) -> dict[str, object]:
    return {"event": _NAMES[type(entry)], **asdict(entry)}
