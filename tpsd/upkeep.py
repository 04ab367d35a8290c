"""What a journal lets be done to it as a whole, as the loops and the command line know it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from tpsd.domain.audit import AuditDraft
from tpsd.domain.time import Micros
from tpsd.domain.upkeep import BackedUp, Finding, Pruned


class Upkeep(Protocol):
    """All of it goes on while taps come; raises JournalError when the journal cannot be used."""

    def is_unexamined(self) -> bool:
        """Whether the journal was too large to be looked through before the first tap."""

    async def check(self) -> list[Finding]:
        """Everything that is wrong. Where the file is damaged nothing more is written to it."""

    async def prune(self, older_than_us: int, now: Micros, by: AuditDraft | None, *, dry: bool = False) -> Pruned:
        """Remove what was final so long ago. Raises RefusedError."""

    async def backup(self, target: Path, by: AuditDraft) -> BackedUp:
        """A marked copy at ``target``. Raises RefusedError."""
