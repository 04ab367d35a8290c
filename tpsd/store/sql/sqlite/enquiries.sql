-- In doubt: the horizon at claim, enquiries, and the warning before a body goes.

-- name: doubtful_since
-- The first send that may have charged, since TPS was believed that it never had the transaction; by this life's
-- schedule clock, whatever life it was sent in. A restored row may have charged by a send that nobody kept: it counts
-- since it was made.
SELECT coalesce(
  (SELECT min(started_at) - coalesce((SELECT value FROM meta WHERE key = 'clock_shift'), 0) FROM attempt
   WHERE uuid = ?1 AND reason <> 'enquiry' AND coalesce(may_have_charged, 1) = 1
     AND number > coalesce((SELECT max(number) FROM attempt WHERE uuid = ?1 AND outcome = 'not_found'), 0)),
  (SELECT created_at FROM authorisation
   WHERE uuid = ?1 AND may_have_charged = 1
     AND NOT EXISTS (SELECT 1 FROM attempt WHERE uuid = ?1 AND outcome = 'not_found')))

-- name: set_aside
UPDATE authorisation
SET state = ?, cause = ?, due = NULL, ran_rested = ?, enquiry_due = ?, enquiries = 0, warned = 0
WHERE uuid = ? AND state = 'pending'

-- name: enquiries_due
-- The states are the index's own words, here and below: SQLite takes a partial index only by them.
SELECT uuid, terminal, timing, state, cause, attempt, fence, enquiries,
       EXISTS (SELECT 1 FROM sealed s WHERE s.owner = uuid AND s.purpose = 'body'), type,
       coalesce(approved_amount, amount)
FROM authorisation
WHERE state IN ('in_doubt', 'pending') AND enquiry_due <= ? /* own */
ORDER BY enquiry_due, uuid
LIMIT ? /* claim */

-- name: enquired_one
SELECT uuid, terminal, timing, state, cause, attempt, fence, enquiries, 0, type, coalesce(approved_amount, amount)
FROM authorisation
WHERE uuid = ?1 AND state = 'in_doubt'
  AND NOT EXISTS (SELECT 1 FROM attempt t WHERE t.uuid = ?1 AND t.reason = 'enquiry' AND t.ended_at IS NULL)

-- name: mark_asked_beside
UPDATE authorisation SET attempt = attempt + 1, fence = fence + 1 WHERE uuid = ?

-- name: shown_of
-- What its passenger was shown by the validator itself; no row where no tap led to it.
SELECT max(shown = 1) FROM tap WHERE uuid = ? HAVING count(*) > 0

-- name: next_enquiry
SELECT min(enquiry_due) FROM authorisation
WHERE state IN ('in_doubt', 'pending') AND enquiry_due IS NOT NULL /* own */

-- name: mark_enquiring
UPDATE authorisation
SET attempt = attempt + 1, fence = fence + 1, enquiries = enquiries + 1, enquiry_due = NULL
WHERE uuid = ?

-- name: is_enquired
SELECT 1 FROM authorisation WHERE uuid = ? AND fence = ? AND state = ? /* lock */

-- name: end_enquiry
UPDATE attempt
SET ended_at = ? + coalesce((SELECT value FROM meta WHERE key = 'clock_shift'), 0), outcome = ?, cause = ?,
    may_have_charged = 0
WHERE uuid = ? AND number = ? AND ended_at IS NULL

-- name: settle_by_enquiry
UPDATE authorisation
SET state = ?, cause = ?, due = NULL, settled_at = ?, ran_rested = NULL,
    approved_amount = coalesce(?, approved_amount), action_code = ?, enquiry_due = NULL
WHERE uuid = ?

-- name: release_by_enquiry
UPDATE authorisation
SET state = 'pending', cause = NULL, due = ?, release = release + 1, sends = 0, ran_rested = NULL, enquiries = 0,
    warned = 0
WHERE uuid = ?

-- name: ask_again
UPDATE authorisation SET enquiry_due = ? WHERE uuid = ?

-- name: ask_soon
-- What was found beside the series is not written: the series finds it again, or one more enquiry does.
UPDATE authorisation SET enquiry_due = coalesce(enquiry_due, ?) WHERE uuid = ? AND fence = ? AND state = 'in_doubt'

-- name: control
SELECT uuid FROM authorisation
WHERE state = 'approved' AND settled_at BETWEEN ? AND ?
  AND EXISTS (SELECT 1 FROM attempt t WHERE t.uuid = authorisation.uuid AND t.outcome = 'approved')
ORDER BY settled_at DESC
LIMIT 1

-- name: enquiries_left_open
SELECT a.uuid, a.terminal, a.timing, a.state, a.cause, t.number, a.fence, a.enquiries,
       EXISTS (SELECT 1 FROM sealed s WHERE s.owner = a.uuid AND s.purpose = 'body'), a.type,
       coalesce(a.approved_amount, a.amount), t.started_at
FROM attempt t JOIN authorisation a ON a.uuid = t.uuid
WHERE t.reason = 'enquiry' AND t.ended_at IS NULL /* own a */ /* lock a */

-- name: pull_enquiries
UPDATE authorisation SET enquiry_due = ? WHERE state IN ('in_doubt', 'pending') AND enquiry_due > ? /* own */

-- name: begin_enquiries
-- That TPS never had one which nobody confirmed is no reason to send it.
UPDATE authorisation SET enquiry_due = ?
WHERE state IN ('held', 'permanently_failed', 'in_doubt') AND state = 'in_doubt' AND enquiries = 0
  AND enquiry_due IS NULL AND coalesce(cause, '') <> 'unconfirmed' /* own */

-- name: enquiries_to_end
SELECT uuid, state, cause FROM authorisation
WHERE state IN ('in_doubt', 'pending') AND enquiry_due IS NOT NULL /* own */
LIMIT ?

-- name: bodies_going
SELECT uuid, coalesce(cause, state) FROM authorisation
WHERE state IN ('held', 'permanently_failed', 'in_doubt') AND state = ? AND warned = 0 AND ran_rested <= ?
  AND EXISTS (SELECT 1 FROM sealed s WHERE s.owner = uuid)
LIMIT ?

-- name: mark_warned
UPDATE authorisation SET warned = 1 WHERE uuid = ?
