-- Journeys, and transactions that follow another one.

-- name: lock_journey_of_card
-- Nobody else moves it until this transaction ends, here and below: SQLite has nobody else.
SELECT 1 FROM journey WHERE operator = ? AND token = ? AND state IN ('open', 'checking_out') /* lock */

-- name: lock_journey_of_check_out
SELECT 1 FROM journey WHERE check_out = ? /* lock */

-- name: lock_journey
SELECT 1 FROM journey WHERE id = ? /* lock */

-- name: journey_of_card
-- The states are the index's own words: SQLite takes a partial index only by them.
SELECT id, token, state, check_in, tries, opened_at, zone, held, currency, out_uuid, out_state, out_amount,
       out_may_have_charged, out_unclear, out_enquired
FROM journey_now WHERE operator = ? AND token = ? AND state IN ('open', 'checking_out')

-- name: journey_of_check_out
SELECT id, token, state, check_in, tries, opened_at, zone, held, currency, out_uuid, out_state, out_amount,
       out_may_have_charged, out_unclear, out_enquired
FROM journey_now WHERE id = (SELECT id FROM journey WHERE check_out = ?)

-- name: journey_by_number
SELECT id, token, state, check_in, tries, opened_at, zone, held, currency, out_uuid, out_state, out_amount,
       out_may_have_charged, out_unclear, out_enquired
FROM journey_now WHERE id = ?

-- name: journey_of_authorisation
SELECT id FROM journey WHERE check_in = ?1
UNION ALL
SELECT id FROM journey WHERE check_out = ?1
UNION ALL
SELECT j.id FROM authorisation a JOIN journey j ON j.check_in = a.initial_uuid WHERE a.uuid = ?1
LIMIT 1

-- name: journey_state
SELECT state FROM journey WHERE id = ?

-- name: open_journey
INSERT INTO journey (operator, token, token_key, state, check_in, opened_at, zone, lane)
VALUES (?, ?, ?, 'open', ?, ?, ?, ?)

-- name: move_journey
UPDATE journey SET state = ?, ended_at = coalesce(?, ended_at) WHERE id = ?

-- name: try_journey
UPDATE journey SET state = ?, check_out = ?, tries = tries + 1 WHERE id = ?

-- name: journey_by_hand
UPDATE journey SET state = ?, check_out = ?, ended_at = NULL WHERE id = ?

-- name: give_up_awaited
UPDATE authorisation
SET state = ?, cause = coalesce(cause, 'expired_journey'), settled_at = ?, ran_rested = ?, enquiry_due = ?, enquiries = 0,
    warned = 0, fence = fence + 1
WHERE uuid = ? AND state = 'awaiting_tap'

-- name: overdue_journeys
-- One whose passenger checks out at this moment is left, here and below: its answer comes first.
SELECT j.id FROM journey j INDEXED BY journey_overdue
WHERE j.state IN ('open', 'checking_out') AND j.opened_at < ?
  AND NOT EXISTS (SELECT 1 FROM authorisation a WHERE a.uuid = j.check_out AND a.state = 'sending')
ORDER BY j.opened_at LIMIT ?

-- name: first_overdue
SELECT min(j.opened_at) FROM journey j INDEXED BY journey_overdue
WHERE j.state IN ('open', 'checking_out')
  AND NOT EXISTS (SELECT 1 FROM authorisation a WHERE a.uuid = j.check_out AND a.state = 'sending')

-- name: journey_page
SELECT id, state FROM journey WHERE id < ? ORDER BY id DESC LIMIT ?

-- name: journey_row
SELECT j.id, j.state, j.lane, j.zone, j.opened_at, j.ended_at, j.tries, j.held, j.currency, j.check_in,
       (SELECT min(id) FROM tap t WHERE t.uuid = j.check_in), (SELECT masked FROM tap t WHERE t.uuid = j.check_in LIMIT 1),
       j.out_uuid, j.out_state, j.out_amount, (SELECT token_key FROM journey o WHERE o.id = j.id)
FROM journey_now j
WHERE j.id = ?

-- name: journey_counts
SELECT state, count(*) FROM journey GROUP BY state

-- name: original
-- Its validator is that of its own tap; of one without, that of the tap it follows where the terminal is the same.
-- When it was charged is an attempt's, in true time: a schedule clock may have begun in 1970.
SELECT a.uuid, a.type, a.state, a.lane, a.terminal,
       coalesce(t.serial, substr(a.terminal, instr(a.terminal, ':') + 1)), coalesce(t.type_name, ''), a.credential /* held */,
       a.amount, coalesce(a.approved_amount, a.amount), a.currency,
       coalesce((SELECT max(x.ended_at) FROM attempt x WHERE x.uuid = a.uuid AND x.outcome = 'approved'), a.settled_at),
       (SELECT j.id FROM journey j WHERE j.check_in = a.uuid)
FROM authorisation a
LEFT JOIN tap t
  ON t.id = coalesce((SELECT min(x.id) FROM tap x WHERE x.uuid = a.uuid),
                     (SELECT min(x.id) FROM tap x WHERE x.uuid = a.initial_uuid AND x.terminal = a.terminal))
WHERE a.uuid = ?

-- name: followers
SELECT uuid, type, state, amount, may_have_charged FROM authorisation
WHERE initial_uuid = ? AND (type = 'RETAIL_REFUND' OR (?2 AND type = 'RETAIL_CHECK_OUT'))
ORDER BY created_at

-- name: ladder_of_authorisation
SELECT ladder FROM authorisation WHERE uuid = ?

-- name: authorisation_by_uuid
-- One that another has replaced is found by the tap of that one.
SELECT uuid FROM authorisation WHERE uuid >= ? AND uuid < ? AND replaced_by IS NULL ORDER BY uuid LIMIT 2

-- name: tap_by_following_uuid
-- One tap for each: a transaction that was in doubt and then paid for a second tap has two.
SELECT DISTINCT coalesce(
         (SELECT min(t.id) FROM tap t WHERE t.uuid = a.initial_uuid),
         (SELECT min(t.id) FROM authorisation b JOIN tap t ON t.uuid = b.initial_uuid WHERE b.uuid = a.initial_uuid))
         AS found
FROM authorisation a
WHERE a.uuid >= ? AND a.uuid < ? AND a.initial_uuid IS NOT NULL AND found IS NOT NULL
LIMIT 2

-- name: restore_journeys
SELECT id, check_in FROM journey WHERE state IN ('open', 'checking_out') ORDER BY id

-- name: unordered_return
-- The terminal of what gives money back unasked, and so goes on the ladder; by hand it is sent at once.
SELECT terminal FROM authorisation
WHERE uuid = ? AND timing = 'deferred'
  AND (type = 'RETAIL_REFUND' OR (type = 'RETAIL_CHECK_OUT' AND amount = 0))
