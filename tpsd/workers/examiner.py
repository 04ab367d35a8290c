"""The examiner: looks a large journal through once, behind a start that could not wait for it."""

from __future__ import annotations

import asyncio

import structlog

from tpsd.domain.upkeep import DAMAGE
from tpsd.errors import JournalError, JournalUnavailableError
from tpsd.upkeep import Upkeep

AGAIN_SECONDS = 60.0  # a database that fails over is back in less

log = structlog.get_logger("tpsd.examiner")


class Examiner:
    """One look a life."""

    def __init__(self, upkeep: Upkeep) -> None:
        self._upkeep = upkeep

    async def run(self) -> None:
        """Look, log what is found, and return. Raises JournalError when the file is damaged: no lane may stay open."""
        if not self._upkeep.is_unexamined():
            return
        while True:
            try:
                findings = await self._upkeep.check()
                break
            except JournalUnavailableError as exc:  # of a database, whose connection was lost meanwhile
                log.error("journal_not_examined", error=str(exc))
                await asyncio.sleep(AGAIN_SECONDS)
        for finding in findings:
            log.error("journal_finding", rule=finding.rule, count=finding.count, what=finding.what)
        log.info("journal_examined", findings=len(findings))
        if any(finding.rule == DAMAGE for finding in findings):
            raise JournalError("the journal is damaged: stop, and restore a backup with 'tpsd store restore'")
