-- A page's first and last due times stand alone too: of pairs compared with pairs PostgreSQL does not know how few
-- there are, and would read all that waits for every page.

-- name: pending_counts
SELECT ladder, sends, count(*), min(due), min(created_at), min(created_at) FILTER (WHERE release = 1), 0
FROM authorisation
WHERE state = 'pending' AND body_digest IS NOT NULL AND due >= ?1 AND due <= ?3
  AND (due, uuid) > (?1, ?2) AND (due, uuid) <= (?3, ?4)
GROUP BY ladder, sends

-- name: unsealed_counts
SELECT ladder, sends, count(*), min(due), min(created_at), min(created_at) FILTER (WHERE release = 1), count(*)
FROM authorisation
WHERE state = 'pending' AND body_digest IS NULL AND due >= ?1 AND due <= ?3
  AND (due, uuid) > (?1, ?2) AND (due, uuid) <= (?3, ?4)
GROUP BY ladder, sends
