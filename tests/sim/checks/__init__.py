"""What must hold in every world, one module an idea. Each looks at the ends' own memories and at the journal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from tests.sim.checks.base import Checker, Violated
from tests.sim.checks.charges import Charges
from tests.sim.checks.journeys import Journeys
from tests.sim.checks.lists import Lists
from tests.sim.checks.liveness import Liveness
from tests.sim.checks.log import Log
from tests.sim.checks.mails import Mails
from tests.sim.checks.passengers import Passengers
from tests.sim.checks.secrets import Secrets
from tests.sim.checks.sends import Sends
from tests.sim.checks.taps import Taps

if TYPE_CHECKING:
    from tests.sim.world import World

__all__ = ["Checker", "Violated", "checkers"]


_ALL: Final = (Taps, Sends, Charges, Passengers, Journeys, Lists, Mails, Secrets, Log, Liveness)


def checkers(world: World) -> Sequence[Checker]:
    """All of them."""
    return [kind(world) for kind in _ALL]
