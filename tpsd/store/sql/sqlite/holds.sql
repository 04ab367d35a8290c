-- name: begin_hold
INSERT INTO hold (cause, terminal, since, canary_due) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING

-- name: held_cause
SELECT cause FROM hold WHERE terminal = ? ORDER BY since DESC, cause DESC LIMIT 1

-- name: end_hold
DELETE FROM hold WHERE cause = ?

-- name: lock_hold
-- Nobody begins to hold under it until this transaction ends: SQLite has nobody else.
SELECT 1 FROM hold WHERE cause = ? /* lock */

-- name: end_empty_hold
-- A canary under way is one of the held and keeps its cause while it is sent.
DELETE FROM hold
WHERE cause = ?
  AND NOT EXISTS (SELECT 1 FROM authorisation a
                  WHERE a.state IN ('held', 'permanently_failed', 'in_doubt') AND a.state = 'held'
                    AND a.cause = hold.cause)
  AND NOT EXISTS (SELECT 1 FROM authorisation a WHERE a.state = 'sending' AND a.cause = hold.cause)

-- name: next_canary
SELECT min(canary_due) FROM hold WHERE canary_due IS NOT NULL

-- name: canaries_due
SELECT cause FROM hold WHERE canary_due <= ? ORDER BY canary_due, cause LIMIT ?

-- name: canary_gone
UPDATE hold SET canary_due = ? WHERE cause = ?

-- name: canary_row
SELECT a.uuid, a.terminal, a.path, a.credential, a.attempt, a.sends, a.fence, a.may_have_charged, l.tiers, a.amount,
       s.epoch, s.wrapped_key, s.nonce, s.data
FROM authorisation a
JOIN ladder l ON l.id = a.ladder
JOIN sealed s ON s.owner = a.uuid AND s.purpose = 'body'
WHERE a.state IN ('held', 'permanently_failed', 'in_doubt') AND a.state = 'held'
  AND a.cause = ? AND a.may_have_charged = 0 AND a.body_digest IS NOT NULL /* own a */
ORDER BY a.created_at, a.uuid
LIMIT 1 /* claim a */

-- name: canary_sending
UPDATE authorisation SET state = 'sending', attempt = attempt + 1, fence = fence + 1 WHERE uuid = ?

-- name: hold_again
-- It rests since it first did, a canary does not lengthen the time its body may be kept.
UPDATE authorisation SET state = 'held', may_have_charged = ? WHERE uuid = ?

-- name: ladder_anew
UPDATE authorisation SET release = release + 1, sends = 0, warned = 0 WHERE uuid = ?

-- name: pull_canaries
UPDATE hold SET canary_due = ? WHERE canary_due > ? /* own */
