-- name: lock_authorisation
-- Nobody else changes it until this transaction ends: SQLite has nobody else.
SELECT 1 FROM authorisation WHERE uuid = ? /* lock */

-- name: standing
SELECT a.uuid, a.state, a.cause, a.terminal, a.lane, a.credential /* held */, a.amount, a.currency, a.may_have_charged,
       a.created_at,
       a.body_digest IS NOT NULL AND EXISTS (SELECT 1 FROM sealed s WHERE s.owner = a.uuid AND s.purpose = 'body'),
       EXISTS (SELECT 1 FROM sealed s WHERE s.owner = a.uuid AND s.purpose = 'tap'),
       a.body_digest IS NULL
FROM authorisation a WHERE a.uuid = ?

-- name: standing_page
-- The states are the index's own words, because SQLite takes a partial index only by them.
SELECT uuid, created_at FROM authorisation
WHERE state IN ('held', 'permanently_failed', 'in_doubt') AND cause = ? AND (created_at, uuid) > (?, ?)
  AND created_at >= ? AND state IN (SELECT value FROM json_each(?))
ORDER BY created_at, uuid
LIMIT ?

-- name: resting_by_cause
SELECT cause, created_at, uuid, amount, currency FROM authorisation INDEXED BY authorisation_cause
WHERE state IN ('held', 'permanently_failed', 'in_doubt') AND state = ? AND (cause, created_at, uuid) > (?, ?, ?)
ORDER BY cause, created_at, uuid
LIMIT ?

-- name: holds
SELECT cause, since, canary_due FROM hold

-- name: doubt_rows
SELECT t.id, t.serial, t.boot, t.counter, a.uuid, a.lane, t.tapped_at, a.amount, a.currency, t.masked, a.cause,
       a.attempt, a.enquiries, a.enquiry_due,
       EXISTS (SELECT 1 FROM sealed s WHERE s.owner = a.uuid AND s.purpose = 'body')
FROM authorisation a INDEXED BY authorisation_cause
LEFT JOIN tap t ON t.id = (SELECT min(id) FROM tap x WHERE x.uuid = a.uuid)
WHERE a.state IN ('held', 'permanently_failed', 'in_doubt') AND a.state = 'in_doubt'
ORDER BY a.cause, a.created_at, a.uuid
LIMIT ?

-- name: awaited_rows
-- Check-outs between two tries: the few of them are read from the index of those that free a card of pass-back.
SELECT t.id, t.serial, t.boot, t.counter, a.uuid, coalesce(t.lane, a.lane), t.tapped_at, a.amount, a.currency, t.masked,
       a.cause, a.attempt, a.enquiries, a.enquiry_due,
       EXISTS (SELECT 1 FROM sealed s WHERE s.owner = a.uuid AND s.purpose = 'body')
FROM authorisation a INDEXED BY authorisation_unclear
LEFT JOIN tap t ON t.id = (SELECT max(id) FROM tap x WHERE x.uuid = a.uuid)
WHERE a.state IN ('in_doubt', 'awaiting_tap') AND a.state = 'awaiting_tap' AND a.may_have_charged = 1
ORDER BY a.created_at, a.uuid
LIMIT ?

-- name: release_row
UPDATE authorisation
SET state = 'pending', cause = NULL, due = ?, release = release + 1, sends = 0, fence = fence + 1, ran_rested = NULL,
    warned = 0, enquiries = 0, enquiry_due = NULL
WHERE uuid = ?

-- name: end_row
UPDATE authorisation
SET state = ?, settled_at = ?, replaced_by = ?, fence = fence + 1, ran_rested = NULL, enquiry_due = NULL
WHERE uuid = ?

-- name: kept_tap
SELECT a.uuid, a.type, t.serial, t.type_name, a.lane, t.tapped_at, a.amount, a.currency, t.token,
       s.epoch, s.wrapped_key, s.nonce, s.data
FROM authorisation a
JOIN tap t ON t.id = (SELECT min(id) FROM tap x WHERE x.uuid = a.uuid)
JOIN sealed s ON s.owner = a.uuid AND s.purpose = 'tap'
WHERE a.uuid = ?

-- name: point_taps
UPDATE tap SET uuid = ?, token = ? WHERE uuid = ?

-- name: any_not_rebuildable
SELECT 1 FROM authorisation
WHERE state IN ('pending', 'sending', 'awaiting_tap', 'in_doubt')
  OR (state IN ('held', 'permanently_failed') AND may_have_charged = 1)
LIMIT 1

-- name: has_hold
SELECT 1 FROM hold WHERE cause = ?

-- name: tap_by_replaced_uuid
WITH RECURSIVE later (uuid) AS (
  SELECT replaced_by FROM authorisation WHERE uuid >= ? AND uuid < ? AND replaced_by IS NOT NULL
  UNION
  SELECT a.replaced_by FROM authorisation a JOIN later ON later.uuid = a.uuid WHERE a.replaced_by IS NOT NULL
)
SELECT (SELECT max(t.id) FROM tap t WHERE t.uuid = later.uuid) AS found FROM later WHERE found IS NOT NULL LIMIT 2
