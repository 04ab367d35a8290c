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

-- name: spooled_asked
-- Locked: a former connection may be about to commit an answer.
SELECT state FROM authorisation WHERE uuid = ? /* lock */

-- name: spooled_shown
UPDATE tap
SET shown = ?, note = ?, unseen = CASE WHEN ? = 1 THEN 1 ELSE unseen END, delivered = coalesce(?, delivered)
WHERE id = ?

-- name: spooled_follower
SELECT 1 FROM authorisation WHERE initial_uuid = ? LIMIT 1

-- name: spooled_given_back
-- What gives a payment back whose passenger was turned away, as far as the database knows.
SELECT f.uuid FROM tap t JOIN authorisation f ON f.initial_uuid = t.uuid
WHERE t.id = ? AND t.verdict NOT IN (1, 5, 6) ORDER BY f.uuid

-- name: spooled_delivered
UPDATE tap SET delivered = 1 WHERE uuid = ? AND delivered = 0

-- name: asked_lately
-- Realtime taps of this daemon among the last of all, the oldest first; as many as are remembered.
SELECT t.serial, t.boot, t.counter, t.digest, t.id, t.verdict, t.reason, t.shown, t.uuid,
       CASE WHEN t.verdict IN (1, 5, 6) THEN coalesce(a.approved_amount, a.amount) END
FROM (SELECT * FROM tap ORDER BY id DESC LIMIT 4096) t LEFT JOIN authorisation a ON a.uuid = t.uuid
WHERE t.made_at IS NOT NULL /* own t */
ORDER BY t.id

-- name: doubted
SELECT uuid, token, type, lane, amount FROM authorisation
WHERE state IN ('in_doubt', 'awaiting_tap') AND state = 'in_doubt' AND timing = 'realtime' AND token IS NOT NULL
  AND initial_uuid IS NULL
ORDER BY created_at DESC LIMIT ?

-- name: notice_of_tap
SELECT 1 FROM notice WHERE tap = ? AND kind = ? AND cause = ? LIMIT 1

-- name: deny_page
SELECT token FROM deny WHERE generation = ? AND token > ? ORDER BY token LIMIT ?
