-- What a database is asked by who has a spool before it.

-- name: spooled_row
SELECT t.id, t.uuid, a.state, a.cause,
       (SELECT count(*) FROM attempt p WHERE p.uuid = t.uuid AND coalesce(p.outcome, '') <> 'not_sent')
FROM tap t LEFT JOIN authorisation a ON a.uuid = t.uuid
WHERE t.serial = ? AND t.boot = ? AND t.counter = ? AND t.digest = ?

-- name: spooled_unnamed
SELECT t.id, t.uuid, a.state, a.cause,
       (SELECT count(*) FROM attempt p WHERE p.uuid = t.uuid AND coalesce(p.outcome, '') <> 'not_sent')
FROM tap t LEFT JOIN authorisation a ON a.uuid = t.uuid
WHERE t.serial = ? AND t.digest = ? AND t.boot IS NULL

-- name: spooled_told
UPDATE tap
SET verdict = ?, reason = ?, note = ?, shown = ?, list_version = ?, uuid = coalesce(uuid, ?),
    disposition = CASE WHEN uuid IS NULL THEN ? END
WHERE id = ?

-- name: spooled_cancel
UPDATE authorisation SET state = 'not_charged', cause = ?, due = NULL, settled_at = ?
WHERE uuid = ? AND (state IN ('pending', 'held') OR (state = 'in_doubt' AND cause = 'unconfirmed'))
  AND NOT EXISTS (SELECT 1 FROM attempt p WHERE p.uuid = authorisation.uuid AND coalesce(p.outcome, '') <> 'not_sent')

-- name: spooled_resume
UPDATE authorisation SET state = 'pending', cause = NULL, due = ?, ran_rested = NULL
WHERE uuid = ? AND state = 'in_doubt' AND cause = ?

-- name: spooled_repeats
UPDATE tap SET repeats = ? WHERE id = ? AND repeats < ?

-- name: notice_of_tap
SELECT 1 FROM notice WHERE tap = ? AND kind = ? AND cause = ? LIMIT 1

-- name: deny_page
SELECT token FROM deny WHERE generation = ? AND token > ? ORDER BY token LIMIT ?
