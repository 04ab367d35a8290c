-- name: wound_attempt_number
UPDATE authorisation
SET attempt = greatest((SELECT coalesce(max(t.number), 0) FROM attempt t WHERE t.uuid = :uuid),
                       (state = 'sending')::int)
WHERE uuid = :uuid
  AND attempt < greatest((SELECT coalesce(max(t.number), 0) FROM attempt t WHERE t.uuid = :uuid),
                         (state = 'sending')::int)

-- name: wound_attempt_missing
INSERT INTO attempt (uuid, number, release, reason, started_at)
SELECT a.uuid, a.attempt, a.release, 'ladder',
       :at + clock_shift()
FROM authorisation a
WHERE a.uuid = :uuid AND a.attempt > 0
  AND NOT EXISTS (SELECT 1 FROM attempt t WHERE t.uuid = a.uuid AND t.number = a.attempt)

-- name: wound_attempt_open
UPDATE attempt
SET ended_at = :at + clock_shift(), outcome = 'unknown',
    cause = 'crash', may_have_charged = 1
WHERE uuid = :uuid AND ended_at IS NULL AND reason <> 'enquiry'
  AND NOT EXISTS (SELECT 1 FROM authorisation a
                  WHERE a.uuid = :uuid AND a.state = 'sending' AND a.attempt = attempt.number)

-- name: wound_sealed
-- What is no number names no tap; a cast of it would be an error.
SELECT s.owner, s.purpose, a.uuid
FROM sealed s LEFT JOIN authorisation a ON a.uuid = s.owner
WHERE CASE s.purpose
        WHEN 'payload' THEN NOT EXISTS (
          SELECT 1 FROM tap t
          WHERE t.id = CASE WHEN s.owner ~ '^tap:[0-9]{1,18}$' THEN CAST(substr(s.owner, 5) AS bigint) END)
        ELSE a.uuid IS NULL OR a.state IN ('approved', 'declined', 'tap_refused', 'failed', 'not_charged', 'closed')
      END

-- name: wound_epoch_reopened
INSERT INTO epoch (number, ran_opened, ran_closed, taps_before) VALUES (?1, ?2, ?2, 0)
ON CONFLICT (number) DO UPDATE SET destroyed = 0, ran_closed = coalesce(epoch.ran_closed, excluded.ran_closed)
