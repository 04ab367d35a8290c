"""The update feed's line: one terminal asks TPS for deny-list records, and what it says becomes a value (sfey.md 6)."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tpsd.core.feed import PAGE_RECORDS
from tpsd.domain.audit import may_hold_card_number
from tpsd.domain.denial import read_token
from tpsd.domain.device_key import DeviceKey
from tpsd.domain.feed import (
    Action,
    BadPage,
    Denial,
    Foreign,
    Heard,
    NoPage,
    Page,
    Parameters,
    RawHeard,
    RawPage,
    RawRecord,
    Record,
)
from tpsd.domain.outcome import Answer, CredentialRefused, Exchange, NoAnswer, NoConnection
from tpsd.emv.showing import could_be_pan
from tpsd.sfey.client import Raw, TpsClient
from tpsd.sfey.device_keys import read_key_page
from tpsd.sfey.messages import retry_after, update
from tpsd.sfey.wire import DEVICE_V1, Profile, pick

PAGE_BYTES_MAX = 1_048_576  # bytes: 1,000 records of 130 bytes, and eight times that for fields to come
TOKEN_CHARACTERS_MAX = 512  # a resumption token: a position, signed perhaps; it must fit into a URL
TYPE_CHARACTERS_MAX = 64  # of a record's type that is kept
PARAMETER_CHARACTERS_MAX = 8192  # of a record that is kept as it comes: a key of RSA-1984 has 500 in hex
RAW_CHARACTERS_MAX = 2048  # of a record of an unknown type that is kept: longer is only counted

_TRY_AGAIN: Final = frozenset({408, 425, 429})  # sfey.md 4, rule 10


@dataclass(frozen=True, slots=True)
class Terminal:
    """Who asks: Sfey's serial number and type name, and the credential it speaks under."""

    serial: str
    type_name: str
    credential: str


class UpdateClient:
    """The arguments are those of ``TpsClient``. To be closed by ``close()``."""

    def __init__(
        self,
        base_url: str,
        contexts: dict[str, ssl.SSLContext | None],
        *,
        monotonic: Callable[[], float],
        timeout_seconds: float = 10.0,
        profile: Profile = DEVICE_V1,
        dated: Callable[[], bool] = lambda: True,
    ) -> None:
        self._profile = profile
        self._line = TpsClient(
            base_url,
            contexts,
            monotonic=monotonic,
            timeout_seconds=timeout_seconds,
            concurrency=1,
            profile=profile,
            dated=dated,
        )

    async def ask(self, terminal: Terminal, token: str | None) -> Heard:
        """One page after ``token``, or the first; never raises for what TPS or the network does."""
        path = update(self._profile, terminal.serial, terminal.type_name, token, PAGE_RECORDS)
        came = await self._line.fetch(terminal.credential, path, PAGE_BYTES_MAX)
        return await asyncio.to_thread(heard_of, came, self._profile)  # some ms: passengers wait on the loop

    async def ask_raw(self, terminal: Terminal, kind: Parameters, token: str | None) -> RawHeard:
        """One page of records that are kept as they come; never raises for what TPS or the network does."""
        path = update(self._profile, terminal.serial, terminal.type_name, token, PAGE_RECORDS, kind.value)
        came = await self._line.fetch(terminal.credential, path, PAGE_BYTES_MAX)
        if isinstance(came, Raw) and 200 <= came.http < 300 and came.body is not None:
            return await asyncio.to_thread(read_raw_page, came.body, kind, self._profile)
        heard = heard_of(came, self._profile)
        return BadPage("page.json") if isinstance(heard, Page) else heard

    async def renew(self, name: str, context: ssl.SSLContext | None) -> None:
        """As ``TpsClient.renew``."""
        await self._line.renew(name, context)

    async def ask_keys(self, terminal: Terminal) -> list[DeviceKey] | str:
        """All device keys of a terminal; or why there are none, in a word. Never raises for TPS or the network."""
        path = update(self._profile, terminal.serial, terminal.type_name, None, PAGE_RECORDS, "device_key")
        came = await self._line.fetch(terminal.credential, path, PAGE_BYTES_MAX)
        if not isinstance(came, Raw):
            return came.cause if not isinstance(came, Answer) else "protocol"
        if not 200 <= came.http < 300:
            return f"http.{came.http}"
        name = f"{terminal.type_name}:{terminal.serial}"
        return "page.size" if came.body is None else read_key_page(came.body, name, self._profile)

    async def close(self) -> None:
        """Close every connection."""
        await self._line.close()


def heard_of(came: Raw | Exchange, profile: Profile = DEVICE_V1) -> Heard:
    """What an exchange about updates comes to; never raises."""
    match came:
        case Raw():
            return _heard(came, profile)
        case CredentialRefused(cause):
            return Denial(cause)
        case NoConnection(cause) | NoAnswer(cause):
            return NoPage(cause)
        case Answer(http):
            return NoPage(f"http.{http}")


def _heard(raw: Raw, profile: Profile) -> Heard:
    if 200 <= raw.http < 300:
        return BadPage("page.size") if raw.body is None else read_page(raw.body, profile)
    if raw.http >= 500 or raw.http in _TRY_AGAIN:
        return NoPage(f"http.{raw.http}", retry_after(raw.headers))
    return Denial(f"http.{raw.http}")


def read_page(body: bytes, profile: Profile = DEVICE_V1) -> Page | BadPage:
    """What an update says; never raises.

    Unknown fields are ignored. One record of the deny list that cannot be read makes the page bad: which card it
    meant is not known. ``updateComplete`` absent: fewer records than asked are the last (inferred).
    """
    frame = _frame(body, profile)
    if isinstance(frame, BadPage):
        return frame
    found, complete, token = frame
    records: list[Record] = []
    foreign: list[Foreign] = []
    reading = _Reading(profile)
    for one in found:
        read = reading.record(one)
        if isinstance(read, Record):
            records.append(read)
        elif isinstance(read, Foreign):
            foreign.append(read)
        else:
            return BadPage(read)
    return Page(tuple(records), complete, token, tuple(foreign))


def _frame(body: bytes, profile: Profile) -> tuple[list[object], bool, str | None] | BadPage:
    """The records as they stand, whether there are no more, and the token."""
    words = profile.updates
    try:
        root = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):  # not UTF-8, not JSON, digits without end, or nested to exhaust the stack
        return BadPage("page.json")
    found = pick(root, words["records"])
    if not isinstance(root, dict) or not isinstance(found, list):
        return BadPage("page.json")
    complete, token = pick(root, words["complete"]), pick(root, words["token"])
    if complete is None:
        complete = len(found) < PAGE_RECORDS
    if not isinstance(complete, bool):
        return BadPage("page.complete")
    if token is not None and not (isinstance(token, str) and _is_good(token)):
        return BadPage("token.malformed")
    return found, complete, token


def read_raw_page(body: bytes, kind: Parameters, profile: Profile = DEVICE_V1) -> RawPage | BadPage:
    """What an update of a type says whose records are kept as they come; never raises."""
    frame = _frame(body, profile)
    if isinstance(frame, BadPage):
        return frame
    found, complete, token = frame
    records = []
    for one in found:
        raw = _raw_record(one, kind, profile)
        if isinstance(raw, str):
            return BadPage(raw)
        records.append(raw)
    return RawPage(tuple(records), complete, token)


def _raw_record(one: object, kind: Parameters, profile: Profile) -> RawRecord | str:
    words = profile.updates
    named = pick(one, words["action"])
    action = next((action for action in Action if words[action.value] == named), None)
    if pick(one, words["type"]) != words[kind.value]:
        return "record.type"
    if action is None:
        return "record.action"
    raw = json.dumps(one, separators=(",", ":"))
    if len(raw) > PARAMETER_CHARACTERS_MAX:
        return "record.size"
    card = pick(one, words["card"])
    token = card if isinstance(card, str) and isinstance(read_token(card), bytes) else ""
    return RawRecord(action, None if could_be_pan(raw.replace(token, "") if token else raw) else raw)


def _is_good(token: str) -> bool:
    return 0 < len(token) <= TOKEN_CHARACTERS_MAX and token.isascii() and token.isprintable()


class _Reading:
    """How a record is read; made once a page, since a page holds a thousand."""

    def __init__(self, profile: Profile) -> None:
        words = profile.updates
        self._type, self._action, self._card = (words[name].split(".") for name in ("type", "action", "card"))
        self._deny_list = words["deny_list"]
        self._actions = {words[action.value]: action for action in Action}

    def record(self, one: object) -> Record | Foreign | str:
        """A record; or, in a word, why it is none."""
        kind = _at(one, self._type)
        if not isinstance(kind, str):
            return "record.type"
        if kind != self._deny_list:
            return _foreign(kind, one)
        named = _at(one, self._action)
        action = self._actions.get(named) if isinstance(named, str) else None
        if action is None:
            return "record.action"
        if action is Action.FLUSH:
            return Record(action)
        card = _at(one, self._card)
        token = read_token(card) if isinstance(card, str) else None
        return Record(action, token) if isinstance(token, bytes) else "record.card"


def _at(one: object, place: list[str]) -> object:
    for part in place:
        if not isinstance(one, dict):
            return None
        one = one.get(part)
    return one


def _foreign(kind: str, one: object) -> Foreign:
    raw = json.dumps(one, separators=(",", ":"))
    secret = "key" in raw.lower() or may_hold_card_number(raw)
    name = kind[:TYPE_CHARACTERS_MAX]
    return Foreign(
        "?" if may_hold_card_number(name) else name, None if secret or len(raw) > RAW_CHARACTERS_MAX else raw
    )
