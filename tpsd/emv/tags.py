"""The tags a tap may hold: name, source, and how much of the value may be shown.

What the table does not know is shown only while it is too short to hold a card number.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from tpsd.domain.card import PAN_DIGITS_MIN


class Show(Enum):
    """How much of a value people may see."""

    HEX = "hex"  # unless it holds what could be a card number
    TEXT = "text"  # hex of characters: their codes look like packed digits and are not
    FIXED = "fixed"  # hex whatever it holds: counters, cryptograms and key names may look like card numbers
    PAN = "pan"  # digits padded with F: first six and last four
    TRACK2 = "track2"  # the PAN before the separator D
    HIDDEN = "hidden"


@dataclass(frozen=True, slots=True)
class Tag:
    """One row of the table. ``source``: EMV book and annex, scheme, or the document that names it."""

    name: str
    source: str
    show: Show = Show.HEX


_BOOK1 = "EMV Book 1 Annex B"
_BOOK2 = "EMV Book 2, 5.1 and 6.1"
_BOOK3 = "EMV Book 3 Annex A"
_VISA = "EMV Book C-3 Annex A"
_MASTERCARD = "EMV Book C-2 Annex A"
_NEO2 = "ID TECH NEO 2 guide"
_SFEY = "Sfey tap data"
_VL1 = "VL1"

UNKNOWN_SHOWN_BYTES = (PAN_DIGITS_MIN - 1) // 2
"""Bytes of an unknown tag that are shown: 5 hold 10 digits, fewer than any card number."""

TAGS: dict[int, Tag] = {
    # application selection
    0x42: Tag("Issuer Identification Number", _BOOK3),
    0x4F: Tag("Application Identifier (ADF Name)", _BOOK1),
    0x50: Tag("Application Label", _BOOK1, Show.TEXT),
    0x61: Tag("Application Template", _BOOK1),
    0x6F: Tag("FCI Template", _BOOK1),
    0x84: Tag("Dedicated File (DF) Name", _BOOK1),
    0x87: Tag("Application Priority Indicator", _BOOK1),
    0x88: Tag("Short File Identifier", _BOOK1),
    0x9D: Tag("Directory Definition File Name", _BOOK1),
    0xA5: Tag("FCI Proprietary Template", _BOOK1),
    0xBF0C: Tag("FCI Issuer Discretionary Data", _BOOK1),
    0x5F2D: Tag("Language Preference", _BOOK1, Show.TEXT),
    0x9F06: Tag("Application Identifier, terminal", _BOOK3),
    0x9F11: Tag("Issuer Code Table Index", _BOOK1),
    0x9F12: Tag("Application Preferred Name", _BOOK1, Show.TEXT),
    0x9F2A: Tag("Kernel Identifier", "EMV Book B Annex A"),
    0x9F38: Tag("Processing Options Data Object List", _BOOK3, Show.FIXED),
    # the card and its holder
    0x56: Tag("Track 1 Data", _MASTERCARD, Show.HIDDEN),
    0x57: Tag("Track 2 Equivalent Data", _BOOK3, Show.TRACK2),
    0x5A: Tag("Application PAN", _BOOK3, Show.PAN),
    0x5F20: Tag("Cardholder Name", _BOOK3, Show.HIDDEN),
    0x5F24: Tag("Application Expiration Date", _BOOK3, Show.HIDDEN),  # kept apart from the PAN it belongs to
    0x5F25: Tag("Application Effective Date", _BOOK3),
    0x5F28: Tag("Issuer Country Code", _BOOK3),
    0x5F30: Tag("Service Code", _BOOK3, Show.HIDDEN),
    0x5F34: Tag("PAN Sequence Number", _BOOK3),
    0x9F0B: Tag("Cardholder Name Extended", _BOOK3, Show.HIDDEN),
    0x9F1F: Tag("Track 1 Discretionary Data", _BOOK3, Show.HIDDEN),
    0x9F20: Tag("Track 2 Discretionary Data", _BOOK3, Show.HIDDEN),
    0x9F24: Tag("Payment Account Reference", _BOOK3),
    0x9F61: Tag("Cardholder Identification Number", "national use", Show.HIDDEN),
    0x9F6B: Tag("Track 2 Data", _MASTERCARD, Show.TRACK2),
    0x9F7C: Tag("Customer Exclusive or Merchant Custom Data", _VISA, Show.HIDDEN),
    0x99: Tag("Transaction PIN Data", _BOOK3, Show.HIDDEN),
    # templates and records
    0x70: Tag("Record Template", _BOOK3),
    0x71: Tag("Issuer Script Template 1", _BOOK3),
    0x72: Tag("Issuer Script Template 2", _BOOK3),
    0x77: Tag("Response Message Template Format 2", _BOOK3),
    0x80: Tag("Response Message Template Format 1", _BOOK3, Show.HIDDEN),
    0x82: Tag("Application Interchange Profile", _BOOK3, Show.FIXED),
    0x83: Tag("Command Template", _BOOK3),
    0x86: Tag("Issuer Script Command", _BOOK3),
    0x89: Tag("Authorisation Code", _BOOK3, Show.TEXT),
    0x8A: Tag("Authorisation Response Code", _BOOK3, Show.TEXT),
    0x8C: Tag("CDOL1", _BOOK3, Show.FIXED),
    0x8D: Tag("CDOL2", _BOOK3, Show.FIXED),
    0x8E: Tag("CVM List", _BOOK3, Show.FIXED),
    0x91: Tag("Issuer Authentication Data", _BOOK3),
    0x94: Tag("Application File Locator", _BOOK3, Show.FIXED),
    0x95: Tag("Terminal Verification Results", _BOOK3, Show.FIXED),
    0x9A: Tag("Transaction Date", _BOOK3),
    0x9B: Tag("Transaction Status Information", _BOOK3),
    0x9C: Tag("Transaction Type", _BOOK3),
    0xE1: Tag("Clearing Record", _NEO2),
    # the transaction
    0x5F2A: Tag("Transaction Currency Code", _BOOK3),
    0x5F36: Tag("Transaction Currency Exponent", _BOOK3),
    0x9F01: Tag("Acquirer Identifier", _BOOK3),
    0x9F02: Tag("Amount, Authorised (Numeric)", _BOOK3),
    0x9F03: Tag("Amount, Other (Numeric)", _BOOK3),
    0x9F07: Tag("Application Usage Control", _BOOK3),
    0x9F09: Tag("Application Version Number, terminal", _BOOK3),
    0x9F0D: Tag("Issuer Action Code - Default", _BOOK3),
    0x9F0E: Tag("Issuer Action Code - Denial", _BOOK3),
    0x9F0F: Tag("Issuer Action Code - Online", _BOOK3),
    0x9F10: Tag("Issuer Application Data", _BOOK3, Show.FIXED),
    0x9F15: Tag("Merchant Category Code", _BOOK3),
    0x9F16: Tag("Merchant Identifier", _BOOK3, Show.TEXT),
    0x9F1A: Tag("Terminal Country Code", _BOOK3),
    0x9F1C: Tag("Terminal Identification", _BOOK3, Show.TEXT),
    0x9F1D: Tag("Terminal Risk Management Data", _BOOK3),
    0x9F1E: Tag("Interface Device Serial Number", _BOOK3, Show.TEXT),
    0x9F21: Tag("Transaction Time", _BOOK3),
    0x9F26: Tag("Application Cryptogram", _BOOK3, Show.FIXED),
    0x9F27: Tag("Cryptogram Information Data", _BOOK3),
    0x9F33: Tag("Terminal Capabilities", _BOOK3),
    0x9F34: Tag("CVM Results", _BOOK3),
    0x9F35: Tag("Terminal Type", _BOOK3),
    0x9F36: Tag("Application Transaction Counter", _BOOK3, Show.FIXED),
    0x9F37: Tag("Unpredictable Number", _BOOK3, Show.FIXED),
    0x9F39: Tag("POS Entry Mode", _BOOK3),
    0x9F40: Tag("Additional Terminal Capabilities", _BOOK3),
    0x9F41: Tag("Transaction Sequence Counter", _BOOK3),
    0x9F42: Tag("Application Currency Code", _BOOK3),
    0x9F4E: Tag("Merchant Name and Location", _BOOK3, Show.TEXT),
    0x9F53: Tag("Transaction Category Code", _MASTERCARD),
    # offline data authentication; the issuer's public key recovers the PAN from what the card signed
    0x8F: Tag("Certification Authority Public Key Index", _BOOK3),
    0x90: Tag("Issuer Public Key Certificate", _BOOK2),
    0x92: Tag("Issuer Public Key Remainder", _BOOK2),
    0x93: Tag("Signed Static Application Data", _BOOK2, Show.HIDDEN),
    0x9F2D: Tag("ICC PIN Encipherment Public Key Certificate", _BOOK2, Show.HIDDEN),
    0x9F32: Tag("Issuer Public Key Exponent", _BOOK2),
    0x9F45: Tag("Data Authentication Code", _BOOK2),
    0x9F46: Tag("ICC Public Key Certificate", _BOOK2, Show.HIDDEN),
    0x9F47: Tag("ICC Public Key Exponent", _BOOK2),
    0x9F48: Tag("ICC Public Key Remainder", _BOOK2),
    0x9F49: Tag("Dynamic Data Authentication DOL", _BOOK2, Show.FIXED),
    0x9F4A: Tag("Static Data Authentication Tag List", _BOOK2),
    0x9F4B: Tag("Signed Dynamic Application Data", _BOOK2, Show.HIDDEN),
    0x9F4C: Tag("ICC Dynamic Number", _BOOK2),
    # the schemes' contactless kernels
    0x9F62: Tag("PCVC3 (Track 1)", _MASTERCARD),
    0x9F63: Tag("PUNATC (Track 1)", _MASTERCARD),
    0x9F64: Tag("NATC (Track 1)", _MASTERCARD),
    0x9F65: Tag("PCVC3 (Track 2)", _MASTERCARD),
    0x9F66: Tag("Terminal Transaction Qualifiers (Visa), PUNATC (Track 2) (Mastercard)", _VISA),
    0x9F67: Tag("NATC (Track 2)", _MASTERCARD),
    0x9F6C: Tag("Card Transaction Qualifiers (Visa), version (Mastercard)", _VISA),
    0x9F6D: Tag("Mag-stripe Application Version Number", _MASTERCARD),
    0x9F6E: Tag("Form Factor Indicator (Visa), Third Party Data (Mastercard)", _VISA),
    0xDF810B: Tag("DS Summary Status", _MASTERCARD),
    0xDF810E: Tag("Post-Gen AC Put Data Status", _MASTERCARD),
    0xDF810F: Tag("Pre-Gen AC Put Data Status", _MASTERCARD),
    0xDF8115: Tag("Error Indication", _MASTERCARD),
    0xDF8116: Tag("User Interface Request Data", _MASTERCARD),
    0xDF8120: Tag("Terminal Action Code - Default", _MASTERCARD),
    0xDF8121: Tag("Terminal Action Code - Denial", _MASTERCARD),
    0xDF8122: Tag("Terminal Action Code - Online", _MASTERCARD),
    0xDF8129: Tag("Outcome Parameter Set", _MASTERCARD),
    0xDF812A: Tag("DD Card (Track 1)", _MASTERCARD, Show.HIDDEN),
    0xDF812B: Tag("DD Card (Track 2)", _MASTERCARD, Show.HIDDEN),
    0xFF8105: Tag("Data Record", _MASTERCARD),
    0xFF8106: Tag("Discretionary Data", _MASTERCARD),
    # ID TECH NEO 2
    0xDF30: Tag("Track data source", _NEO2),
    0xDFEC1C: Tag("Reader data", _NEO2),
    0xDFED28: Tag("VAS capabilities", _NEO2),
    0xDFEE12: Tag("Key serial number (KSN)", _NEO2, Show.FIXED),
    0xDFEE26: Tag("Encryption information", _NEO2),
    0xDFEE2D: Tag("Group number", _NEO2),
    0xDFEE30: Tag("Track data source", _NEO2),
    0xDFEE4C: Tag("Reader data", _NEO2),
    0xDFEE76: Tag("Reader data", _NEO2),
    0xDFEE7E: Tag("Burst mode", _NEO2),
    0xDFEF1A: Tag("VAS mode", _NEO2),
    0xDFEF37: Tag("Interfaces to poll", _NEO2),
    0xDFEF3C: Tag("Dynamic reader limits", _NEO2),
    0xDFEF4C: Tag("Track lengths", _NEO2),
    0xDFEF4D: Tag("Track data, encrypted", _NEO2, Show.HIDDEN),
    0xFFEE01: Tag("Reader group", _NEO2),
    0xFFEE08: Tag("VAS group", _NEO2),
    0xFFEE13: Tag("Track 1, raw", _NEO2, Show.HIDDEN),
    0xFFEE14: Tag("Track 2, raw", _NEO2, Show.HIDDEN),
    0xFFEE1F: Tag("Failure record", _NEO2),
    # Sfey's tap data (sfey.md 3)
    0xDFFF8401: Tag("Card data mode", _SFEY),
    0xDFFF8402: Tag("TTK key id", _SFEY),
    0xDFFF8403: Tag("Key derivation time", _SFEY),
    0xDFFF8404: Tag("Key serial number (KSN)", _SFEY, Show.FIXED),
    0xDFFF8405: Tag("Encrypted card data", _SFEY, Show.HIDDEN),
    0xDFFF8406: Tag("Clear card data", _SFEY, Show.HIDDEN),
    0xFFFF8406: Tag("Clear card data", _SFEY, Show.HIDDEN),
    # VL1 (links.md part 1)
    0xDF8A01: Tag("Tap id", _VL1, Show.FIXED),
    0xDF8A02: Tag("Tap time", _VL1, Show.FIXED),
    0xDF8A03: Tag("Kind", _VL1),
    0xDF8A04: Tag("Amount", _VL1),
    0xDF8A05: Tag("Currency", _VL1),
    0xDF8A06: Tag("Stop or zone", _VL1, Show.TEXT),
    0xDF8A07: Tag("Offline data authentication", _VL1),
    0xDF8A08: Tag("Card token", _VL1, Show.FIXED),
    0xDF8A09: Tag("Age", _VL1),
    0xDF8A0A: Tag("Shown so far", _VL1),
    0xFF8A10: Tag("Where", _VL1),
    0xDF8A11: Tag("Route", _VL1, Show.TEXT),
    0xDF8A12: Tag("Trip", _VL1, Show.TEXT),
    0xDF8A13: Tag("Vehicle", _VL1, Show.TEXT),
    0xDF8A14: Tag("Latitude and longitude", _VL1),
    0xDF8A21: Tag("Verdict", _VL1),
    0xDF8A22: Tag("Reason", _VL1, Show.TEXT),
    0xDF8A23: Tag("Text", _VL1, Show.TEXT),
    0xDF8A24: Tag("Light", _VL1),
    0xDF8A25: Tag("Beeps", _VL1),
    0xDF8A26: Tag("Amount charged or held", _VL1),
    0xDF8A27: Tag("Seconds to show", _VL1),
    0xDF8A31: Tag("Validator state", _VL1),
    0xDF8A32: Tag("Validator text", _VL1, Show.TEXT),
    0xDF8A33: Tag("Uptime", _VL1),
    0xDF8A41: Tag("Time", _VL1, Show.FIXED),
    0xDF8A42: Tag("Language", _VL1, Show.TEXT),
    0xDF8A43: Tag("Idle text", _VL1, Show.TEXT),
    0xDF8A44: Tag("Lane open", _VL1),
    0xDF8A51: Tag("Protocol versions", _VL1),
    0xDF8A52: Tag("Largest payload", _VL1),
    0xDF8A53: Tag("Serial number", _VL1, Show.TEXT),
    0xDF8A54: Tag("Type name", _VL1, Show.TEXT),
    0xDF8A55: Tag("Firmware", _VL1, Show.TEXT),
    0xDF8A56: Tag("Boot counter", _VL1),
    0xDF8A57: Tag("Last tap counter", _VL1),
    0xDF8A58: Tag("Last kept tap id", _VL1, Show.FIXED),
    0xDF8A59: Tag("Capabilities", _VL1),
}


def name(tag: int) -> str | None:
    """The tag's name, None for one the table does not know."""
    known = TAGS.get(tag)
    return known.name if known else None
