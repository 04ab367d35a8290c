-- Numbers for health, metrics and the queue: indexes of hot rows only, page by page. A page ends at the key that
-- "…_page" gives, and is the last where it gives none. The indexes are named: a planner with statistics would scan.

-- name: ladders
SELECT id, tiers FROM ladder

-- name: pending_page
SELECT due, uuid FROM authorisation INDEXED BY authorisation_due
WHERE state = 'pending' AND body_digest IS NOT NULL AND (due, uuid) > (?, ?)
ORDER BY due, uuid LIMIT 1 OFFSET ?

-- name: pending_counts
SELECT ladder, sends, count(*), min(due), min(created_at), min(created_at) FILTER (WHERE release = 1), 0
FROM authorisation INDEXED BY authorisation_due
WHERE state = 'pending' AND body_digest IS NOT NULL AND (due, uuid) > (?, ?) AND (due, uuid) <= (?, ?)
GROUP BY ladder, sends

-- name: unsealed_page
SELECT due, uuid FROM authorisation INDEXED BY authorisation_bodiless
WHERE state = 'pending' AND body_digest IS NULL AND (due, uuid) > (?, ?)
ORDER BY due, uuid LIMIT 1 OFFSET ?

-- name: unsealed_counts
SELECT ladder, sends, count(*), min(due), min(created_at), min(created_at) FILTER (WHERE release = 1), count(*)
FROM authorisation INDEXED BY authorisation_bodiless
WHERE state = 'pending' AND body_digest IS NULL AND (due, uuid) > (?, ?) AND (due, uuid) <= (?, ?)
GROUP BY ladder, sends

-- name: resting_page
SELECT cause, created_at, uuid FROM authorisation INDEXED BY authorisation_cause
WHERE state IN ('held', 'permanently_failed', 'in_doubt') AND (cause, created_at, uuid) > (?, ?, ?)
ORDER BY cause, created_at, uuid LIMIT 1 OFFSET ?

-- name: resting_counts
SELECT state, cause, count(*), min(created_at) FROM authorisation INDEXED BY authorisation_cause
WHERE state IN ('held', 'permanently_failed', 'in_doubt')
  AND (cause, created_at, uuid) > (?, ?, ?) AND (cause, created_at, uuid) <= (?, ?, ?)
GROUP BY state, cause

-- name: resting_without_cause
SELECT state, '', count(*), min(created_at) FROM authorisation INDEXED BY authorisation_cause
WHERE state IN ('held', 'permanently_failed', 'in_doubt') AND cause IS NULL
GROUP BY state

-- name: sending_now
SELECT count(*), min(created_at) FROM authorisation INDEXED BY authorisation_sending WHERE state = 'sending'

-- name: awaiting_oldest
SELECT min(created_at) FROM authorisation INDEXED BY authorisation_unclear WHERE state IN ('in_doubt', 'awaiting_tap') AND state = 'awaiting_tap'

-- name: mails_unaccepted
SELECT count(*), min(created_at) FROM mail WHERE accepted_at IS NULL
