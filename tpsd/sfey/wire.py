"""The wire profile: the one module that holds what tpsd assumes of Sfey's wire.

Paths, field names and their order, enumeration strings and formats, each with its standing: printed by Sfey,
inferred from what Sfey prints, or assumed by us because Sfey's page is not public. Whoever holds Sfey's own
documents corrects any of them in the configuration (``override``), without a change of code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from string import Formatter
from types import MappingProxyType
from typing import Any

from tpsd.errors import ConfigError


class Standing(Enum):
    """How well a part of the profile is known."""

    PRINTED = "printed by Sfey"
    INFERRED = "inferred"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True)
class Profile:
    """Everything about the wire that configuration may correct.

    Paths are templates over ``{terminalSn}``, ``{terminalTypeName}``, ``{companyId}``, ``{transactionUuid}``.
    ``fields`` maps a part of the request (``TransactionRequest``'s names) to its dotted place in the JSON
    body; the mapping's order is the order of the keys. ``types`` and ``statuses`` map our words to Sfey's,
    ``results`` the parts of an answer to their places, ``formats`` a kind of value to one of ``FORMATS``.
    ``updates``: the update feed's query, the places in its answer and in a record, and its words. ``terminals``: the
    places in the answer about a terminal. ``keys``: the places in a device key. ``registrations``: the places in a
    registration and its answer.
    """

    name: str
    transaction_path: str
    enquiry_path: str
    probe_path: str
    update_path: str
    terminal_path: str
    registration_path: str
    fields: Mapping[str, str]
    types: Mapping[str, str]
    statuses: Mapping[str, str]
    results: Mapping[str, str]
    formats: Mapping[str, str]
    updates: Mapping[str, str]
    terminals: Mapping[str, str]
    keys: Mapping[str, str]
    registrations: Mapping[str, str]


FORMATS: Mapping[str, tuple[str, ...]] = {
    "time": ("iso_millis", "iso_seconds", "epoch_millis"),
    "ids": ("number", "string"),
    "pan_token": ("lower", "upper"),
}

DEVICE_V1 = Profile(
    name="device-v1",
    transaction_path="/device-api/v1/transaction/{terminalSn}/type/{terminalTypeName}",
    enquiry_path="/company/{companyId}/transaction/{transactionUuid}",
    probe_path="/device-api/v1/health",
    update_path="/device-api/v1/update/{terminalSn}/type/{terminalTypeName}",
    terminal_path="/device-api/v1/terminal/{terminalSn}/type/{terminalTypeName}",
    registration_path="/device-api/v1/registration/{terminalSn}/type/{terminalTypeName}",
    fields=MappingProxyType(
        {
            "uuid": "transactionUuid",
            "company_id": "companyId",
            "stock_location_id": "stockLocationId",
            "validator_serial": "validatorData.serialNumber",
            "validator_type": "validatorData.typeName",
            "type": "transactionData.transactionType",
            "tapped_at": "transactionData.transactionTime",
            "amount": "transactionData.amount",
            "currency": "transactionData.currencyCodeNum",
            "initial_uuid": "transactionData.initialTransactionUuid",
            "validation_status": "transactionData.validationStatus",
            "pan_token": "transactionData.panToken",
            "tag": "transactionData.tag",
        }
    ),
    types=MappingProxyType(
        {
            "MTT": "MTT",
            "KFT": "KFT",
            "RETAIL_PAYMENT": "RETAIL_PAYMENT",
            "RETAIL_CHECK_IN": "RETAIL_CHECK_IN",
            "RETAIL_CHECK_OUT": "RETAIL_CHECK_OUT",
            "RETAIL_REFUND": "RETAIL_REFUND",
        }
    ),
    statuses=MappingProxyType({"OK": "OK"}),
    results=MappingProxyType(
        {
            "approved": "transactionResultData.approved",
            "action_code": "transactionResultData.actionCode",
            "amount": "transactionResultData.amount",
            "system_code": "systemCode",
        }
    ),
    formats=MappingProxyType({"time": "iso_millis", "ids": "number", "pan_token": "lower"}),
    updates=MappingProxyType(
        {
            "count_query": "recordCount",
            "type_query": "recordType",
            "token_query": "resumptionToken",
            "records": "records",
            "token": "resumptionToken",
            "complete": "updateComplete",
            "type": "recordType",
            "action": "action",
            "card": "cpanToken",
            "deny_list": "DENY_LIST",
            "device_key": "DEVICE_KEY",
            "stop_list": "STOP_LIST",
            "emv_parameter": "EMV_PARAMETER",
            "insert": "INSERT",
            "update": "UPDATE",
            "delete": "DELETE",
            "flush": "FLUSH",
        }
    ),
    terminals=MappingProxyType({"company_id": "companyId", "stock_location_id": "stockLocationId"}),
    keys=MappingProxyType(
        {
            "type": "keyTypeName",
            "format": "keyDataFormat",
            "algorithm": "algorithm",
            "data": "keyData",
            "index": "keyIndex",
            "id": "keyId",
        }
    ),
    registrations=MappingProxyType(
        {
            "request": "csr",
            "key_chain": "dkekCert",
            "signer_chain": "dkskCert",
            "company_id": "companyId",
            "terminal_id": "terminalId",
            "timezone": "timezone",
            "currency": "currencyCodeNum",
            "keys": "deviceKeys",
        }
    ),
)

PROFILES: Mapping[str, Profile] = {DEVICE_V1.name: DEVICE_V1}

_PRINTED, _INFERRED, _ASSUMED = Standing.PRINTED, Standing.INFERRED, Standing.ASSUMED

_KNOWN: Mapping[str, tuple[Standing, str]] = {
    "transaction_path": (_ASSUMED, "where a transaction is posted, below base_url"),
    "enquiry_path": (_INFERRED, "where a transaction is asked for, below afc_base_url, by GET"),
    "probe_path": (_ASSUMED, "a GET without effect, below base_url; any HTTP answer will do"),
    "update_path": (_PRINTED, "where a terminal asks for updates, below the feed's base URL; by GET is assumed"),
    "terminal_path": (_ASSUMED, "where TPS is asked about a terminal before its lane opens, below base_url, by GET"),
    "registration_path": (_ASSUMED, "where a terminal is registered, below base_url, by POST"),
    "field_order": (_ASSUMED, "the order of the body's keys"),
    "field.uuid": (_PRINTED, "the transaction's UUID; its place at the top of the body is assumed"),
    "field.company_id": (_ASSUMED, "the organisation"),
    "field.stock_location_id": (_ASSUMED, "the stock location, which must be the terminal's"),
    "field.validator_serial": (_ASSUMED, "the validator's serial number"),
    "field.validator_type": (_ASSUMED, "the name of the validator's type"),
    "field.type": (_PRINTED, "the transaction's type"),
    "field.tapped_at": (_ASSUMED, "when the card was tapped"),
    "field.amount": (_ASSUMED, "the amount, an integer in minor units"),
    "field.currency": (_ASSUMED, "the currency, three digits as text (its name is registration's)"),
    "field.initial_uuid": (_PRINTED, "the check-in of a check-out, the payment of a refund"),
    "field.validation_status": (_ASSUMED, "the validation status"),
    "field.pan_token": (_ASSUMED, "the card token; left out when nobody computed one"),
    "field.tag": (_PRINTED, "the tap data: BER-TLV in Base64"),
    "type.MTT": (_ASSUMED, "mass transit transaction"),
    "type.KFT": (_ASSUMED, "known fare transaction"),
    "type.RETAIL_PAYMENT": (_PRINTED, "retail payment"),
    "type.RETAIL_CHECK_IN": (_PRINTED, "retail check-in"),
    "type.RETAIL_CHECK_OUT": (_PRINTED, "retail check-out"),
    "type.RETAIL_REFUND": (_PRINTED, "retail refund"),
    "status.OK": (_PRINTED, "the validation status of a tap that was found good"),
    "result.approved": (_PRINTED, "whether the transaction was approved"),
    "result.action_code": (_PRINTED, "the acquirer's action code, three characters"),
    "result.amount": (_ASSUMED, "the amount of a partial approval (action code 002)"),
    "result.system_code": (_PRINTED, "Sfey's own code of an error"),
    "format.time": (_ASSUMED, f"how times are written: {', '.join(FORMATS['time'])}"),
    "format.ids": (_ASSUMED, f"organisation and stock location as JSON {' or '.join(FORMATS['ids'])}"),
    "format.pan_token": (_ASSUMED, f"the card token's hex digits, {' or '.join(FORMATS['pan_token'])} case"),
    "update.count_query": (_PRINTED, "the query parameter for how many records a page may hold"),
    "update.type_query": (_PRINTED, "the query parameter for the type of records that is asked for"),
    "update.token_query": (_ASSUMED, "the query parameter for the token of the page before"),
    "update.records": (_ASSUMED, "where an update's records are: a list"),
    "update.token": (_PRINTED, "the token to resume from; its place at the top is assumed"),
    "update.complete": (_PRINTED, "whether TPS has no more; its place at the top is assumed"),
    "update.type": (_ASSUMED, "a record's type"),
    "update.action": (_ASSUMED, "what a record does"),
    "update.card": (_PRINTED, "the card token of a record of the deny list; its place in the record is assumed"),
    "update.deny_list": (_ASSUMED, "the type of records of the deny list"),
    "update.device_key": (_ASSUMED, "the type of records of device keys; a key's fields beside it is assumed too"),
    "update.stop_list": (_ASSUMED, "the type of records of the permanent stop list"),
    "update.emv_parameter": (_ASSUMED, "the type of records of EMV parameters"),
    "update.insert": (_PRINTED, "the action that enters a card"),
    "update.update": (_ASSUMED, "the action that changes an entry; the card stays listed"),
    "update.delete": (_ASSUMED, "the action that strikes a card"),
    "update.flush": (_PRINTED, "the action that begins a list anew"),
    "key.type": (_PRINTED, "a device key's type"),
    "key.format": (_PRINTED, "the format of a device key's data"),
    "key.algorithm": (_PRINTED, "what a device key is for"),
    "key.data": (_PRINTED, "a device key's data"),
    "key.index": (_PRINTED, "a device key's index; in format AES the IV"),
    "key.id": (_ASSUMED, "by what id TPS knows a TTK, BCD digits; absent: its index where that is such digits"),
    "registration.request": (_ASSUMED, "the request for certificates: Base64 of its DER"),
    "registration.key_chain": (_ASSUMED, "DKEK-CERT and what signed it: a list of Base64 DER; absent until activation"),
    "registration.signer_chain": (_ASSUMED, "DKSK-CERT and what signed it: a list of Base64 DER"),
    "registration.company_id": (_PRINTED, "the organisation a terminal was registered for; its place is assumed"),
    "registration.terminal_id": (_PRINTED, "Sfey's number of the terminal; its place is assumed"),
    "registration.timezone": (_PRINTED, "the terminal's time zone; its place is assumed"),
    "registration.currency": (_PRINTED, "the terminal's currency; its place is assumed"),
    "terminal.company_id": (_ASSUMED, "the organisation a terminal belongs to, in the answer about it"),
    "terminal.stock_location_id": (_ASSUMED, "the stock location a terminal is at, in the answer about it"),
}

_GROUPS = {
    "field": "fields",
    "type": "types",
    "status": "statuses",
    "result": "results",
    "format": "formats",
    "update": "updates",
    "terminal": "terminals",
    "key": "keys",
    "registration": "registrations",
}
_PATHS = ("transaction_path", "enquiry_path", "probe_path", "update_path", "terminal_path", "registration_path")
_PLACEHOLDERS = frozenset({"terminalSn", "terminalTypeName", "companyId", "transactionUuid"})
_PATH_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/%{}")


def override(profile: Profile, changes: Mapping[str, str]) -> Profile:
    """The profile with settings replaced, by their names as ``assumptions`` lists them.

    ``field_order`` is a comma-separated list of all fields. Raises ConfigError for an unknown name or a value
    that cannot be used, saying which ones can.
    """
    for name, value in changes.items():
        if name not in _KNOWN:
            raise ConfigError(f"wire profile: unknown setting {name!r}; known are {', '.join(_KNOWN)}")
        profile = _changed(profile, name, value)
    _check_places(profile)
    _check_actions(profile)
    return profile


def setting(profile: Profile, name: str) -> str:
    """The value of one setting by its name (``field.tag``). Raises KeyError for an unknown one."""
    if name == "field_order":
        return ",".join(profile.fields)
    group, dot, key = name.partition(".")
    return str(getattr(profile, _GROUPS[group])[key] if dot else getattr(profile, name))


def assumptions(profile: Profile = DEVICE_V1) -> list[tuple[str, str, str]]:
    """(name, value, what it is) of everything in the profile that Sfey has not printed."""
    return [
        (name, setting(profile, name), f"{standing.value}: {what}")
        for name, (standing, what) in _KNOWN.items()
        if standing is not Standing.PRINTED
    ]


def standing(name: str) -> Standing:
    """How well a setting is known. Raises KeyError for an unknown one."""
    return _KNOWN[name][0]


def nest(places: Iterable[tuple[str, object]]) -> dict[str, object]:
    """A JSON object with each value at its dotted place, in the order given."""
    root: dict[str, object] = {}
    for place, value in places:
        *parents, last = place.split(".")
        node = root
        for parent in parents:
            child = node.setdefault(parent, {})
            assert isinstance(child, dict)  # _check_places refused a place below a value
            node = child
        node[last] = value
    return root


def pick(root: object, place: str) -> object:
    """What stands at a dotted place of a decoded JSON value; None where there is nothing."""
    for part in place.split("."):
        if not isinstance(root, dict):
            return None
        root = root.get(part)
    return root


def _changed(profile: Profile, name: str, value: object) -> Profile:
    if not isinstance(value, str) or not value:
        raise ConfigError(f"wire profile: {name} must be a text that is not empty")
    if name in _PATHS:
        return _replaced(profile, name, _checked_path(name, value))
    if name == "field_order":
        return replace(profile, fields=_reordered(profile.fields, value))
    group, _, key = name.partition(".")
    if group == "format" and value not in FORMATS[key]:
        raise ConfigError(f"wire profile: {name} = {value!r} is not one of {', '.join(FORMATS[key])}")
    old = getattr(profile, _GROUPS[group])
    return _replaced(profile, _GROUPS[group], MappingProxyType({**old, key: value}))


def _replaced(profile: Profile, attribute: str, value: object) -> Profile:
    changes: dict[str, Any] = {attribute: value}
    return replace(profile, **changes)


def _checked_path(name: str, value: str) -> str:
    try:
        parts = list(Formatter().parse(value))
    except ValueError as exc:
        raise ConfigError(f"wire profile: {name} = {value!r}: {exc}") from exc
    if any(
        part is not None and (part not in _PLACEHOLDERS or spec or conversion) for _, part, spec, conversion in parts
    ):
        known = ", ".join(sorted(_PLACEHOLDERS))
        raise ConfigError(f"wire profile: {name} = {value!r}: placeholders are {known}")
    if not value.startswith("/") or not _PATH_CHARACTERS.issuperset(value):
        raise ConfigError(f"wire profile: {name} = {value!r} must be a path: it starts with / and has no query")
    return value


def _reordered(fields: Mapping[str, str], value: str) -> Mapping[str, str]:
    names = [name.strip() for name in value.split(",")]
    if sorted(names) != sorted(fields):
        raise ConfigError(f"wire profile: field_order must name each once of {', '.join(fields)}")
    return MappingProxyType({name: fields[name] for name in names})


def _check_places(profile: Profile) -> None:
    places = list(profile.fields.values())
    for place in places:
        if not all(place.split(".")):
            raise ConfigError(f"wire profile: {place!r} is not a dotted place in a JSON object")
        if places.count(place) > 1 or any(other.startswith(f"{place}.") for other in places):
            raise ConfigError(f"wire profile: two fields of the request share the place {place!r}")


def _check_actions(profile: Profile) -> None:
    words = [profile.updates[action] for action in ("insert", "update", "delete", "flush")]
    if len(set(words)) < len(words):
        raise ConfigError(f"wire profile: the actions of an update must differ, and are {', '.join(words)}")
