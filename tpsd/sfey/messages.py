"""Requests to bytes and answers to values. Pure: no connection, no clock, no opinion on what an answer means.

An answer's text never leaves here (design 5): only numbers and three-digit codes do.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import quote, urlencode
from uuid import UUID

from tpsd.core.requests import TransactionRequest
from tpsd.domain.money import AMOUNT_MAX
from tpsd.domain.outcome import Answer
from tpsd.domain.preflight import TerminalSaid
from tpsd.domain.time import SECOND, Micros, iso_millis
from tpsd.sfey.wire import DEVICE_V1, Profile, nest, pick

RETRY_AFTER_MAX_SECONDS = 6 * 3600  # the ladder's longest tier: a server may move a rung, not skip a tier
SYSTEM_CODE_MAX = 99_999  # the longest printed one has three digits; anything beyond is not a code
_INTEGER_DIGITS_MAX = 19  # digits: more is no amount and no code, and int() takes quadratic time

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


# --- requests


def transaction(profile: Profile, request: TransactionRequest) -> tuple[str, bytes]:
    """The path and the body of a transaction request: made once, resent as they are (design 4)."""
    path = profile.transaction_path.format_map(
        {
            "terminalSn": _segment(request.terminal_sn),
            "terminalTypeName": _segment(request.terminal_type),
            "companyId": str(request.company_id),
            "transactionUuid": str(request.uuid),
        }
    )
    values = _values(profile, request)
    body = nest((place, values[name]) for name, place in profile.fields.items() if values[name] is not None)
    return path, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def enquiry(profile: Profile, company_id: int, uuid: UUID) -> str:
    """The path, below ``afc_base_url``, that asks what became of a transaction."""
    return profile.enquiry_path.format_map(
        {
            "companyId": str(company_id),
            "transactionUuid": str(uuid),
            "terminalSn": "",
            "terminalTypeName": "",
        }
    )


def update(
    profile: Profile, terminal_sn: str, terminal_type: str, token: str | None, records: int, kind: str = "deny_list"
) -> str:
    """The path, with its query, that asks for records of a ``kind`` after ``token``, or for all."""
    path = _of_terminal(profile.update_path, terminal_sn, terminal_type)
    words = profile.updates
    query = {words["count_query"]: str(records), words["type_query"]: words[kind]}
    if token is not None:
        query[words["token_query"]] = token
    return f"{path}?{urlencode(query, quote_via=quote, safe='')}"


def terminal(profile: Profile, terminal_sn: str, terminal_type: str) -> str:
    """The path that asks what TPS knows of a terminal."""
    return _of_terminal(profile.terminal_path, terminal_sn, terminal_type)


def registration(profile: Profile, terminal_sn: str, terminal_type: str) -> str:
    """The path where a terminal is registered."""
    return _of_terminal(profile.registration_path, terminal_sn, terminal_type)


def _of_terminal(template: str, terminal_sn: str, terminal_type: str) -> str:
    segments = {"terminalSn": _segment(terminal_sn), "terminalTypeName": _segment(terminal_type)}
    return template.format_map({**segments, "companyId": "", "transactionUuid": ""})


def _values(profile: Profile, request: TransactionRequest) -> dict[str, object]:
    ids = _IDS[profile.formats["ids"]]
    token = request.pan_token
    return {
        "uuid": str(request.uuid),
        "company_id": ids(request.company_id),
        "stock_location_id": ids(request.stock_location_id),
        "validator_serial": request.validator_serial,
        "validator_type": request.validator_type,
        "type": profile.types[request.type],
        "tapped_at": _TIMES[profile.formats["time"]](request.tapped_at),
        "amount": request.amount,
        "currency": request.currency,
        "initial_uuid": None if request.initial_uuid is None else str(request.initial_uuid),
        "validation_status": profile.statuses.get(request.validation_status, request.validation_status),
        "pan_token": None if token is None else _TOKENS[profile.formats["pan_token"]](token),
        "tag": base64.b64encode(request.tag).decode("ascii") or None,
    }


def _segment(text: str) -> str:
    """One path segment: a serial number with a slash, or ``..``, stays inside it."""
    quoted = quote(text, safe="")
    return quoted.replace(".", "%2E") if not quoted.strip(".") else quoted


def _iso_seconds(at: Micros) -> str:
    return f"{iso_millis(at)[:-5]}Z"


def _epoch_millis(at: Micros) -> int:
    return at // 1000


_TIMES: Final[Mapping[str, Callable[[Micros], object]]] = {
    "iso_millis": iso_millis,
    "iso_seconds": _iso_seconds,
    "epoch_millis": _epoch_millis,
}
_IDS: Final[Mapping[str, Callable[[int], object]]] = {"number": int, "string": str}
_TOKENS: Final[Mapping[str, Callable[[str], str]]] = {"lower": str.lower, "upper": str.upper}


# --- answers


def read_answer(http: int, headers: Mapping[str, str], body: bytes, profile: Profile = DEVICE_V1) -> Answer:
    """What an HTTP answer says, whatever it holds; never raises.

    Unknown fields are ignored (TPS's minor versions add some). A field of a wrong type counts as absent. A
    field that is there twice with two values makes the body unreadable: either could be the true one.
    """
    patience = retry_after(headers)
    root = _decode(body)
    found = {name: _look(root, place) for name, place in profile.results.items()}
    if not isinstance(root, dict) or any(value is _AMBIGUOUS for value in found.values()):
        return Answer(http, retry_after=patience, readable=False)
    return Answer(
        http,
        approved=_approved(found["approved"]),
        action_code=_action_code(found["action_code"]),
        system_code=_system_code(found["system_code"]),
        amount=_amount(found["amount"]),
        retry_after=patience,
    )


def read_terminal(http: int, headers: Mapping[str, str], body: bytes, profile: Profile = DEVICE_V1) -> TerminalSaid:
    """What TPS says of a terminal; never raises. A field of a wrong type counts as absent."""
    root = _decode(body)
    system_code = _system_code(pick(root, profile.results["system_code"]))
    company, location = (_identity(pick(root, profile.terminals[name])) for name in ("company_id", "stock_location_id"))
    return TerminalSaid(http, system_code, company, location, read_date(headers))


def read_date(headers: Mapping[str, str]) -> Micros | None:
    """The ``Date`` header (RFC 9110 6.6.1), None when missing or not a date."""
    moment = _moment(_header(headers, "date"))
    return None if moment is None else Micros(int((moment - _EPOCH).total_seconds()) * SECOND)


class _Ambiguous:
    """Stands for a field that was there twice with two values."""


_AMBIGUOUS = _Ambiguous()


def _decode(body: bytes) -> object:
    try:
        return json.loads(body.decode("utf-8-sig"), object_pairs_hook=_object, parse_int=_integer)
    except (ValueError, RecursionError):  # not UTF-8, not JSON, or nested to exhaust the stack
        return None


def _object(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        found[key] = _AMBIGUOUS if key in found and not _same(found[key], value) else value
    return found


def _same(one: object, other: object) -> bool:
    return repr(one) == repr(other)  # at any depth, True == 1 in Python and not in JSON


def _look(root: object, place: str) -> object:
    """As ``pick``, but an ambiguous object on the way makes all that is below it ambiguous."""
    for part in place.split("."):
        if not isinstance(root, dict):
            return root if root is _AMBIGUOUS else None
        root = root.get(part)
    return root


def _integer(digits: str) -> int | None:
    return int(digits) if len(digits) <= _INTEGER_DIGITS_MAX else None


def _approved(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _action_code(value: object) -> str | None:
    if isinstance(value, str):
        return value if len(value) == 3 and value.isascii() and value.isdigit() else None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 999:
        return f"{value:03d}"
    return None


def _system_code(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = _integer(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= SYSTEM_CODE_MAX:
        return value
    return None


def _identity(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = _integer(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _amount(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= AMOUNT_MAX:
        return value
    return None


def retry_after(headers: Mapping[str, str]) -> int | None:
    """Seconds (RFC 9110 10.2.3). A date counts from the answer's own ``Date``: our clock may be years off."""
    text = _header(headers, "retry-after").strip()
    if text.isascii() and text.isdigit():
        seconds = _integer(text)
        return RETRY_AFTER_MAX_SECONDS if seconds is None else min(seconds, RETRY_AFTER_MAX_SECONDS)
    until, now = _moment(text), _moment(_header(headers, "date"))
    if until is None or now is None:
        return None
    return min(max(int((until - now).total_seconds()), 0), RETRY_AFTER_MAX_SECONDS)


def _header(headers: Mapping[str, str], name: str) -> str:
    return next((value for key, value in headers.items() if key.lower() == name), "")


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):  # the standard parser raises each of them
        return None
