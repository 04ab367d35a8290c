"""A fate as HTTP: the simulated TPS's bodies and headers. Pure."""

from __future__ import annotations

import json
from email.utils import formatdate

from tpsd.domain.time import SECOND, Micros
from tpsd.sfey.fates import Content, Fate
from tpsd.sfey.wire import Profile, nest

HUGE_BYTES = 10_000_000  # bytes

JSON = "application/json"
NOT_FOUND = b'{"message": "not found"}'
_PAGE = b"<!DOCTYPE html><html><body><h1>Welcome to the free WLAN</h1></body></html>"
_CUT = b'{"transactionResultData": {"approved": tru'


def content(profile: Profile, fate: Fate, uuid: str | None) -> tuple[bytes | None, str | None]:
    """The body and its media type; (None, None) where the fate has none."""
    match fate.content:
        case Content.JSON:
            return encoded(answer(profile, fate, uuid)), JSON
        case Content.EMPTY:
            return None, None
        case Content.HTML:
            return _PAGE, "text/html"
        case Content.HUGE:
            return b" " * HUGE_BYTES, JSON
        case Content.GARBAGE:
            return _CUT, JSON


def headers(fate: Fate, at: Micros) -> dict[str, str]:
    """Its headers; ``Date`` runs on the simulator's own clock."""
    found = {"Date": http_date(at)}
    if fate.retry_after is not None:
        found["Retry-After"] = fate.retry_after
    if fate.location is not None:
        found["Location"] = fate.location
    return found


def answer(profile: Profile, fate: Fate, uuid: str | None) -> dict[str, object]:
    """The JSON of a result or of an error, with a field that no client knows: minor versions add some."""
    values: dict[str, object] = {
        "approved": fate.approved,
        "action_code": fate.action_code,
        "amount": fate.amount,
        "system_code": fate.system_code,
    }
    found = [(profile.results[name], value) for name, value in values.items() if value is not None]
    if fate.system_code is not None:
        found.append(("systemCodeDescription", f"SIMULATED_{fate.system_code}"))
    if uuid is not None:
        found.append((profile.fields["uuid"], uuid))
    return nest([*found, ("addedByALaterMinorVersion", {"ignore": ["me"]})])


def encoded(value: dict[str, object]) -> bytes:
    """JSON in UTF-8."""
    return json.dumps(value).encode()


def http_date(at: Micros) -> str:
    """The ``Date`` header's form (RFC 9110 5.6.7)."""
    return formatdate(at // SECOND, usegmt=True)
