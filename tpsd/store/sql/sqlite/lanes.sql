-- Lanes closed by hand, their last devices, and what waits by lane. The pages are those of figures.sql.

-- name: meta_of_lanes
SELECT key, value FROM meta WHERE key >= ?1 AND key < ?1 || char(0x10FFFF)

-- name: end_meta
DELETE FROM meta WHERE key = ?

-- name: pending_lanes
SELECT lane, count(*), 0, min(created_at) FROM authorisation INDEXED BY authorisation_due
WHERE state = 'pending' AND body_digest IS NOT NULL AND (due, uuid) > (?, ?) AND (due, uuid) <= (?, ?) /* own */
GROUP BY lane

-- name: unsealed_lanes
SELECT lane, count(*), 0, min(created_at) FROM authorisation INDEXED BY authorisation_bodiless
WHERE state = 'pending' AND body_digest IS NULL AND (due, uuid) > (?, ?) AND (due, uuid) <= (?, ?) /* own */
GROUP BY lane

-- name: resting_lanes
SELECT lane, 0, count(*), NULL FROM authorisation INDEXED BY authorisation_cause
WHERE state IN ('held', 'permanently_failed', 'in_doubt') AND state = 'held'
  AND (cause, created_at, uuid) > (?, ?, ?) AND (cause, created_at, uuid) <= (?, ?, ?) /* own */
GROUP BY lane
