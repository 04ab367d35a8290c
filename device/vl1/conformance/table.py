"""The checks of one validator, in order: name, rule of links.md part 1, script."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from device.vl1.conformance import exchange, framing, greeting, taps
from device.vl1.conformance.bench import Bench, Script


@dataclass(frozen=True, slots=True)
class Check:
    """One rule and how it is tried."""

    name: str
    rule: str
    script: Callable[[Bench], Script[None]]


CHECKS = (
    Check("hello_usable", "HELLO offers version 1, and room for every message down", greeting.hello_usable),
    Check("hello_repeated", "idle: HELLO every 500 ms", greeting.hello_repeated),
    Check("idle_answers_nothing", "idle: answers nothing but HELLO_ACK", greeting.idle_answers_nothing),
    Check("hello_ack_taken", "idle, HELLO_ACK: takes the session", greeting.hello_ack_taken),
    Check("ping_answered", "PING: PONG back", greeting.ping_answered),
    Check("ping_when_quiet", "PING after a second without sending", greeting.ping_when_quiet),
    Check("leading_00_optional", "the 00 before a frame is optional", framing.leading_00_optional),
    Check("empty_frames_ignored", "empty frames are ignored", framing.empty_frames_ignored),
    Check("half_frame_ends_at_00", "a frame ends at 00, whole or not", framing.half_frame_ends_at_00),
    Check("pieces_are_one_frame", "a frame may arrive in pieces", framing.pieces_are_one_frame),
    Check("cobs_both_endings", "COBS: a full last block with and without trailing 01", framing.cobs_both_endings),
    Check("bad_crc_dropped", "a frame that fails its CRC is dropped", framing.bad_crc_dropped),
    Check("other_version_dropped", "a frame of another version is dropped", framing.other_version_dropped),
    Check("oversize_dropped", "more than 1100 bytes: dropped up to the next 00", framing.oversize_dropped),
    Check("largest_taken", "a payload of DF8A52 bytes is taken", framing.largest_taken),
    Check("unknown_is_ignored", "unknown messages and tags are ignored", framing.unknown_is_ignored),
    Check("data_acknowledged", "DATA expected: acknowledged; ack in every frame", exchange.data_acknowledged),
    Check("duplicate_acknowledged_once", "DATA repeated: only acknowledged", exchange.duplicate_acknowledged_once),
    Check("wrong_seq_gets_nak", "DATA out of order: NAK", exchange.wrong_seq_gets_nak),
    Check("nak_of_nothing", "NAK of a frame never sent: idle", exchange.nak_of_nothing_ends_the_session),
    Check("other_session_dropped", "up, a frame of another session: dropped", greeting.other_session_dropped),
    Check("hello_ack_repeated", "up, HELLO_ACK of this session: dropped", greeting.hello_ack_repeated),
    Check("hello_ack_of_another", "up, HELLO_ACK of another session: idle", greeting.hello_ack_of_another_session),
    Check("reset_ends_the_session", "up, RESET: idle", greeting.reset_ends_the_session),
    Check(
        "silence_ends_the_session", "up, 3 s without a frame of this session: idle", greeting.silence_ends_the_session
    ),
    Check(
        "live_tap_leaves_at_once",
        "a tap made in a session goes first, DF8A09 says how old",
        taps.live_tap_leaves_at_once,
    ),
    Check("seq_counts_data", "seq counts DATA from 0 in each session", exchange.seq_counts_data),
    Check("data_repeated", "no ACK: the same seq and bytes by the timer, marked", exchange.data_repeated),
    Check("nak_repeats_at_once", "NAK of the seq in flight: repeat now", exchange.nak_repeats_at_once),
    Check("nak_acknowledges", "NAK of the seq after it: acknowledged", exchange.nak_acknowledges),
    Check("five_tries", "five tries unanswered: idle", exchange.five_tries_end_the_session),
    Check("tap_repeated_every_2_s", "without VERDICT a tap comes every 2 s", taps.tap_repeated_every_2_s),
    Check("tap_repeated_unchanged", "only age and shown of a tap may change", taps.tap_repeated_unchanged),
    Check("tap_resent", "after each new session taps come again, unchanged", taps.tap_resent_in_a_new_session),
    Check("tap_kept_is_no_verdict", "TAP_KEPT: the tap still waits for its VERDICT", taps.tap_kept_is_no_verdict),
    Check("shown_is_told", "without VERDICT it decides, and says so in DF8A0A", taps.shown_is_told),
    Check("verdict_ends_the_tap", "VERDICT: the tap is done", taps.verdict_ends_the_tap),
    Check("verdict_taken_in_time", "the passenger sees the verdict within 500 ms", taps.verdict_taken_in_time),
    Check("stored_one_at_a_time", "oldest first, one stored tap without VERDICT", taps.stored_taps_one_at_a_time),
    Check("live_before_stored", "a live tap goes before stored ones", taps.live_before_stored),
    Check("taps_answered", "every tap ends with its VERDICT", taps.drain),
    Check("counters_go_forward", "the counters in HELLO never go backwards", greeting.counters_go_forward),
    Check("own_frames_are_whole", "every frame has its COBS, CRC, version and bounds", framing.own_frames_are_whole),
)
