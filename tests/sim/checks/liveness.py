"""I9: when the faults stop, everything pending comes to its end in time; and what must be told is told."""

from __future__ import annotations

from tests.sim.checks.base import Checker, Violated
from tpsd.core.canary import CANARY_EVERY_US
from tpsd.core.enquiry import ENQUIRIES, NEXT_ENQUIRY_US
from tpsd.core.feed import JITTER_SHARE, RETRY_AFTER_US_MAX, RETRY_MAX_US
from tpsd.core.notices import MAIL_RETRY_MAX_US, WINDOWS
from tpsd.core.retry import span
from tpsd.domain.authorisation import Tier
from tpsd.domain.time import HOUR, MINUTE, SECOND
from tpsd.workers.attendant import UNSEEN_US

MARGIN_SECONDS = 60.0
_LISTED_SECONDS = (1 + JITTER_SHARE) * max(RETRY_AFTER_US_MAX, RETRY_MAX_US) / SECOND + MARGIN_SECONDS


class Liveness(Checker):
    """The bound of the design: ladder, spread, queue by rate, a minute. Mails, enquiries, journeys have their own."""

    _since = 0.0

    def calm(self) -> None:
        self._since = self.world.loop.time()
        style = self.world.plan.style
        ladder = tuple(Tier(tries, round(minutes * MINUTE)) for tries, minutes in style.tiers)
        queue = len(self.world.plan.taps) * style.timeout_seconds / style.concurrency
        work = span(ladder, style.jitter) / SECOND + style.spread_seconds + queue + MARGIN_SECONDS
        if self.world.eye.rows("SELECT 1 FROM hold WHERE canary_due IS NOT NULL"):
            work += CANARY_EVERY_US / SECOND + style.spread_seconds  # what a canary frees begins then, spread out
        journeys = any(lane.checks_in or lane.checks_out for lane in style.lanes)
        travel = style.journey_hours * HOUR / SECOND + MARGIN_SECONDS if journeys else 0.0
        rounds = (ENQUIRIES + 1) * (NEXT_ENQUIRY_US / SECOND + style.timeout_seconds)
        asking = max(work, travel) + rounds  # a journey that ends leaves its last try in doubt
        following = asking + work  # what an enquiry finds is given back on a ladder
        untaken = work + UNSEEN_US / SECOND + MARGIN_SECONDS
        mail = max(following, untaken) + (WINDOWS[-1] + MAIL_RETRY_MAX_US) / SECOND + 2 * MARGIN_SECONDS
        self._bounds = {
            "unanswered": work,
            "working": work,
            "following": following,
            "travelling": max(work, travel),
            "awaiting": max(work, travel),
            "untaken": untaken,
            "asking": asking,
            "untold": mail,
            "unsent": mail,
            "unlisted": _LISTED_SECONDS,
        }

    def waits(self) -> None:
        waited = self.world.loop.time() - self._since
        for what, count in self.world.eye.left().items():
            if count and waited > self._bounds[what]:
                raise Violated(f"I9: {count} {what} after {waited:.0f} s of calm")
