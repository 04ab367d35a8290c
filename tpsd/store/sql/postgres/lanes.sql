-- name: meta_of_lanes
SELECT key, value FROM meta WHERE key >= ?1 AND key < ?1::text || chr(1114111)

-- name: pending_lanes
-- The due times stand alone too, as in figures.sql.
SELECT lane, count(*), 0, min(created_at) FROM authorisation
WHERE state = 'pending' AND body_digest IS NOT NULL AND due >= ?1 AND due <= ?3
  AND (due, uuid) > (?1, ?2) AND (due, uuid) <= (?3, ?4) /* own */
GROUP BY lane

-- name: unsealed_lanes
SELECT lane, count(*), 0, min(created_at) FROM authorisation
WHERE state = 'pending' AND body_digest IS NULL AND due >= ?1 AND due <= ?3
  AND (due, uuid) > (?1, ?2) AND (due, uuid) <= (?3, ?4) /* own */
GROUP BY lane
