"""The Protocol between the roll and the journal: which device each lane had last."""

from __future__ import annotations

from typing import Protocol

from tpsd.domain.notice import NoticeDraft
from tpsd.domain.time import Micros


class Fittings(Protocol):
    """The journal as the roll uses it."""

    async def devices(self) -> dict[str, str]:
        """The serial of the device that each lane had last, by the lane's name; of all lanes that ever were."""

    async def fitted(self, name: str, serial: str, notice: NoticeDraft | None, now: Micros) -> None:
        """This device is at the lane from now on, and that is told; one transaction, durable when it returns."""
