"""Bugs that lose a tap, or what became of it: at a power cut, at a crash, or in a transaction that is not whole."""

from __future__ import annotations

from typing import Final

from tests.planted.bug import Bug

LOST: Final = (
    Bug(
        "the journal is never flushed",
        "tpsd/store/opening.py",
        '("synchronous", "FULL", 2)',
        '("synchronous", "OFF", 0)',
        ("tests/power/test_groups.py",),
    ),
    Bug(
        "an epoch key is used before it was synced",
        "tpsd/store/epochs.py",
        "                os.fsync(file.fileno())\n",
        "",
        ("tests/power/test_found.py",),
    ),
    Bug(
        "a failed flush of the journal's folder is believed",
        "tpsd/store/opening.py",
        "        sync(path.parent)  # SQLite does too, and goes on where that fails: "
        "a power cut could then take the whole log\n",
        "",
        ("tests/power/test_faults.py",),
    ),
    Bug(
        "an epoch is committed before its key is made",
        "tpsd/store/rotation.py",
        "        await self._at_shelf(lambda: self._keys.make(number))\n"
        "        await self._writer.write(lambda connection: housekeeping.begin_epoch(connection, number, ran))\n",
        "        await self._writer.write(lambda connection: housekeeping.begin_epoch(connection, number, ran))\n"
        "        await self._at_shelf(lambda: self._keys.make(number))\n",
        ("tests/power/test_found.py",),
    ),
    Bug(
        "what a killed process left unflushed is believed at the next start",
        "tpsd/store/opening.py",
        "    _make_durable(connection)\n    connection",
        "    connection",
        ("tests/power/test_found.py",),
    ),
    Bug(
        "a power cut is trusted to harm nothing beside what was being written",
        "tpsd/store/opening.py",
        "?psow=0",
        "",
        ("tests/power/test_found.py",),
    ),
    Bug(
        "a write that failed leaves its half in the group's commit",
        "tpsd/store/group.py",
        '            connection.execute("ROLLBACK TO one")\n',
        "",
        ("tests/power/test_groups.py",),
    ),
    Bug(
        "only the first of a group hears that its commit failed",
        "tpsd/store/group.py",
        "        for job in jobs:\n            job.error = cause",
        "        for job in jobs[:1]:\n            job.error = cause",
        ("tests/unit/test_writer_failures.py",),
    ),
    Bug(
        "a send that a crash cut short is under way for ever",
        "tpsd/store/recovery.py",
        'connection.execute(Q["left_open"])',
        "()",
        ("tests/store/test_contract_start.py",),
    ),
    Bug(
        "what came of a send is lost on a crash",
        "tpsd/store/commits.py",
        'Q["end_attempt"], (stamp.at, *ended(outcome)',
        'Q["end_attempt"], (None, *ended(outcome)',
        ("tests/store/test_contract_sends.py", "tests/store/test_contract_start.py"),
    ),
    Bug(
        "a tap whose validator's counter began anew gets an old tap's verdict",
        "tpsd/store/commits.py",
        "    known = next((_known(row) for row in rows if row[1] == candidate.digest), None)",
        "    known = next((_known(row) for row in rows), None)",
        ("tests/store/test_contract_intake.py",),
    ),
    Bug(
        "a damaged frame is read",
        "device/vl1/frames.py",
        '    if zlib.crc32(body[:-_CRC]) != int.from_bytes(body[-_CRC:], "little"):',
        "    if False:",
        ("tests/unit/test_vl1_frames.py", "tests/property/test_vl1_decoder_properties.py"),
    ),
    Bug(
        "a reader's tap is known again by its key and counter alone",
        "device/vivopay/tap.py",
        '        return b"KSN" + ksn + (counter or b"") + (cryptogram or b"")',
        '        return b"KSN" + ksn + (counter or b"")',
        ("tests/unit/test_vivopay_taps.py",),
    ),
    Bug(
        "nobody hears of a tap whose answer was damaged",
        "device/vivopay/states.py",
        "    (State.RESCUING, Input.DONE): (State.IDLE, (Effect.TELL_LOST, Effect.PLAN_AGAIN, Effect.PAUSE)),",
        "    (State.RESCUING, Input.DONE): (State.IDLE, (Effect.PLAN_AGAIN, Effect.PAUSE)),",
        ("tests/unit/test_vivopay_session.py",),
    ),
    Bug(
        "a tap that came again while it was drained is forgotten with what it said",
        "tpsd/store/sql/spool/spool.sql",
        "WHERE s.tap = ? AND t.repeats = ?",
        "WHERE s.tap = ? AND t.repeats >= 0 * ?",
        ("tests/store/test_spooled.py",),
    ),
    Bug(
        "the spool forgets a tap before the database has it",
        "tpsd/store/spooled.py",
        "if has_it is True]",
        "if has_it]",
        ("tests/store/test_spooled.py", "tests/integration/test_daemon_spool.py"),
    ),
    Bug(
        "an answer that came while its tap was drained is forgotten with it",
        "tpsd/store/sql/spool/spool.sql",
        "(SELECT a.state FROM authorisation a WHERE a.uuid = t.uuid) IS ?",
        "coalesce(?, 1) IS NOT NULL",
        ("tests/store/test_spool_realtime.py",),
    ),
    Bug(
        "what the spool was answered changes nothing in the database",
        "tpsd/store/draining_asked.py",
        "    if step is Over.SETTLE:\n        _settle(connection, uuid, asked, stamp)\n",
        "",
        ("tests/store/test_spool_realtime.py",),
    ),
    Bug(
        "a payment under a second UUID is not entered",
        "tpsd/store/draining_asked.py",
        "    if before is None:\n        _enter(connection, asking, stamp)\n",
        "    if before is None and found is not None and not found.ours:\n"
        "        return True\n"
        "    if before is None:\n        _enter(connection, asking, stamp)\n",
        ("tests/store/test_spool_realtime.py",),
    ),
    Bug(
        "a recovery ends what is under way",
        "tpsd/store/spooled.py",
        "        spared = frozenset(spared) | self._lately.under_way | await self._spool.uuids()\n",
        "        spared = frozenset(spared)\n",
        ("tests/store/test_spool_realtime.py",),
    ),
    Bug(
        "what a former life was asking is never ended",
        "tpsd/store/spooled.py",
        "        if self._is_left_open(tap):\n            self._leave_open()\n",
        "",
        ("tests/integration/test_daemon_spool_realtime.py",),
    ),
)
