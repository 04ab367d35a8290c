"""``tpsd frame``: captured bytes of a line as frames with their fields, and the garbage between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import typer
from rich.table import Table

from device.tlv import TlvError, decode
from device.vl1.fields import FieldError
from device.vl1.frames import Frame, FrameType, Garbage
from device.vl1.greeting import GreetingError, Hello, HelloAck, TapNumber
from device.vl1.listing import Listed, listed
from device.vl1.messages import MessageError, MessageNumber, decode_message
from tpsd.cli.command import AsJson, Command, console, emit
from tpsd.cli.engineers import plain_tlv, read_hex
from tpsd.cli.frame_vivopay import vivopay_lines, vivopay_table
from tpsd.log import hidden


class LineProtocol(Enum):
    """What spoke on the line."""

    VL1 = "vl1"
    VIVOPAY = "vivopay"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("frame", cls=Command)(frame)


def frame(
    text: str = typer.Argument(metavar="HEX", help="Bytes as hex, white space allowed; - reads standard input."),
    protocol: LineProtocol = typer.Option(LineProtocol.VL1, case_sensitive=False, help="What the validator speaks."),
    as_json: AsJson = False,
) -> None:
    """Decode the bytes of a line into frames and the garbage between them; card data is masked."""
    data = read_hex(text, as_json)
    frames, garbage = _vl1_lines(data) if protocol is LineProtocol.VL1 else vivopay_lines(data)
    if as_json:
        emit({"protocol": protocol.value, "frames": frames, "garbage": garbage})
        return
    lines = sorted([*frames, *garbage], key=lambda line: int(line["offset"]))
    console().print(_vl1_table(lines) if protocol is LineProtocol.VL1 else vivopay_table(lines))


def _vl1_lines(data: bytes) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    found = list(listed(data))
    frames = [_frame(one, one.found) for one in found if isinstance(one.found, Frame)]
    return frames, [_garbage(one, one.found) for one in found if isinstance(one.found, Garbage)]


def _vl1_table(lines: Iterable[dict[str, Any]]) -> Table:
    table = Table("offset", "bytes", "what", "session", "seq", "ack", "message", "fields")
    for line in lines:
        table.add_row(*_row(line))
    return table


def _garbage(one: Listed, found: Garbage) -> dict[str, Any]:
    reason = found.reason.value if one.closed else "unfinished"
    return {"offset": one.offset, "size": one.size, "reason": reason}


def _frame(one: Listed, found: Frame) -> dict[str, Any]:
    described = {
        "offset": one.offset,
        "size": one.size,
        "closed": one.closed,
        "type": found.type.name,
        "session": f"{found.session:04X}",
        "seq": found.seq,
        "ack": found.ack,
        "retransmission": found.retransmission,
        "payload_bytes": len(found.payload),
        "message": None,
        "fields": {},
        "tlvs": [],
        "error": None,
    }
    return described | _content(found)


def _content(found: Frame) -> dict[str, Any]:
    match found.type:
        case FrameType.DATA:
            number = found.payload[0] if found.payload else None
            known = number in set(MessageNumber)
            name = None if number is None else MessageNumber(number).name if known else f"{number:02X}"
            return {"message": name} | _understood(found.payload[1:], lambda: decode_message(found.payload))
        case FrameType.HELLO:
            return _understood(found.payload, lambda: Hello.parse(found.payload))
        case FrameType.HELLO_ACK:
            return _understood(found.payload, lambda: HelloAck.parse(found.payload))
        case FrameType.NAK if found.payload:
            return {"fields": {"reason": found.payload[0]}}
        case _:
            return {}


def _understood(tlvs: bytes, parse: Callable[[], object]) -> dict[str, Any]:
    """The objects as far as they can be read, the fields where all of them are good, and what is wrong."""
    content: dict[str, Any] = {}
    try:
        content["tlvs"] = [plain_tlv(item) for item in decode(tlvs)]
        content["fields"] = _fields(parse())
    except (TlvError, FieldError, MessageError, GreetingError) as exc:
        content["error"] = str(exc)
    return content


def _fields(message: object) -> dict[str, Any]:
    """A message's fields that may be seen: those that stand in its repr, texts masked."""
    if not is_dataclass(message):
        return {}
    values = ((field.name, getattr(message, field.name)) for field in fields(message) if field.repr)
    return {name: _value(value) for name, value in values if value is not None}


def _value(value: object) -> Any:
    match value:
        case TapNumber():
            return str(value)
        case Enum():
            return value.value
        case bool() | int():
            return value
        case tuple():
            return [_value(inner) for inner in value]
        case _ if is_dataclass(value):
            return _fields(value)
        case _:
            return hidden(value)


def _row(line: dict[str, Any]) -> Iterable[str]:
    if "type" not in line:
        return str(line["offset"]), str(line["size"]), f"garbage: {line['reason']}", "", "", "", "", ""
    shown = [f"{name} {value}" for name, value in line["fields"].items()]
    shown += [f"{item['tag']} {item['name'] or ''}" for item in line["tlvs"] if not shown]
    if line["error"]:
        shown.append(f"! {line['error']}")
    again = " again" if line["retransmission"] else ""
    return (
        str(line["offset"]),
        str(line["size"]),
        f"{line['type']}{again}{'' if line['closed'] else ' (not closed)'}",
        line["session"],
        str(line["seq"]),
        str(line["ack"]),
        line["message"] or "",
        "\n".join(shown),
    )
