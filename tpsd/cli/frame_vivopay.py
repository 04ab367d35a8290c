"""ViVOpay frames for ``tpsd frame``: who sent each, what it says as far as it may be seen, and the garbage between."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.table import Table

from device.tlv import TlvError, decode
from device.vivopay import codes
from device.vivopay.codes import COMMAND_NAMES, Status
from device.vivopay.commands import parse_serial
from device.vivopay.decoder import listed
from device.vivopay.frames import CrcOrder, Frame, order_of
from device.vivopay.garbage import Garbage
from device.vivopay.limits import OVERHEAD
from device.vivopay.tap import TapError, read_failure, read_tap
from tpsd.cli.engineers import plain_tlv
from tpsd.emv.tags import UNKNOWN_SHOWN_BYTES
from tpsd.log import hidden

COMMAND, ANSWER, EITHER = "command", "answer", "command or answer"


def vivopay_lines(data: bytes) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The frames and the garbage in captured bytes, each in order, as JSON types."""
    items = listed(data)
    frames = [_frame(item) for item in items if isinstance(item, Frame)]
    return frames, [_garbage(item) for item in items if isinstance(item, Garbage)]


def vivopay_table(lines: Iterable[dict[str, Any]]) -> Table:
    """The same for a person."""
    table = Table("offset", "bytes", "what", "command", "code", "CRC", "fields")
    for line in lines:
        table.add_row(*_row(line))
    return table


def _garbage(item: Garbage) -> dict[str, Any]:
    command = None if item.command is None else f"{item.command:02X}"
    return {
        "offset": item.offset,
        "size": item.size,
        "reason": item.reason.value,
        "command": command,
        "text": None if item.text is None else hidden(item.text),
    }


def _frame(item: Frame) -> dict[str, Any]:
    kind, code = _kind(item), f"{item.code:02X}"
    described: dict[str, Any] = {
        "offset": item.offset,
        "size": OVERHEAD + len(item.data),
        "type": kind,
        "command": f"{item.command:02X}",
        "sub_command": None if kind == ANSWER else code,
        "status": None if kind == COMMAND else code,
        "name": _name(item, kind),
        "status_name": Status(item.code).words if kind != COMMAND and item.code in set(Status) else None,
        "length": len(item.data),
        "crc_order": item.crc.value,
        "fields": {},
        "tlvs": [],
        "error": None,
    }
    return described | _content(item, kind)


def _kind(item: Frame) -> str:
    if item.crc is CrcOrder.LOW_FIRST:
        return COMMAND
    # A pass-through command looks like an answer whose status is its sub-command.
    ambiguous = item.crc is CrcOrder.EITHER or order_of(item.command, item.code) is CrcOrder.HIGH_FIRST
    return EITHER if ambiguous else ANSWER


def _name(item: Frame, kind: str) -> str | None:
    if kind != ANSWER:
        return COMMAND_NAMES.get((item.command, item.code))
    names = {name for (command, _), name in COMMAND_NAMES.items() if command == item.command}
    return names.pop() if len(names) == 1 else None


def _content(item: Frame, kind: str) -> dict[str, Any]:
    match kind, item.command, item.code:
        case "command", codes.ACTIVATE, 0x40 if item.data:
            return {"fields": {"seconds": item.data[0]}} | _objects(item.data[1:])
        case "command", codes.SET_CONFIGURATION, 0x00:
            return _objects(item.data)
        case "command", codes.SHOW, 0x02 if len(item.data) == 4:
            return {"fields": dict(zip(("text", "beep", "led", "led_state"), item.data, strict=True))}
        case "answer", codes.ACTIVATE, _ if item.data:
            return {"fields": {"attribution": f"{item.data[0]:02X}"} | _outcome(item)} | _objects(item.data[1:])
        case "answer", codes.CONFIGURATION, _:
            return _objects(item.data)
        case "answer", codes.SERIAL, _ if (serial := parse_serial(item.data)) is not None:
            return {"fields": {"serial": hidden(serial)}}
        case _:
            return {"fields": {"data": _raw(item.data)} if item.data else {}}


def _objects(data: bytes) -> dict[str, Any]:
    """The TLVs with their values masked; where they cannot be read, why."""
    try:
        return {"tlvs": [plain_tlv(item) for item in decode(data, vendor_lengths=True)]}
    except TlvError as exc:
        return {"error": str(exc)}


def _outcome(item: Frame) -> dict[str, Any]:
    """What the daemon would make of a final answer to 02-40."""
    match item.code:
        case Status.REQUEST_ONLINE | Status.OK:
            try:
                tap = read_tap(item.data)
            except TapError as exc:
                return {"fault": str(exc)}
            return {"tap_data_mode": f"{tap.mode:02X}", "missing": [f"{tag:02X}" for tag in tap.missing]}
        case Status.FAILED:
            failure = read_failure(item.data)
            named = (
                ("error_code", failure.error, 2),
                ("status_word", failure.status_word, 4),
                ("rf_state", failure.rf_state, 2),
            )
            return {name: f"{value:0{digits}X}" for name, value, digits in named if value is not None}
        case _:
            return {}


def _raw(data: bytes) -> str:
    """What nobody here knows the form of, as far as it is too short to hold a card number."""
    return data.hex().upper() if len(data) <= UNKNOWN_SHOWN_BYTES else f"[hidden {len(data)} bytes]"


def _row(line: dict[str, Any]) -> tuple[str, ...]:
    if "type" not in line:
        said = "" if line["text"] is None else line["text"]
        return str(line["offset"]), str(line["size"]), f"garbage: {line['reason']}", line["command"] or "", "", "", said
    shown = [
        f"{name} {' '.join(value) if isinstance(value, list) else value}" for name, value in line["fields"].items()
    ]
    shown += [f"{item['tag']} {item['name'] or ''} {item['value'] or ''}".rstrip() for item in line["tlvs"]]
    if line["error"]:
        shown.append(f"! {line['error']}")
    named = " ".join(word for word in (line["command"], line["name"]) if word)
    code = " ".join(word for word in (line["status"] or line["sub_command"], line["status_name"]) if word)
    return (
        str(line["offset"]),
        str(line["size"]),
        line["type"],
        named,
        code,
        line["crc_order"],
        "\n".join(shown),
    )
