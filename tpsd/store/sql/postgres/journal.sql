-- What PostgreSQL needs in other words than SQLite, here and beside: the same names, bindings and columns.

-- name: insert_attempt
INSERT INTO attempt (uuid, number, release, reason, started_at)
SELECT uuid, attempt, release, ?, ? + clock_shift()
FROM authorisation WHERE uuid = ?

-- name: mark_sending
-- An array made first: what PostgreSQL does not know to be short, it would look for in the whole table.
UPDATE authorisation SET state = 'sending', due = NULL, attempt = attempt + 1, sends = sends + 1, fence = fence + 1
WHERE uuid = ANY (ARRAY(SELECT json_array_elements_text(?::json)))

-- name: insert_attempts
INSERT INTO attempt (uuid, number, release, reason, started_at)
SELECT uuid, attempt, release, ?, ? + clock_shift()
FROM authorisation WHERE uuid = ANY (ARRAY(SELECT json_array_elements_text(?::json)))

-- name: end_attempt
UPDATE attempt
SET ended_at = ? + clock_shift(), outcome = ?, cause = ?,
    may_have_charged = ?
WHERE uuid = ? AND number = ?

-- name: without_credential
SELECT uuid FROM authorisation
WHERE state = 'pending' AND credential NOT IN (SELECT value FROM json_array_elements_text(?::json)) /* own */

-- name: hold_without_credential
UPDATE authorisation SET state = 'held', cause = 'no_credential', due = NULL, ran_rested = ?
WHERE state = 'pending' AND credential NOT IN (SELECT value FROM json_array_elements_text(?::json)) /* own */

-- name: free_with_credential
UPDATE authorisation SET state = 'pending', cause = NULL, due = ?, ran_rested = NULL
WHERE state = 'held' AND cause = 'no_credential'
  AND credential IN (SELECT value FROM json_array_elements_text(?::json)) /* own */

-- name: tap_rows
-- A binding that may be NULL says of what type it is where it stands first.
SELECT t.id, t.serial, t.boot, t.counter, t.lane, t.terminal, t.kind, t.tapped_at, t.received_at,
       coalesce(a.amount, t.amount), coalesce(a.currency, t.currency), t.masked, t.verdict, t.reason, t.disposition,
       t.repeats, t.unseen = 1 OR coalesce(t.delivered, 1) <> 1, t.uuid, a.state, a.cause, coalesce(a.attempt, 0),
       a.due, coalesce(a.may_have_charged, 0)
FROM tap t LEFT JOIN authorisation a ON a.uuid = t.uuid
WHERE (:lane::text IS NULL OR t.lane = :lane)
  AND (:state::text IS NULL OR a.state = :state OR t.disposition = :state
       OR (:state = 'unseen' AND (t.unseen = 1 OR t.delivered IN (0, 2))))
  AND (:cause::text IS NULL OR a.cause = :cause OR t.reason = :cause)
ORDER BY t.id DESC LIMIT :limit

-- name: tap_row
SELECT t.id, t.serial, t.boot, t.counter, t.lane, t.terminal, t.kind, t.tapped_at, t.received_at,
       coalesce(a.amount, t.amount), coalesce(a.currency, t.currency), t.masked, t.verdict, t.reason, t.disposition,
       t.repeats, t.unseen = 1 OR coalesce(t.delivered, 1) <> 1, t.uuid, a.state, a.cause, coalesce(a.attempt, 0),
       a.due, coalesce(a.may_have_charged, 0)
FROM tap t LEFT JOIN authorisation a ON a.uuid = t.uuid
WHERE t.id = ?
