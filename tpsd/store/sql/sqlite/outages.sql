-- name: outage
SELECT since, told FROM outage WHERE host = ? AND ended_at IS NULL /* own */

-- name: forget_outages
DELETE FROM outage WHERE host <> ? /* own */

-- name: begin_outage
INSERT INTO outage (host, since) VALUES (?, ?)
ON CONFLICT (host) DO UPDATE
SET since = excluded.since, told = 0, ended_at = NULL, over_us = NULL, seed = NULL, past_due = 0, past_uuid = '', place = 0
WHERE ended_at IS NOT NULL

-- name: outage_told
UPDATE outage SET told = 1 WHERE host = ? AND told = 0 /* own */

-- name: end_outage
DELETE FROM outage WHERE host = ? /* own */

-- name: begin_spread
UPDATE outage SET ended_at = ?, over_us = ?, seed = ? WHERE host = ? /* own */

-- name: count_waiting
SELECT count(*) + (SELECT count(*) FROM authorisation
                   WHERE state = 'pending' AND body_digest IS NULL AND due <= :now /* own */)
FROM authorisation
WHERE state = 'pending' AND body_digest IS NOT NULL AND created_at <= :now AND due <= :now /* own */

-- name: spread_under_way
SELECT host, ended_at, over_us, seed, past_due, past_uuid, place FROM outage
WHERE ended_at IS NOT NULL /* own */ LIMIT 1

-- name: spread_slice
SELECT uuid, due, terminal, sends FROM authorisation
WHERE state = 'pending' AND body_digest IS NOT NULL AND (due, uuid) > (?, ?) AND due <= ? /* own */
ORDER BY due, uuid LIMIT ?

-- name: spread_one
UPDATE authorisation SET due = ? WHERE uuid = ?

-- name: spread_past
UPDATE outage SET past_due = ?, past_uuid = ?, place = ? WHERE host = ? /* own */

-- name: uncount_send
UPDATE authorisation SET sends = sends - 1 WHERE uuid = ?

-- name: claim_old
SELECT a.uuid, a.terminal, a.path, a.credential, a.attempt, a.sends, a.fence, a.may_have_charged, l.tiers, a.amount,
       s.epoch, s.wrapped_key, s.nonce, s.data
FROM authorisation a
JOIN ladder l ON l.id = a.ladder
LEFT JOIN sealed s ON s.owner = a.uuid AND s.purpose = 'body'
WHERE a.uuid IN (SELECT uuid FROM authorisation
                 WHERE state = 'pending' AND body_digest IS NOT NULL AND created_at <= ? AND due <= ? /* own */
                 ORDER BY created_at, uuid LIMIT ?)
ORDER BY a.created_at, a.uuid /* claim a */

-- name: pull_first_sends
-- A first send is due when its tap was made, or spread after that: later than now, it is of a clock that was ahead.
UPDATE authorisation SET due = :now
WHERE uuid IN (SELECT uuid FROM authorisation WHERE state = 'pending' AND body_digest IS NOT NULL AND due > :now /* own */
               UNION ALL
               SELECT uuid FROM authorisation WHERE state = 'pending' AND body_digest IS NULL AND due > :now /* own */)
  AND sends = 0 AND (created_at > :now OR due > :latest)
