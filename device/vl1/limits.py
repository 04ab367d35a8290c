"""Every bound of VL1, with its unit and its reason (links.md "Frame" and "Session")."""

from __future__ import annotations

VERSION = 1  # the only one so far; a frame of another is dropped

PAYLOAD_MAX = 1024  # bytes: the fullest tap has about 600; at 57,600 baud this takes 181 ms of the line
PAYLOAD_MIN = 256  # bytes that the other end must take: the longest message down, VERDICT, has 150
OVERHEAD = 10  # bytes: header 6, CRC 4
ENCODED_MAX = 1100  # bytes between two 00: the fullest frame needs 1039, the rest is room for one more field
assert PAYLOAD_MAX + OVERHEAD + 1 + (PAYLOAD_MAX + OVERHEAD) // 254 <= ENCODED_MAX  # COBS adds 1 in 254

KNOCK_SECONDS = 0.5  # between two RESETs of a daemon, or HELLOs of a validator, without a session
RESET_SPACING_SECONDS = 0.5  # for frames of another session: one is enough, a flood would drown the HELLO
PING_SECONDS = 1.0  # without sending: the other end must be able to tell silence from death
SILENCE_SECONDS = 3.0  # without a frame of this session: gone
assert SILENCE_SECONDS > 2 * PING_SECONDS  # 3 > 2 x 1: one lost PING is not death

TRIES_MAX = 5  # sendings of one DATA frame, the first included
TIMER_FIRST_SECONDS = 0.150  # a PONG takes 5 ms, a full frame before the ACK up to 181 at 57,600 baud
TIMER_MIN_SECONDS = 0.050  # below it an operating system's scheduling looks like loss
TIMER_MAX_SECONDS = 1.600  # above it a passenger has left
assert TIMER_MIN_SECONDS <= TIMER_FIRST_SECONDS <= TIMER_MAX_SECONDS < SILENCE_SECONDS

QUEUE_MAX = 64  # DATA payloads waiting: a lane has a handful of taps under way; a mad peer must not fill memory
OUTPUT_MAX = 16 * ENCODED_MAX  # bytes not yet taken by the port: 3 s of line; the rest is repeated by the timers

BITS_PER_BYTE = 10  # on the line, 8N1

STORED_TAP_SECONDS = 2.0  # between two sendings of a tap under way without its VERDICT
SERIAL_MAX = 32  # bytes, as every name
TEXT_MAX = 64  # bytes: what a validator's screen shows
TOKEN_SIZE = 32  # bytes: HMAC-SHA256
