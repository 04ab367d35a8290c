"""What a checker is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.sim.events import Event
    from tests.sim.world import World


class Violated(AssertionError):  # noqa: N818 - the name of the event
    """An invariant does not hold; the text begins with its name and a colon."""


class Checker:
    """Hears every event; is asked at the beginning of calm, while it lasts, and at the end."""

    def __init__(self, world: World) -> None:
        self.world = world

    def heard(self, event: Event) -> None:
        """Something happened. Raises Violated."""

    def calm(self) -> None:
        """The faults are over."""

    def waits(self) -> None:
        """Not everything is done yet."""

    def finish(self) -> None:
        """Everything is done, and the daemon has stopped."""
