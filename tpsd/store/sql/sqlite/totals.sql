-- Everything that was ever kept, counted page by page: a journal of a year must not stop a verdict while it is counted.

-- name: last_tap
SELECT coalesce(max(id), 0) FROM tap

-- name: tap_totals
SELECT verdict, disposition, count(*) FROM tap WHERE id > ? AND id <= ? GROUP BY verdict, disposition

-- name: authorisation_page
SELECT uuid FROM authorisation WHERE uuid > ? ORDER BY uuid LIMIT 1 OFFSET ?

-- name: authorisation_totals
SELECT state, count(*), coalesce(sum(attempt), 0) FROM authorisation WHERE uuid > ? AND uuid <= ? GROUP BY state

-- name: oldest_waiting
SELECT min(created_at) FROM authorisation WHERE state = 'pending' AND body_digest IS NOT NULL

-- name: oldest_unsealed
SELECT min(created_at) FROM authorisation WHERE state = 'pending' AND body_digest IS NULL
