"""The vectors of links.md part 1: what each says, and the bytes it is on the wire."""

from __future__ import annotations

from device.tlv import Tlv
from device.vl1.frames import Frame, FrameType
from device.vl1.messages import (
    Beeps,
    Hello,
    HelloAck,
    Light,
    TapKeptMessage,
    TapKind,
    TapMessage,
    TapNumber,
    VerdictCode,
    VerdictMessage,
)

SESSION = 0xBEEF

HELLO = Hello(serial="VAL00042", type_name="GATE-X1", firmware="1.4.2", boot=3, last_tap=17)
HELLO_ACK = HelloAck(last_kept=TapNumber(3, 16), time_us=1_790_000_000_000_000)
TAP = TapMessage(
    tap=TapNumber(3, 17),
    tapped_at=1_790_000_000_123_456,
    kind=TapKind.MTT,
    card=(
        Tlv(0xDFFF8401, b"\x00"),
        Tlv.template(
            0xFFFF8406,
            (
                Tlv(0x57, bytes.fromhex("4761739001010010d31122011758928889")),
                Tlv(0x5F24, bytes.fromhex("311231")),
                Tlv(0x9F26, bytes.fromhex("11223344aabbccdd")),
                Tlv(0x9F36, bytes.fromhex("002a")),
            ),
        ),
    ),
)
TAP_KEPT = TapKeptMessage(TapNumber(3, 17))
VERDICT = VerdictMessage(TapNumber(3, 17), VerdictCode.ACCEPTED, text="Good trip", light=Light.GREEN, beeps=Beeps(1))

WIRE = {
    "PING": "00021509efbe070382774d7500",
    "ACK": "00021303efbe060946eb800c00",
    "RESET": "0002170101010105809311af00",
    "HELLO": "000210010101010cdf8a51020101df8a52020425df8a530856414c3030303432df8a5407474154452d5831df8a5505312e34"
    "2e32df8a560401010603df8a5704010106112f3a052d00",
    "HELLO_ACK": "00021103efbe010adf8a510101df8a58080101020301010610df8a410807065bfeda25e005bd44322500",
    "TAP": "00021203efbe010601df8a01080101020301010611df8a020812065bfeda27c240df8a030101dfff8401010effff84062957114761"
    "739001011f10d311220117589288895f24033112319f260811223344aabbccdd9f3602062ad86f1d5900",
    "TAP_KEPT": "00021203efbe070102df8a01080101020301010511a4054d0100",
    "VERDICT": "0002120aefbe010103df8a01080101020301012211df8a210101df8a2309476f6f642074726970df8a240101df8a250101a0b0"
    "107b00",
    "NAK": "00021403efbe070101d30fc83700",
}

FRAMES = {
    "PING": Frame(FrameType.PING, SESSION, seq=7, ack=3),
    "ACK": Frame(FrameType.ACK, SESSION, ack=9),
    "RESET": Frame(FrameType.RESET),
    "HELLO": Frame(FrameType.HELLO, payload=HELLO.encode()),
    "HELLO_ACK": Frame(FrameType.HELLO_ACK, SESSION, payload=HELLO_ACK.encode()),
    "TAP": Frame(FrameType.DATA, SESSION, payload=TAP.encode()),
    "TAP_KEPT": Frame(FrameType.DATA, SESSION, ack=1, payload=TAP_KEPT.encode()),
    "VERDICT": Frame(FrameType.DATA, SESSION, seq=1, ack=1, payload=VERDICT.encode()),
    "NAK": Frame(FrameType.NAK, SESSION, ack=1, payload=b"\x01"),
}
