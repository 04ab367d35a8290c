"""Bugs that charge a card twice, or charge what was not asked: where money may have moved and nobody knows."""

from __future__ import annotations

from typing import Final

from tests.planted.bug import Bug

CHARGED: Final = (
    Bug(
        "there is no horizon",
        "tpsd/core/doubt.py",
        "    return doubtful_since is not None and now - doubtful_since > policy.horizon_us",
        "    return False",
        ("tests/unit/test_doubt.py",),
    ),
    Bug(
        "a 404 is believed without a control",
        "tpsd/workers/enquirer.py",
        "needs_control(enquired, heard) and await self._is_believed(enquired)",
        "needs_control(enquired, heard)",
        ("tests/integration/test_daemon_doubts.py",),
    ),
    Bug(
        "a control that finds nothing is taken for one that found something",
        "tpsd/workers/enquirer.py",
        "            if read(await self._ask(known)).finding is not Finding.APPROVED:",
        "            if read(await self._ask(known)).finding is Finding.UNCLEAR:",
        ("tests/integration/test_daemon_doubts.py",),
    ),
    Bug(
        "a row forgets that it may have been charged",
        "tpsd/core/settlement.py",
        "    charged = progress.may_have_charged or not outcome.clean",
        "    charged = not outcome.clean",
        ("tests/unit/test_settlement.py", "tests/property/test_settlement.py"),
    ),
    Bug(
        "a 4XX ends a tap that may have been charged",
        "tpsd/core/settlement.py",
        "        case TapRefused() | TerminalRefused() if progress.may_have_charged and is_4xx(outcome):",
        "        case TapRefused() | TerminalRefused() if False:",
        ("tests/unit/test_settlement.py",),
    ),
    Bug(
        "another amount than asked counts as approved",
        "tpsd/core/settlement.py",
        "    return outcome.amount > asked or (outcome.amount < asked and outcome.cause != PARTLY)",
        "    return False",
        ("tests/unit/test_settlement.py",),
    ),
    Bug(
        "what may have been charged is rebuilt under a new UUID",
        "tpsd/core/operations.py",
        "    if order is Order.REBUILD:\n        if row.may_have_charged:",
        "    if order is Order.REBUILD:\n        if False:",
        ("tests/unit/test_operations.py", "tests/property/test_operations.py"),
    ),
    Bug(
        "the attempt's number is not written before its send",
        "tpsd/store/sql/sqlite/journal.sql",
        "SET state = 'sending', due = NULL, attempt = attempt + 1, sends",
        "SET state = 'sending', due = NULL, sends",
        ("tests/store/test_contract_sends.py",),
    ),
    Bug(
        "jitter hurries",
        "tpsd/core/retry.py",
        "tier.every_us + _jitter(tier, jitter_draw, jitter_share)",
        "tier.every_us - _jitter(tier, jitter_draw, jitter_share)",
        ("tests/unit/test_retry.py",),
    ),
    Bug(
        "a check-out may be tried a fourth time",
        "tpsd/core/answering.py",
        "self.tapped and journey is not None and journey.state.travels and journey.tries < TRIES_MAX",
        "self.tapped and journey is not None and journey.state.travels and journey.tries <= TRIES_MAX",
        ("tests/unit/test_answering.py", "tests/property/test_answering.py"),
    ),
    Bug(
        "a check-in that was not approved opens a journey",
        "tpsd/core/answering.py",
        "    return Ending(_denied(waiting, cause, state), settlement, _failed(waiting))",
        "    return Ending(_denied(waiting, cause, state), settlement, _failed(waiting), "
        "opens=waiting.kind is Kind.RETAIL_CHECK_IN)",
        ("tests/unit/test_answering.py", "tests/property/test_answering.py"),
    ),
    Bug(
        "a passenger who was told no is let in by a late answer",
        "tpsd/store/realtime.py",
        '    if connection.execute(Q["fence_of"], (uuid,)).get != claimed.fence:\n        raise SettledLate',
        '    if connection.execute(Q["fence_of"], (uuid,)).get == 0:\n        raise SettledLate',
        ("tests/store/test_contract_realtime.py", "tests/store/test_contract_asked_first.py"),
    ),
    Bug(
        "a backup that was restored sends what it held",
        "tpsd/store/restoring.py",
        "                in_doubt = _rest(connection, by, source)",
        "                in_doubt = 0",
        ("tests/store/test_contract_upkeep.py", "tests/store/test_sqlite_upkeep.py"),
    ),
    Bug(
        "a mail that was accepted is sent again",
        "tpsd/store/sql/sqlite/journal.sql",
        "UPDATE mail SET accepted_at = ?, due = NULL, tries = tries + 1, last_error = NULL WHERE id = ? "
        "AND accepted_at IS NULL",
        "UPDATE mail SET last_error = CASE WHEN ? THEN NULL END WHERE id = ?",
        ("tests/store/test_contract_mail.py",),
    ),
    Bug(
        "a spool tap has a UUID of its own",
        "tpsd/store/spooled.py",
        "        taken, uuid = await self._spool.put(candidate, judged, ",
        """        from uuid import uuid4

        own = candidate.draft and replace(candidate, draft=replace(candidate.draft, uuid=uuid4()))
        taken, uuid = await self._spool.put(own or candidate, judged, """,
        ("tests/store/test_spooled.py",),
    ),
    Bug(
        "rows are claimed while their taps wait in the spool",
        "tpsd/store/spooled.py",
        "        if not self.may_claim:\n            return []\n",
        "",
        ("tests/store/test_spooled.py",),
    ),
    Bug(
        "the drain believes a commit that was not heard of",
        "tpsd/store/draining.py",
        "        _lay_over(connection, found, spooled, parts, stamp)\n        return\n",
        "        return\n",
        ("tests/store/test_spooled.py", "tests/property/test_draining.py"),
    ),
    Bug(
        "a journal that moved stays in its file too",
        "tpsd/store/moving.py",
        '            self._source.pragma("application_id", BACKUP_ID)\n',
        "",
        ("tests/store/test_moving.py",),
    ),
    Bug(
        "a copy may be used before its file is marked",
        "tpsd/store/moving.py",
        "        self._leave(begun, by, where)\n        self._arrive(begun, by, whence)\n",
        "        self._arrive(begun, by, whence)\n        self._leave(begun, by, where)\n",
        ("tests/store/test_moving.py",),
    ),
    Bug(
        "a late end is written over another where many end at once",
        "tpsd/store/sql/fleet/settling.sql",
        " AND a.fence = given.fence",
        "",
        ("tests/store/test_postgres_together.py",),
    ),
    Bug(
        "a tap that TPS was asked about is asked about again at the spool",
        "tpsd/core/spooling.py",
        "            if known.asked or not can_be_asked(candidate):",
        "            if not can_be_asked(candidate):",
        ("tests/unit/test_spooling.py", "tests/store/test_spool_realtime.py"),
    ),
    Bug(
        "what the database asked TPS is not remembered",
        "tpsd/store/spooled.py",
        "taken.told, rode=rode, uuid=asked)",
        "taken.told, rode=rode)",
        ("tests/store/test_spool_realtime.py",),
    ),
    Bug(
        "a start forgets what its former life asked",
        "tpsd/store/spooled.py",
        "        self.doubts.on_covered = self.heard\n        await self._recall()\n",
        "        self.doubts.on_covered = self.heard\n",
        ("tests/store/test_spool_realtime.py",),
    ),
    Bug(
        "a gate that stops in order gives its lease up before its spool is drained",
        "tpsd/daemon.py",
        "has_all = self.drainer is None or await self.drainer.finish(STOP_SECONDS_BEYOND_SEND)",
        "has_all = True",
        ("tests/integration/test_daemon_spool_realtime.py",),
    ),
    Bug(
        "what a passenger was shown at the spool is forgotten with it",
        "tpsd/store/spooled.py",
        "            self._lately.show(uuid, candidate.report.shown)\n",
        "            pass\n",
        ("tests/store/test_spool_realtime.py",),
    ),
    Bug(
        "the gate forgets, once it is drained, that a payment may have been charged",
        "tpsd/store/spooled.py",
        "            self._doubt_drained(tap)\n",
        "",
        ("tests/store/test_spool_borders.py",),
    ),
    Bug(
        "the spool asks for a payment whose earlier one is in doubt",
        "tpsd/core/spooling.py",
        "        if decision.asking is not None and decision.asking.asks_first is not None:",
        "        if False:",
        ("tests/unit/test_spooling.py", "tests/store/test_spool_realtime.py"),
    ),
    Bug(
        "what both stores know to give back is given back twice",
        "tpsd/store/draining_asked.py",
        """    if connection.execute(Q["spooled_follower"], (uuid,)).get is None:""",
        "    if step is not Over.WAIT:",
        ("tests/store/test_spool_realtime.py",),
    ),
    Bug(
        "a neighbour ends a payment whose answer may be in its gate's spool",
        "tpsd/store/sql/fleet/leases.sql",
        "WHERE (a.timing = 'realtime' AND o.gone_at < now_us() - ?)",
        "WHERE (a.timing = 'realtime' AND o.gone_at < now_us() + ?)",
        ("tests/store/test_spool_neighbours.py",),
    ),
    Bug(
        "a tap is forgotten at the spool before the gate remembers it",
        "tpsd/store/spooled.py",
        "            self._remember(tap, rode=False)  # first:",
        "            pass  # first:",
        ("tests/store/test_spool_realtime.py",),
    ),
)
