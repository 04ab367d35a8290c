"""I9: when the faults stop, everything pending comes to its end in time; and what must be told is told."""

from __future__ import annotations

from tests.sim.checks.base import Checker, Violated
from tpsd.core.enquiry import ENQUIRIES, NEXT_ENQUIRY_US
from tpsd.core.notices import MAIL_RETRY_MAX_US, WINDOWS
from tpsd.core.retry import span
from tpsd.domain.authorisation import Tier
from tpsd.domain.time import MINUTE, SECOND

MARGIN_SECONDS = 60.0


class Liveness(Checker):
    """The bound of the design: ladder, spread, queue by rate, and a minute. Mails and enquiries have their own."""

    _since = 0.0

    def calm(self) -> None:
        self._since = self.world.loop.time()
        style = self.world.plan.style
        ladder = tuple(Tier(tries, round(minutes * MINUTE)) for tries, minutes in style.tiers)
        queue = len(self.world.plan.taps) * style.timeout_seconds / style.concurrency
        work = span(ladder, style.jitter) / SECOND + style.spread_seconds + queue + MARGIN_SECONDS
        asking = work + (ENQUIRIES + 1) * (NEXT_ENQUIRY_US / SECOND + style.timeout_seconds)
        mail = asking + (WINDOWS[-1] + MAIL_RETRY_MAX_US) / SECOND + 2 * MARGIN_SECONDS
        self._bounds = {"unanswered": work, "working": work, "asking": asking, "untold": mail, "unsent": mail}

    def waits(self) -> None:
        waited = self.world.loop.time() - self._since
        for what, count in self.world.eye.left().items():
            if count and waited > self._bounds[what]:
                raise Violated(f"I9: {count} {what} after {waited:.0f} s of calm")
