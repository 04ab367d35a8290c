-- Commit 2 in one statement, where a statement takes as long as its way to the server and back.

-- name: claim_together
-- Of the oldest due rows those that cannot have charged; the others are looked at one by one, and are only locked here.
-- While a canary is due none of them: it goes before them.
WITH found AS MATERIALIZED (
  SELECT a.uuid, a.due FROM authorisation a
  WHERE a.state = 'pending' AND a.body_digest IS NOT NULL AND a.due <= ?1 /* own a */
    AND NOT EXISTS (SELECT 1 FROM hold WHERE canary_due <= ?1)
  ORDER BY a.due, a.uuid
  LIMIT ?2 /* claim a */
), sent AS (
  UPDATE authorisation a
  SET state = 'sending', due = NULL, attempt = attempt + 1, sends = sends + 1, fence = fence + 1
  FROM found
  WHERE a.uuid = found.uuid AND a.may_have_charged = 0
  RETURNING a.uuid, a.terminal, a.path, a.credential, a.attempt, a.sends, a.fence, a.ladder, a.amount, a.release,
            found.due
), noted AS (
  INSERT INTO attempt (uuid, number, release, reason, started_at)
  SELECT uuid, attempt, release, 'ladder', ?1 + clock_shift() FROM sent
)
SELECT a.uuid, a.terminal, a.path, a.credential, a.attempt - 1, a.sends - 1, a.fence - 1, 0, l.tiers, a.amount,
       s.epoch, s.wrapped_key, s.nonce, s.data
FROM sent a
JOIN ladder l ON l.id = a.ladder
LEFT JOIN sealed s ON s.owner = a.uuid AND s.purpose = 'body'
ORDER BY a.due, a.uuid
