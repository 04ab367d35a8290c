"""What seeds have found, each as the smallest plan that shows it. A plan outlives the tables that a seed draws from."""

from __future__ import annotations

from dataclasses import replace

from device.vl1.codes import TapKind
from tests.sim.doors import DoorPlan, PlannedTap
from tests.sim.plan import Incident, LaneStyle, Plan, Style
from tests.sim.run import Report, played
from tpsd.domain.time import HOUR, SECOND
from tpsd.sfey import fates
from tpsd.sfey.fates import Fate

AMOUNT = 101
SHORT = ((3, 0.2), (3, 0.2), (3, 0.2), (3, 0.2))  # 12 s apart
QUIET = Plan(
    seed=1,
    style=Style(jitter=0.0),
    doors=(DoorPlan(),),
    taps=(PlannedTap(AMOUNT, 0, 1.0, 0, TapKind.MTT),),
    fates={},
    incidents=(),
    calm_at=300.0,
)


def judged(*story: Fate, incidents: tuple[Incident, ...] = (), **style: object) -> Report:
    """One tap, its story, and what happens meanwhile."""
    plan = replace(QUIET, fates={AMOUNT: story or (fates.approve(),)}, incidents=incidents)
    report = played(replace(plan, style=replace(plan.style, **style)))  # type: ignore[arg-type]
    assert report.failure is None, report.details
    assert report.taps == 1
    return report


def test_nothing_happens() -> None:
    assert judged().states == {"approved": 1}


def test_a_sleep_makes_a_doubtful_row_older() -> None:
    """The schedule clock stood still meanwhile: after two days the row was sent again as if it were young."""
    report = judged(fates.close_after(), incidents=(Incident(0, 30.0, "suspend", (40 * 3600.0,)),))
    assert report.states == {"in_doubt": 1}
    assert report.requests == 1


def test_a_crash_under_a_clock_that_is_ahead_uses_no_rung_early() -> None:
    """Attempts are stamped in true time; compared with such a clock, what the crash left was due at once."""
    deaths = tuple(Incident(n, 2.0, "die", ("sent", n, 3, 0.5)) for n in range(1, 4))
    ahead = Incident(0, 0.0, "clock_step", (HOUR + 5 * SECOND, 250.0))
    stop = Incident(9, 0.5, "stop", (0.1,))
    report = judged(fates.bare(503), incidents=(ahead, stop, *deaths), tiers=SHORT)
    assert report.lives >= 4


PAYING = replace(
    QUIET,
    style=Style(jitter=0.0, lanes=(LaneStyle("RETAIL_PAYMENT", realtime=True),)),
    taps=(PlannedTap(AMOUNT, 0, 1.0, 0, TapKind.RETAIL_PAYMENT),),
)


def test_a_refund_that_nobody_ordered_is_declined() -> None:
    """The passenger was turned away, the part that TPS took is kept, and no mail said so."""
    partly = replace(PAYING, fates={AMOUNT: (fates.partial(50),)}, followers={AMOUNT: (fates.decline(),)})
    report = played(partly)
    assert report.failure is None, report.details
    assert (report.states, report.mails) == ({"approved": 1, "declined": 1}, 1)


def test_a_doubt_ends_without_a_charge_after_the_validator_let_the_passenger_in() -> None:
    """The process died while TPS was asked; what an enquiry then found was told to nobody."""
    report = played(
        replace(
            PAYING,
            style=replace(PAYING.style, enquires=True),
            doors=(DoorPlan(patience=0.5, kept_patience=3.0),),
            fates={AMOUNT: (fates.decline(),)},
            incidents=(Incident(0, 0.5, "die", ("request", 0, 0, 30.0)),),
        )
    )
    assert report.failure is None, report.details
    assert (report.states, report.lives) == ({"declined": 1}, 2)
