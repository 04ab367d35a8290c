"""Both code tables of TPS's answers as data (seed ``sfey-error-handling.txt``, sections 2 and 3; sfey.md 4).

The codes, the system codes' names and the *do not retry* marks are Sfey's; the words are ours, and so is the
class of each system code [inferred]. What a class does to a tap is decided in ``outcomes``, not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

IN_PROGRESS = 303  # the one system code that decides whatever the HTTP status is (sfey.md 4, rule 4)


class ActionClass(Enum):
    """What the first digit of an action code says (Sfey: 0 is success, below 900 a client error)."""

    APPROVED = "approved"
    DECLINED = "declined"
    AGAIN = "again"


class SystemClass(Enum):
    """Whom a system code blames: this tap, the terminal's set-up, or a passing trouble."""

    TAP = "tap"
    TERMINAL = "terminal"
    AGAIN = "again"


@dataclass(frozen=True, slots=True)
class Reading:
    """One meaning of an action code. ``de48_84``: the value that selects it, None for an only one."""

    meaning: str
    do_not_retry: bool = False
    de48_84: str | None = None


@dataclass(frozen=True, slots=True)
class ActionCode:
    """A code of the acquiring bank. ``wants_pin``: the soft decline, a PIN or stronger proof is asked for."""

    code: str
    readings: tuple[Reading, ...]
    wants_pin: bool = False

    @property
    def klass(self) -> ActionClass:
        """By the first digit alone."""
        return _BY_DIGIT[self.code[0]]

    @property
    def meaning(self) -> str:
        """Every reading, in the table's order; TPS's answer does not say which one applies."""
        return ", or: ".join(reading.meaning for reading in self.readings)


@dataclass(frozen=True, slots=True)
class SystemCode:
    """A code of TPS itself. ``alarm``: an engineer has to hear of it, whatever happens to the tap."""

    number: int
    name: str
    klass: SystemClass
    alarm: bool = False


def is_action_code(text: str) -> bool:
    """Whether ``text`` is three ASCII digits; anything else in that field is unreadable."""
    return len(text) == 3 and text.isascii() and text.isdigit()


def action_class(text: str) -> ActionClass | None:
    """The class of any action code, in the table or not; None when it is not one."""
    return _BY_DIGIT[text[0]] if is_action_code(text) else None


def wants_pin(text: str) -> bool:
    """Whether an action code is a soft decline; False for codes outside the table."""
    row = ACTION_CODES.get(text)
    return row is not None and row.wants_pin


_BY_DIGIT: Mapping[str, ActionClass] = MappingProxyType(
    {"0": ActionClass.APPROVED, "9": ActionClass.AGAIN} | dict.fromkeys("12345678", ActionClass.DECLINED)
)


def _one(code: str, meaning: str, *, do_not_retry: bool = False, wants_pin: bool = False) -> ActionCode:
    return ActionCode(code, (Reading(meaning, do_not_retry),), wants_pin)


def _two(code: str, at_01: str, at_03: str, *, wants_pin: bool = False) -> ActionCode:
    readings = (Reading(at_01, de48_84="01"), Reading(at_03, do_not_retry=True, de48_84="03"))
    return ActionCode(code, readings, wants_pin)


_ACTION_ROWS = (
    _one("000", "approved"),
    _one("001", "approved, the holder is to be identified"),
    _one("002", "approved for a part of the amount, which the answer states"),
    _one("003", "approved, a preferred customer"),
    _one("100", "the issuer refuses and gives no reason"),
    _one("101", "the card is past its expiry date"),
    _one("102", "the issuer suspects fraud and refuses"),
    _one("104", "the card is restricted, good for cash machines only"),
    _one("105", "the acquirer (NETS) wants a call"),
    _one("106", "too many wrong PINs"),
    _one("109", "the acquirer does not know the merchant"),
    _one("110", "the amount is not valid"),
    _one("111", "the card number is not valid"),
    _one("112", "a PIN is needed", wants_pin=True),
    _one("116", "the account holds too little"),
    _one("117", "the PIN was wrong", wants_pin=True),
    _one("118", "the issuer does not know the card"),
    _one("119", "the holder may not make this kind of transaction"),
    _one("120", "the terminal may not make this kind of transaction"),
    _one("121", "above the card's amount limit"),
    _one("123", "used more often than the card's limit allows"),
    _one("125", "the card is not in force"),
    _one("126", "the PIN block is not valid", wants_pin=True),
    _one("127", "the PIN has a wrong length", wants_pin=True),
    _one("128", "the PIN keys are out of step", wants_pin=True),
    _one("129", "the card's cryptogram or check value is wrong, or its offline PIN was broken off (Visa)"),
    _one("160", "strong customer authentication is needed (Visa)", wants_pin=True),
    _one("161", "the account is closed", do_not_retry=True),
    _one("162", "the card is blocked: not yet activated, or for the time being"),
    _two(
        "163",
        "life cycle: Mastercard's updater has newer card data",
        "life cycle: the updater has nothing newer",
    ),
    _two("164", "policy: Mastercard's updater has newer card data", "policy: the updater has nothing newer"),
    _two("165", "the holder must authenticate", "the issuer suspects fraud", wants_pin=True),
    _one("166", "the transaction would break a law"),
    _one("200", "the issuer refuses, gives no reason and wants the card kept"),
    _one("201", "the card is past its expiry date, to be kept"),
    _one("202", "the issuer suspects fraud, the card is to be kept"),
    _one("203", "the merchant is to contact the acquirer (NETS)"),
    _one("204", "the card is restricted, to be kept"),
    _one("205", "the issuer asks for the police to be called"),
    _one("206", "too many wrong PINs, the card is to be kept"),
    _one("208", "the card is reported lost"),
    _one("209", "the card is reported stolen"),
    _one("210", "the card may be a counterfeit"),
    _one("902", "the bank calls the transaction invalid"),
    _one("903", "the bank wants the transaction entered once more"),
    _one("904", "the bank could not read the message's format"),
    _one("907", "the issuer is signed off"),
    _one("908", "no route to the message's destination"),
    _one("909", "the bank's system is out of order"),
    _one("911", "the issuer did not answer in time"),
    _one("913", "the bank has seen this message before"),
    _one("918", "transport keys are missing at the bank"),
    _one("920", "a security device failed, to be tried again"),
    _one("921", "a security device failed"),
    _one("923", "the request is being worked on"),
    _one("933", "a reversal carries a wrong date or time"),
    _one("934", "the answer had a bad format (meant for offline logs and reversals)"),
    _one("935", "the chip declined (meant for offline logs)"),
)

_TAP, _TERMINAL, _AGAIN = SystemClass.TAP, SystemClass.TERMINAL, SystemClass.AGAIN

_SYSTEM_ROWS = (
    SystemCode(2, "MATCHING_AUTHORIZATION_SCHEMA_NOT_FOUND", _TERMINAL),
    SystemCode(3, "ACQUIRER_REQUEST_FAILED", _AGAIN),
    SystemCode(4, "AUTHORIZATION_PROHIBITED", _TAP),
    SystemCode(7, "INVALID_AUTHORIZATION_RESPONSE", _AGAIN),
    SystemCode(8, "SERIALIZATION_FAILED", _TAP),
    SystemCode(9, "DESERIALIZATION_FAILED", _TAP),
    SystemCode(10, "INVALID_STOCK_LOCATION_ID", _TERMINAL),
    SystemCode(11, "INVALID_COMPANY_ID", _TERMINAL),
    SystemCode(12, "INVALID_VALIDATOR_DATA", _TAP),
    SystemCode(13, "AUTHORIZATION_ACTION_CODE_ERROR", _AGAIN),
    SystemCode(17, "CARD_NOT_FOUND", _TAP),
    SystemCode(19, "KEY_CONTAINER_EXCEPTION", _AGAIN),
    SystemCode(20, "KEY_NOT_FOUND_EXCEPTION", _TERMINAL),
    SystemCode(21, "AUTHORIZATION_NOT_FOUND", _TAP),
    SystemCode(22, "POS_NOT_FOUND", _TERMINAL),
    SystemCode(24, "REQUIRED_PROPERTY_NOT_FOUND", _TERMINAL),
    SystemCode(27, "INVALID_REPEAT_REQUEST", _TAP, alarm=True),  # a fault of ours, or two taps under one UUID
    SystemCode(35, "INVALID_REQUEST_PARAMETERS", _TAP),
    SystemCode(39, "INVALID_PAN_TOKEN", _TERMINAL),  # the SALT key is wrong, so every tap would fail
    SystemCode(41, "VALIDATOR_NOT_FOUND", _TERMINAL),
    SystemCode(42, "VALIDATOR_TYPE_NOT_FOUND", _TERMINAL),
    SystemCode(47, "DEBT_RECOVERY_NOT_POSSIBLE", _TAP),
    SystemCode(48, "CARD_NOT_FOUND_FOR_DEBT_RECOVERY", _TAP),
    SystemCode(59, "INVALID_VALIDATION_STATUS", _TAP),
    SystemCode(60, "INVALID_VALIDATOR_DATA_TAG", _TAP),
    SystemCode(63, "CARD_EXPIRED", _TAP),
    SystemCode(65, "AFC_TRANSACTION_EVENT_REQUEST_MISSING", _TERMINAL),
    SystemCode(86, "ACQUIRER_TECHNICAL_ERROR", _AGAIN),
    SystemCode(301, "GENERAL_MISSING_DATA", _AGAIN),
    SystemCode(302, "GENERAL_OTHER", _AGAIN),
    SystemCode(IN_PROGRESS, "IN_PROGRESS", _AGAIN),
)

ACTION_CODES: Mapping[str, ActionCode] = MappingProxyType({row.code: row for row in _ACTION_ROWS})
"""Every action code of the seed, by its three digits."""

SYSTEM_CODES: Mapping[int, SystemCode] = MappingProxyType({row.number: row for row in _SYSTEM_ROWS})
"""Every system code of the seed, by its number."""
