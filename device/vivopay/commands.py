"""What the daemon asks of a reader (links.md part 2, the table of commands)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from device.tlv import Tlv, TlvError, decode, encode, find
from device.vivopay.codes import Beep, Led, Text
from device.vivopay.frames import encode_command
from device.vivopay.limits import (
    ANSWER_SECONDS,
    CARD_SECONDS,
    TRANSACTION_SECONDS,
    TRANSACTION_SECONDS_MAX,
    TRIES_MAX,
)

BURST_MODE = 0xDFEE7E
_INTERFACES = 0xDFEF37
_CONTACTLESS = b"\x02"
_TYPE, _AMOUNT, _OTHER_AMOUNT, _CURRENCY, _COUNTRY = 0x9C, 0x9F02, 0x9F03, 0x5F2A, 0x9F1A
_AMOUNT_DIGITS = 12  # n12 (EMV Book 3 Annex A)

SERIAL_SIZE = 15  # characters, padded with 00


@dataclass(frozen=True, slots=True)
class Command:
    """One command. ``patience``: seconds until silence counts; ``tries``: how often it may be sent.

    ``repeats`` says whether silence is a reason to send it again; a damaged command always is.
    """

    command: int
    sub: int
    data: bytes = field(default=b"", repr=False)
    patience: float = ANSWER_SECONDS
    tries: int = TRIES_MAX
    repeats: bool = True

    def encode(self) -> bytes:
        """On the wire."""
        return encode_command(self.command, self.sub, self.data)

    def __str__(self) -> str:
        return f"{self.command:02X}-{self.sub:02X}"


CANCEL = Command(0x05, 0x01)
FIRST_CANCEL = replace(CANCEL, tries=1)  # whether anybody is there is what the ping after it asks
PING = Command(0x18, 0x01)
GET_SERIAL = Command(0x12, 0x01)
GET_CONFIGURATION = Command(0x03, 0x02)
BURST_OFF = Command(0x04, 0x00, encode((Tlv(BURST_MODE, b"\x00"),)))  # wears the reader's flash
POLL_ON_DEMAND = Command(0x01, 0x01, b"\x01")


@dataclass(frozen=True, slots=True)
class Transaction:
    """What a card is asked for. ``amount`` in minor units; ``currency`` and ``country``: three digits, ISO 4217, 3166.

    ``country`` None: what the reader is set to. ``seconds``: how long it waits for a card. Raises ValueError for what
    does not fit.
    """

    amount: int
    currency: str
    country: str | None = None
    transaction_type: int = 0x00  # tag 9C: purchase
    seconds: int = TRANSACTION_SECONDS

    def __post_init__(self) -> None:
        if not 0 <= self.amount < 10**_AMOUNT_DIGITS:
            raise ValueError(f"an amount has at most {_AMOUNT_DIGITS} digits")
        for name, code in (("currency", self.currency), ("country", self.country)):
            if code is not None and not (len(code) == 3 and code.isascii() and code.isdecimal()):
                raise ValueError(f"the {name} must be three digits")
        if not 1 <= self.seconds <= TRANSACTION_SECONDS_MAX:
            raise ValueError(f"a transaction waits 1 to {TRANSACTION_SECONDS_MAX} s")

    def command(self) -> Command:
        """02-40. Its patience counts the time a reader may still talk to a card."""
        objects = [
            Tlv(_TYPE, bytes((self.transaction_type,))),
            Tlv(_AMOUNT, bytes.fromhex(f"{self.amount:0{_AMOUNT_DIGITS}}")),
            Tlv(_OTHER_AMOUNT, bytes(_AMOUNT_DIGITS // 2)),
            Tlv(_CURRENCY, bytes.fromhex(f"0{self.currency}")),
        ]
        if self.country is not None:
            objects.append(Tlv(_COUNTRY, bytes.fromhex(f"0{self.country}")))
        objects.append(Tlv(_INTERFACES, _CONTACTLESS))
        data = bytes((self.seconds,)) + encode(objects)
        return Command(0x02, 0x40, data, patience=self.seconds + CARD_SECONDS, repeats=False)


@dataclass(frozen=True, slots=True)
class UserInterface:
    """What a reader shows and sounds. It may only between transactions: any command ends one."""

    text: Text
    beep: Beep = Beep.NONE
    led: Led = Led.ALL
    lit: bool = False

    def command(self) -> Command:
        """01-02."""
        return Command(0x01, 0x02, bytes((self.text, self.beep, self.led, self.lit)))


TAP_AGAIN = UserInterface(Text.TRY_AGAIN, Beep.SHORT_2)


def parse_serial(data: bytes) -> str | None:
    """The answer to 12-01: what is before the padding; None if that is no name."""
    name = data.rstrip(b"\x00")
    readable = name.isascii() and name.decode("ascii", "replace").isprintable()
    return name.decode("ascii") if name and readable and len(data) <= SERIAL_SIZE else None


def burst_is_on(data: bytes) -> bool:
    """Whether an answer to 03-02 says that burst mode is on; one that cannot be read does not say so."""
    try:
        mode = find(decode(data, vendor_lengths=True), BURST_MODE)
    except TlvError:
        return False
    return mode is not None and any(mode.value)
