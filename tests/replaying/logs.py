"""Tap logs made by hand: a day's taps of one lane, as many as wanted, each approved unless said otherwise."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from schemas.config import Configuration
from tpsd.config import effective
from tpsd.domain.time import SECOND, Micros, iso_micros, iso_millis

LIFE = "0c7f3f6e-55f4-4f6b-9df2-3a1f5b1d7a01"
MORNING = Micros(1_795_420_800_000_000)  # 2026-11-23T08:00:00Z
DIGEST = "c0ffee0123456789"


def configuration(folder: Path, **changes: Any) -> Configuration:
    """Of the machine that wrote the log."""
    given: dict[str, Any] = {
        "mode": "test",
        "operator": {"company_id": 1001, "stock_location_id": 42},
        "sfey": {"base_url": "https://tps.example"},
        "store": {"url": "sqlite:///nowhere/journal.db"},
        "keys": {"kek_file": "/nowhere/kek", "epoch_dir": "/nowhere/epochs", "token_key_file": "/nowhere/salt"},
        "retry": {"jitter": 0.0},
        "email": {"smtp_url": "smtp://mail.example", "sender": "a@b.example", "recipients": ["c@d.example"]},
        "lanes": [{"name": "front", "port": "/dev/front", "fare": 250}],
        **changes,
    }
    return Configuration.model_validate(given, context={"folder": folder})


class Log:
    """One life's lines in the order of ``say``."""

    def __init__(self, config: Configuration) -> None:
        self.lines: list[str] = []
        self._n = 0
        begin = {"why": "start", "version": "0.1.0", "config_digest": DIGEST, "config": effective(config)}
        self.say(Micros(MORNING - SECOND), "begin", **begin)

    def say(self, at: Micros, event: str, **fields: Any) -> None:
        """One line."""
        self._n += 1
        stamp = {"v": 1, "event": event, "life": LIFE, "n": self._n, "at": iso_micros(at), "wall": iso_micros(at)}
        self.lines.append(json.dumps({**stamp, "mono": float(self._n), **fields}))

    def write(self, path: Path) -> Path:
        """The file."""
        path.write_text("".join(f"{line}\n" for line in self.lines))
        return path

    def tap(self, counter: int, at: Micros, *, token: str | None = None, answer: str = "000", amount: int = 250) -> str:
        """One that was accepted and answered at once; its UUID."""
        uuid, token = uuid_of(counter), token or token_of(counter)
        self.say(at, "tap", **tap_fields(counter, at, uuid, token, amount))
        done, approved = Micros(at + 50_000), answer.startswith("0")
        self.say(done, "sent", uuid=uuid, number=1, reason="ladder", credential="common", seconds=0.05,
                 exchange={"kind": "answer", "http": 200, "approved": approved, "action_code": answer})  # fmt: skip
        state = "approved" if approved else "declined"
        self.say(Micros(done + 1000), "settled", uuid=uuid, number=1, outcome=state, outcome_cause=f"action.{answer}",
                 clean=not approved, http=200, state=state, cause=f"action.{answer}", may_have_charged=approved,
                 amount=amount)  # fmt: skip
        return uuid


def tap_fields(counter: int, at: Micros, uuid: str, token: str, amount: int = 250) -> dict[str, Any]:
    """An accepted tap at the front door."""
    tapped = Micros(at - 5000)
    fields = {
        "transactionUuid": uuid,
        "companyId": 1001,
        "stockLocationId": 42,
        "validatorData": {"serialNumber": "VAL00042", "typeName": "GATE-X1"},
        "transactionData": {
            "transactionType": "MTT",
            "transactionTime": iso_millis(tapped),
            "amount": amount,
            "currencyCodeNum": "978",
            "validationStatus": "OK",
            "panToken": token,
        },
    }
    return {
        "lane": "front", "number": counter, "new": True, "serial": "VAL00042", "type_name": "GATE-X1", "boot": 1,
        "counter": counter, "digest": token_of(-counter), "code": 1, "received_at": iso_micros(tapped),
        "tapped_at": iso_micros(tapped), "age_ms": 5, "oda": 1,
        "card": {"mode": 0, "expired": False, "token": token, "masked": "476173******0119"},
        "decided": {
            "kind": "MTT", "amount": amount, "currency": "978", "terminal": "GATE-X1:VAL00042",
            "tapped_at": iso_micros(tapped), "local": "ok", "told": {"verdict": 1, "reason": "ok", "amount": None},
            "state": "pending", "config_digest": DIGEST, "uuid": uuid,
            "request": {"path": "/device-api/v1/transaction/VAL00042/type/GATE-X1", "credential": "common",
                        "fields": fields},
        },
    }  # fmt: skip


def day(config: Configuration, taps: int, every_us: int = SECOND // 2) -> Log:
    """So many approved taps, one after another."""
    log = Log(config)
    for counter, at in enumerate(_times(taps, every_us), start=1):
        log.tap(counter, at)
    return log


def _times(taps: int, every_us: int) -> Iterator[Micros]:
    return (Micros(MORNING + number * every_us) for number in range(taps))


def uuid_of(counter: int) -> str:
    """A version 4 UUID by number."""
    return str(UUID(bytes=hashlib.sha256(f"uuid {counter}".encode()).digest()[:16], version=4))


def token_of(number: int) -> str:
    """A card token by number; it holds a letter, as all but one in 10**13 do."""
    return f"a{hashlib.sha256(f'token {number}'.encode()).hexdigest()[1:]}"
