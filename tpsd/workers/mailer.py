"""The mailer: closes windows, freezes mails, and keeps each until SMTP accepted it."""

from __future__ import annotations

import asyncio

import structlog

from tpsd.core.notices import mail_retry_due
from tpsd.core.trouble import Trouble
from tpsd.domain.notice import MailRow
from tpsd.domain.time import Micros
from tpsd.errors import JournalUnavailableError, MailError
from tpsd.ports import Clock, CloseWindow, Journal, Postman
from tpsd.witness import UNWITNESSED, Witness
from tpsd.workers.journal_watch import JournalWatch

MAILS_AT_ONCE = 8  # read from the journal at a time; they go one after another
RETRY_SECONDS = 1.0  # how often a journal that could not commit is tried again

log = structlog.get_logger("tpsd.mailer")


class Mailer:
    """One daemon's mails. ``close`` decides and writes a window's mail."""

    def __init__(self, journal: Journal, postman: Postman, clock: Clock, close: CloseWindow) -> None:
        self._journal = journal
        self._postman = postman
        self._clock = clock
        self._close = close
        self._stopping = False
        self._refusing = Trouble()
        self._watch = JournalWatch(log, clock)
        self._accepted: dict[int, Micros] = {}  # by SMTP, and the journal could not yet be told
        self.busy = False
        self.wake = asyncio.Event()
        self.witness: Witness = UNWITNESSED

    async def run(self) -> None:
        """Until ``stop``; a mail under way is finished."""
        while not self._stopping:
            self.wake.clear()
            self.busy = True
            try:
                await self._round()
                until = await self._journal.next_mail()
            except JournalUnavailableError as exc:
                self._watch.failed("mail_journal", exc)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self.busy = False
            await self._clock.wait(self.wake, until)

    def use(self, postman: Postman) -> None:
        """Another way out from the next mail on."""
        self._postman = postman
        self.wake.set()

    def stop(self) -> None:
        """Begin no more mails."""
        self._stopping = True
        self.wake.set()

    async def _round(self) -> None:
        await self._journal.close_windows(self._clock.schedule(), self._close)
        while not self._stopping:
            mails = await self._journal.mails_due(self._clock.schedule(), MAILS_AT_ONCE)
            for mail in mails:
                await self._send(mail)
            if len(mails) < MAILS_AT_ONCE:
                return

    async def _send(self, mail: MailRow) -> None:
        if self._stopping:
            return
        if mail.id not in self._accepted:
            try:
                await self._postman.send(mail, self._clock.wall())
            except MailError as exc:
                await self._refused(mail, exc)
                return
            if (times := self._refusing.over(self._clock.monotonic())) is not None:
                log.info("mail_goes_again", times=times)
            self._accepted[mail.id] = self._clock.wall()
        # A full disk must not make of one mail one every second: it is due until this commit, but not sent again.
        await self._journal.mail_accepted(mail.id, self._accepted[mail.id])
        del self._accepted[mail.id]
        self._watch.works()
        self.witness.mailed(mail)
        log.info("mail_accepted", message_id=mail.message_id)

    async def _refused(self, mail: MailRow, why: MailError) -> None:
        now = self._clock.schedule()
        if (times := self._refusing.happened(self._clock.monotonic(), str(why))) is not None:
            log.error("mail_refused", message_id=mail.message_id, error=str(why), times=times)
        await self._journal.mail_refused(mail.id, mail_retry_due(mail.tries + 1, now), str(why))
