"""The story put together: the lane, what happened since in order of time, the journey, and how things stand."""

from __future__ import annotations

from tpsd.core.receipts import Local
from tpsd.core.story import ahead, beside, keeping, lane, sends
from tpsd.core.story.words import Teller
from tpsd.core.texts import Catalogue
from tpsd.domain.history import Event, History, Keeping
from tpsd.domain.tap import Timing
from tpsd.domain.time import Micros


def tell(history: History, keeps: Keeping, *, now: Micros, local: Local, catalogue: Catalogue) -> tuple[Event, ...]:
    """Every event of a tap. ``now`` on the wall clock; ``local`` writes times as people of this place do."""
    teller = Teller(now, local, catalogue)
    own = history.transaction
    verdict = lane.verdict(history, teller)
    realtime = own is not None and own.timing is Timing.REALTIME
    since = [
        *sends.exchanges(history, teller),
        *((verdict,) if realtime and verdict.at is not None else ()),
        *beside.mails(history, teller),
        *beside.orders(history),
        *beside.followers(history),
    ]
    timed = sorted((event for event in since if event.at is not None), key=lambda event: event.at or 0)
    untimed = [event for event in since if event.at is None]
    shown = tuple(lane.afterwards(history, teller))
    waited = verdict in since  # then what was shown comes after the answer
    coming = ahead.upcoming(history, teller)
    return (
        *lane.arrival(history, teller),
        *(() if waited else (verdict, *shown)),
        *timed,
        *(shown if waited else ()),
        *untimed,
        *beside.journey(history),
        ahead.standing(history, teller),
        *(() if coming is None else (coming,)),
        keeping.kept(history, keeps, teller),
    )
