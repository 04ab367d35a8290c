"""Checks of taps: a validator keeps each until its VERDICT, and says it again until then."""

from __future__ import annotations

from device.vl1.codes import Shown
from device.vl1.conformance.bench import Bench, Failed, Script, Unprepared, is_tap
from device.vl1.conformance.steps import (
    ANSWER_SECONDS,
    STORED_SECONDS,
    Tapped,
    acknowledges,
    again,
    answered,
    card,
    expect,
    heard,
    is_new,
    kept,
    never,
    new_card,
    tapped,
    up,
    verdict,
)
from device.vl1.frames import Frame, FrameType
from device.vl1.limits import STORED_TAP_SECONDS

REPEAT_EARLIEST = 0.75 * STORED_TAP_SECONDS
REPEAT_LATEST = 1.5 * STORED_TAP_SECONDS
LIVE_MS = 300  # between the card and its TAP: tpsd and the way back need the rest of the passenger's 500 ms
VERDICT_SECONDS = 0.1  # from VERDICT to its ACK: no screen changes before
DECIDES_SECONDS = 10.0  # its own limit is 500 ms at a gate; it says at its next sending what it showed
DRAIN_MAX = 50  # taps that an examination may leave behind

_NOT_AGAIN = "a tap without VERDICT does not come again"


def tap_repeated_every_2_s(bench: Bench) -> Script[None]:
    """A tap without its VERDICT comes again every 2 s, as new DATA."""
    tap = yield from card(bench)
    bench.take(tap.frame)
    for _ in range(2):
        began = bench.now
        later = yield from again(bench, tap, REPEAT_LATEST, _NOT_AGAIN)
        bench.take(later.frame)
        if bench.now - began < REPEAT_EARLIEST and later.message.shown is tap.message.shown:
            raise Failed(f"a tap without VERDICT comes again after {bench.now - began:.1f} s, not after 2 s")
        tap = later


def tap_repeated_unchanged(bench: Bench) -> Script[None]:
    """Of a tap that comes again in the same session only age and what was shown may differ."""
    tap = yield from card(bench)
    bench.take(tap.frame)
    later = yield from again(bench, tap, REPEAT_LATEST, _NOT_AGAIN)
    bench.take(later.frame)
    _same(tap, later)


def tap_resent_in_a_new_session(bench: Bench) -> Script[None]:
    """After RESET the tap comes again by itself, with only age and what was shown changed."""
    tap = yield from card(bench)
    bench.take(tap.frame)
    yield from up(bench)
    later = yield from again(bench, tap, STORED_SECONDS, "a tap without VERDICT is not sent in a new session")
    bench.take(later.frame)
    _same(tap, later)


def tap_kept_is_no_verdict(bench: Bench) -> Script[None]:
    """TAP_KEPT ends nothing: the tap comes again, in this session and in the next."""
    tap = yield from card(bench)
    bench.take(tap.frame)
    yield from kept(bench, tap.number)
    later = yield from again(bench, tap, REPEAT_LATEST, "after TAP_KEPT the tap does not come again")
    bench.take(later.frame)
    yield from kept(bench, tap.number)
    yield from up(bench)
    last = yield from again(bench, tap, STORED_SECONDS, "after TAP_KEPT the tap is not sent in a new session")
    bench.take(last.frame)


def live_tap_leaves_at_once(bench: Bench) -> Script[None]:
    """A card tapped in a session is on the line at once, by its own age."""
    yield from up(bench)
    tap = yield from new_card(bench)
    bench.take(tap.frame)
    age = tap.message.age_ms
    if age is None:
        raise Failed("the TAP of a card tapped in this session names no age")
    if age > LIVE_MS:
        raise Failed(f"a TAP left {age} ms after its card was read, not within {LIVE_MS}")


def shown_is_told(bench: Bench) -> Script[None]:
    """Without a VERDICT it decides by itself after its own limit, and says what it showed."""
    tap = yield from card(bench)
    bench.take(tap.frame)

    def tells(frame: Frame) -> bool:
        return is_tap(frame, tap.number) and tapped(frame).message.shown is not Shown.NOTHING

    if tap.message.shown is Shown.NOTHING:
        told = yield from expect(bench, tells, DECIDES_SECONDS, "it never says what was shown without a VERDICT")
        bench.take(told)


def verdict_taken_in_time(bench: Bench) -> Script[None]:
    """VERDICT of the fullest form is acknowledged in time for the screen, and a person sees it."""
    yield from up(bench)
    tap = yield from new_card(bench)
    bench.take(tap.frame)
    bench.ask("see that it shows: Conformance: accepted, the second line")
    seq, began = bench.seq, bench.now
    bench.say(FrameType.DATA, payload=verdict(tap).encode())
    yield from expect(bench, acknowledges(bench, seq), ANSWER_SECONDS, "VERDICT is not acknowledged")
    bench.seq = (seq + 1) & 0xFF
    if bench.now - began > VERDICT_SECONDS:
        raise Failed(f"VERDICT is acknowledged after {(bench.now - began) * 1000:.0f} ms, not within 100")


def verdict_ends_the_tap(bench: Bench) -> Script[None]:
    """A tap with its VERDICT never comes again, in this session or in the next."""
    tap = yield from card(bench)
    bench.take(tap.frame)
    yield from answered(bench, tap)
    yield from _answered_again(bench, tap)

    def same(frame: Frame) -> bool:
        return is_tap(frame, tap.number)

    yield from never(bench, same, REPEAT_LATEST, "a tap comes again although it has its VERDICT")
    yield from up(bench)
    yield from never(bench, same, STORED_SECONDS, "a tap that has its VERDICT comes again in a new session")


def stored_taps_one_at_a_time(bench: Bench) -> Script[None]:
    """The oldest stored tap comes first, and no other before it has its VERDICT."""
    first, second = yield from _two_stored(bench)
    stored = yield from expect(bench, is_tap, STORED_SECONDS, "stored taps are not sent in a new session")
    bench.take(stored)
    if not is_tap(stored, first.number):
        raise Failed("the oldest stored tap is not the first to be sent")

    def the_second(frame: Frame) -> bool:
        return is_tap(frame, second.number)

    other = yield from heard(bench, the_second, REPEAT_LATEST)
    if other is not None:
        bench.take(other)
        raise Failed("a second stored tap is sent while the first has no VERDICT")
    yield from answered(bench, tapped(stored))
    other = yield from expect(bench, the_second, REPEAT_LATEST, "after the first VERDICT the next tap does not come")
    bench.take(other)


def live_before_stored(bench: Bench) -> Script[None]:
    """A card tapped while a stored tap waits for its VERDICT does not wait for it too."""
    first = yield from card(bench)
    bench.take(first.frame)
    yield from up(bench)
    first = yield from again(bench, first, STORED_SECONDS, "stored taps are not sent in a new session")
    bench.take(first.frame)
    live = is_new(frozenset(bench.seen))
    bench.ask("tap a card")
    found = yield from heard(bench, live, bench.tap_seconds)
    if found is None:
        yield from answered(bench, first)
        found = yield from heard(bench, live, REPEAT_LATEST)
        if found is None:
            raise Unprepared(f"no TAP came within {bench.tap_seconds:g} s; was a card tapped?")
        bench.take(found)
        raise Failed("a live tap waits until a stored one has its VERDICT")
    bench.take(found)


def drain(bench: Bench) -> Script[None]:
    """What the examination left behind gets its verdicts."""
    yield from up(bench)
    for _ in range(DRAIN_MAX):
        frame = yield from heard(bench, is_tap, REPEAT_LATEST)
        if frame is None:
            return
        bench.take(frame)
        yield from answered(bench, tapped(frame))
    raise Failed(f"more than {DRAIN_MAX} taps are left")


def _answered_again(bench: Bench, tap: Tapped) -> Script[None]:
    """It may have shown something before it heard the verdict: that it must say, and is answered once more."""

    def says_otherwise(frame: Frame) -> bool:
        return is_tap(frame, tap.number) and tapped(frame).message.shown is not tap.message.shown

    late = yield from heard(bench, says_otherwise, ANSWER_SECONDS)
    if late is not None:
        bench.take(late)
        yield from answered(bench, tapped(late))


def _two_stored(bench: Bench) -> Script[tuple[Tapped, Tapped]]:
    """Two taps without verdicts, the older one first, and a session that has just begun."""
    first = yield from card(bench)
    bench.take(first.frame)
    second = yield from new_card(bench)
    bench.take(second.frame)
    yield from up(bench)
    return first, second


def _same(tap: Tapped, later: Tapped) -> None:
    if tap.stable != later.stable:
        raise Failed("more than age and what was shown changed between two sendings of a tap")
    before, after = tap.message.age_ms, later.message.age_ms
    if before is not None and after is not None and after < before:
        raise Failed("the age of a tap went back between two sendings")
