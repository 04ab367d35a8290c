"""The planted bugs: what is changed where, and who must notice."""

from __future__ import annotations

from typing import Final

from tests.planted.bug import Bug
from tests.planted.card_data import CARD_DATA
from tests.planted.charged import CHARGED
from tests.planted.fleet import FLEET
from tests.planted.lost import LOST

BUGS: Final = (
    Bug(
        "synchronous is NORMAL instead of FULL",
        "tpsd/store/opening.py",
        '("synchronous", "FULL", 2)',
        '("synchronous", "NORMAL", 1)',
        ("tests/store/test_sqlite_opening.py",),
        always=True,
    ),
    Bug(
        "a list that comes anew takes the old one away at once",
        "tpsd/store/feed.py",
        'Q["feed_demote"]',
        'Q["feed_supersede"]',
        ("tests/sim/test_lists.py",),
    ),
    Bug(
        "a list is fresh when nobody knows its age",
        "tpsd/core/listage.py",
        "    return age_us is None or age_us > most_us",
        "    return age_us is not None and age_us > most_us",
        ("tests/unit/test_listage.py", "tests/integration/test_daemon_stale_list.py"),
    ),
    Bug(
        "what was rolled back is acknowledged",
        "tpsd/store/group.py",
        'self._connection.execute("COMMIT")',
        'self._connection.execute("ROLLBACK")',
        ("tests/store/test_contract_sends.py",),
    ),
    Bug(
        "the verdict goes out before the commit",
        "tpsd/workers/reader.py",
        "                taken = await self._take(event, timed)\n",
        "                self._device.tell(event.answer_to, Told(Verdict.ACCEPTED, 'ok'), display("
        "Told(Verdict.ACCEPTED, 'ok'), self._catalogue), self._clock.monotonic())\n"
        "                taken = await self._take(event, timed)\n",
        ("tests/integration/test_daemon_disk.py",),
    ),
    Bug(
        "a resend is serialised anew",
        "tpsd/store/journal.py",
        '        return self._epochs.unseal(str(row.claimed.uuid), "body", row.sealed)',
        "        body = self._epochs.unseal(str(row.claimed.uuid), 'body', row.sealed)\n"
        "        import json\n"
        "        return json.dumps(json.loads(body)).encode() if row.claimed.number > 1 else body",
        ("tests/integration/test_daemon_outcomes.py",),
    ),
    Bug(
        "a tier is off by one",
        "tpsd/core/retry.py",
        "        if sends <= past:\n            return tier",
        "        if sends < past:\n            return tier",
        ("tests/unit/test_retry.py",),
        always=True,
    ),
    Bug(
        "an attempt that a crash cut short counts as never sent",
        "tpsd/daemon.py",
        '        outcome = classify(NoAnswer("crash"))\n',
        '        from tpsd.domain.outcome import NoConnection\n\n        outcome = classify(NoConnection("crash"))\n',
        ("tests/integration/test_daemon_trouble.py",),
    ),
    Bug(
        "a repeated tap gets another verdict",
        "tpsd/core/intake.py",
        "        case Shown.NOTHING:\n            return Decision(known.told, known=known.number)",
        "        case Shown.NOTHING:\n"
        "            return Decision(Told(Verdict.ALREADY_TAPPED, 'repeat'), known=known.number)",
        ("tests/unit/test_intake_decisions.py",),
        always=True,
    ),
    Bug(
        "a notice is not written with the state it tells of",
        "tpsd/store/commits.py",
        "    if settlement.notices:\n        tap =",
        "    if settlement.notices and state is State.HELD:\n        tap =",
        ("tests/store/test_contract_mail.py", "tests/store/test_contract_sends.py"),
    ),
    Bug(
        "a final row keeps its card data",
        "tpsd/store/commits.py",
        "    if settlement.erase:\n",
        "    if settlement.erase and False:\n",
        ("tests/store/test_contract_card_data.py",),
        always=True,
    ),
    Bug(
        "an epoch key goes by age, whatever is still under it",
        "tpsd/store/sql/sqlite/journal.sql",
        "WHERE number = ? AND ran_closed IS NOT NULL AND NOT EXISTS (SELECT 1 FROM sealed WHERE epoch = number)",
        "WHERE number = ? AND ran_closed IS NOT NULL",
        ("tests/store/test_sqlite_upkeep.py",),
    ),
    Bug(
        "a late result with an old fence is taken",
        "tpsd/store/commits.py",
        '    if connection.execute(Q["fence_of"], (uuid,)).get != claimed.fence:',
        '    if connection.execute(Q["fence_of"], (uuid,)).get is None:',
        ("tests/store/test_contract_sends.py", "tests/store/test_contract_people.py"),
    ),
    Bug(
        "a check-out gets a new UUID after an unknown answer",
        "tpsd/core/asking.py",
        "    return last.uuid if last is not None and last.state is State.AWAITING_TAP else None",
        "    return None",
        ("tests/integration/test_daemon_journeys.py",),
    ),
    Bug(
        "a refund counts only once it is answered",
        "tpsd/core/byhand.py",
        "        return self.state not in FINAL or self.state is State.APPROVED or self.may_have_given",
        "        return self.state is State.APPROVED",
        ("tests/unit/test_byhand.py",),
    ),
    Bug(
        "the first 404 of an enquiry is believed",
        "tpsd/core/enquiry.py",
        "    if finding is Finding.NOT_FOUND and not (believed and needs_control(enquired, heard)):",
        "    if False:",
        ("tests/unit/test_enquiry.py", "tests/property/test_enquiry.py"),
        always=True,
    ),
    Bug(
        "a decline is sent again",
        "tpsd/core/outcomes.py",
        '    return Declined(f"action.{seen.action}", clean=True, http=seen.http, wants_pin=soft)',
        '    return _again(seen, f"action.{seen.action}") if soft is False else '
        'Declined(f"action.{seen.action}", clean=True, http=seen.http, wants_pin=soft)',
        ("tests/unit/test_outcomes.py",),
    ),
    Bug(
        "a passenger turned away stays charged for a part",
        "tpsd/core/answering.py",
        "settlement, _failed(waiting), gives_back=amount)",
        "settlement, _failed(waiting))",
        ("tests/integration/test_daemon_realtime.py",),
    ),
    Bug(
        "a lost realtime answer lets in",
        "tpsd/core/answering.py",
        "    if waiting.journey is None:\n        return Told(Verdict.DENIED, reason)",
        "    if waiting.journey is None:\n        return Told(Verdict.ACCEPTED, reason)",
        ("tests/integration/test_daemon_realtime.py",),
    ),
    Bug(
        "the same card is sent again while its first payment is in doubt",
        "tpsd/core/asking.py",
        "    return Asking(asks_first=facts.doubtful if candidate.enquires else None)",
        "    return Asking()",
        ("tests/integration/test_daemon_realtime.py",),
    ),
    Bug(
        "an old realtime tap is sent late",
        "tpsd/core/intake.py",
        "    if lane.realtime and (report.age_ms is None or report.age_ms * 1000 > lane.verdict_us):",
        "    if lane.realtime and report.age_ms is not None and report.age_ms * 1000 > lane.verdict_us:",
        ("tests/integration/test_daemon_realtime.py",),
    ),
    Bug(
        "a token key that was retired goes on being honoured",
        "tpsd/core/key_choice.py",
        "row.check_value is not None and row.check_value not in gone:",
        "row.check_value is not None and row.retired_at is None:",
        ("tests/unit/test_key_choice.py",),
    ),
    Bug(
        "a late refusal of an old card token ends the use of the new key",
        "tpsd/store/device_keys.py",
        """return bool(connection.execute(Q["device_key_of_request"], (str(uuid),)).get == key.check_value)""",
        "return True",
        ("tests/store/test_contract_token_keys.py",),
    ),
    Bug(
        "lists of two token keys are joined",
        "tpsd/store/runs.py",
        '"" if self.shadow else self.token_key or ""',
        '""',
        ("tests/store/test_contract_token_keys.py",),
    ),
    *LOST,
    *CHARGED,
    *CARD_DATA,
    *FLEET,
)
