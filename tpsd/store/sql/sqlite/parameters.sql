-- Stop list and EMV parameters, as they come.

-- name: parameters_of
SELECT version, list, in_force, token, whole_at FROM feed_parameters WHERE kind = ?

-- name: parameters_all
SELECT kind FROM feed_parameters ORDER BY kind

-- name: parameters_count
SELECT count(*) FROM feed_record WHERE kind = ? AND list = ?

-- name: parameters_begin
INSERT INTO feed_parameters (kind) VALUES (?) ON CONFLICT DO NOTHING

-- name: parameters_heard
UPDATE feed_parameters SET version = :version, list = :list, in_force = :in_force, token = :token,
  whole_at = coalesce(:whole_at, whole_at)
WHERE kind = :kind

-- name: parameters_insert
INSERT INTO feed_record (kind, list, version, heard_at, action, raw) VALUES (?, ?, ?, ?, ?, ?)

-- name: parameters_empty
DELETE FROM feed_record WHERE kind = ? AND list = ?

-- name: parameters_old
DELETE FROM feed_record WHERE id IN (SELECT id FROM feed_record WHERE kind = ? AND list < ? LIMIT ?)
