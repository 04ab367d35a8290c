-- What a start looks for and mends: contradictions that no crash leaves, because every commit is whole.

-- name: wounded
-- The states are the partial indexes' own words: rows that are final are not looked at, however many there are.
WITH unfinished (uuid) AS (
  SELECT uuid FROM authorisation WHERE state = 'pending' AND body_digest IS NOT NULL
  UNION ALL SELECT uuid FROM authorisation WHERE state = 'pending' AND body_digest IS NULL
  UNION ALL SELECT uuid FROM authorisation WHERE state = 'sending'
  UNION ALL SELECT uuid FROM authorisation WHERE state IN ('held', 'permanently_failed', 'in_doubt')
  UNION ALL SELECT uuid FROM authorisation WHERE state IN ('in_doubt', 'awaiting_tap') AND state = 'awaiting_tap'
)
SELECT a.uuid FROM unfinished u JOIN authorisation a ON a.uuid = u.uuid
WHERE a.settled_at IS NOT NULL
   OR a.attempt <> coalesce((SELECT max(t.number) FROM attempt t WHERE t.uuid = a.uuid), 0)
   OR a.state = 'sending' AND a.attempt = 0
   OR a.state IN ('held', 'permanently_failed', 'in_doubt') AND a.ran_rested IS NULL
   OR EXISTS (SELECT 1 FROM attempt t
              WHERE t.uuid = a.uuid AND t.reason <> 'enquiry'
                AND (t.ended_at IS NULL AND NOT (a.state = 'sending' AND t.number = a.attempt)
                     OR t.may_have_charged = 1 AND a.may_have_charged = 0))

-- name: wounded_finals
SELECT a.uuid FROM authorisation a
WHERE a.state IN ('approved', 'declined', 'tap_refused', 'failed', 'not_charged', 'closed')
  AND (a.settled_at IS NULL
       OR a.attempt <> coalesce((SELECT max(t.number) FROM attempt t WHERE t.uuid = a.uuid), 0)
       OR EXISTS (SELECT 1 FROM attempt t
                  WHERE t.uuid = a.uuid AND t.reason <> 'enquiry'
                    AND (t.ended_at IS NULL OR t.may_have_charged = 1 AND a.may_have_charged = 0)))

-- name: wound_attempt_number
UPDATE authorisation
SET attempt = max((SELECT coalesce(max(t.number), 0) FROM attempt t WHERE t.uuid = :uuid), state = 'sending')
WHERE uuid = :uuid
  AND attempt < max((SELECT coalesce(max(t.number), 0) FROM attempt t WHERE t.uuid = :uuid), state = 'sending')

-- name: wound_attempt_missing
-- Its number was counted, so it was claimed; nobody knows when.
INSERT INTO attempt (uuid, number, release, reason, started_at)
SELECT a.uuid, a.attempt, a.release, 'ladder', :at + coalesce((SELECT value FROM meta WHERE key = 'clock_shift'), 0)
FROM authorisation a
WHERE a.uuid = :uuid AND a.attempt > 0
  AND NOT EXISTS (SELECT 1 FROM attempt t WHERE t.uuid = a.uuid AND t.number = a.attempt)

-- name: wound_attempt_open
UPDATE attempt
SET ended_at = :at + coalesce((SELECT value FROM meta WHERE key = 'clock_shift'), 0), outcome = 'unknown',
    cause = 'crash', may_have_charged = 1
WHERE uuid = :uuid AND ended_at IS NULL AND reason <> 'enquiry'
  AND NOT EXISTS (SELECT 1 FROM authorisation a
                  WHERE a.uuid = :uuid AND a.state = 'sending' AND a.attempt = attempt.number)

-- name: wound_doubt_forgotten
UPDATE authorisation SET may_have_charged = 1
WHERE uuid = :uuid AND may_have_charged = 0
  AND EXISTS (SELECT 1 FROM attempt t WHERE t.uuid = :uuid AND t.reason <> 'enquiry' AND t.may_have_charged = 1)

-- name: wound_end_taken_back
UPDATE authorisation SET settled_at = NULL
WHERE uuid = :uuid AND settled_at IS NOT NULL
  AND state NOT IN ('approved', 'declined', 'tap_refused', 'failed', 'not_charged', 'closed')

-- name: wound_rest_undated
UPDATE authorisation SET ran_rested = :ran
WHERE uuid = :uuid AND ran_rested IS NULL AND state IN ('held', 'permanently_failed', 'in_doubt')

-- name: wound_final_undated
UPDATE authorisation SET settled_at = :at
WHERE uuid = :uuid AND settled_at IS NULL
  AND state IN ('approved', 'declined', 'tap_refused', 'failed', 'not_charged', 'closed')

-- name: wound_sealed
-- By the index of names alone: what is sealed is not read. Whose tap is final, and what is nobody's.
SELECT s.owner, s.purpose, a.uuid
FROM sealed s LEFT JOIN authorisation a ON a.uuid = s.owner
WHERE CASE s.purpose
        WHEN 'payload' THEN NOT EXISTS (SELECT 1 FROM tap t WHERE t.id = CAST(substr(s.owner, 5) AS INTEGER))
        ELSE a.uuid IS NULL OR a.state IN ('approved', 'declined', 'tap_refused', 'failed', 'not_charged', 'closed')
      END

-- name: wound_epochs
-- Those that are not live although something is sealed under them.
SELECT DISTINCT s.epoch FROM sealed s
WHERE NOT EXISTS (SELECT 1 FROM epoch e WHERE e.number = s.epoch AND e.destroyed = 0)

-- name: wound_sealed_under
SELECT s.owner, s.purpose, a.uuid FROM sealed s LEFT JOIN authorisation a ON a.uuid = s.owner WHERE s.epoch = ?

-- name: wound_erase
DELETE FROM sealed WHERE owner = ? AND purpose = ?

-- name: wound_epoch_reopened
INSERT INTO epoch (number, ran_opened, ran_closed, taps_before) VALUES (?1, ?2, ?2, 0)
ON CONFLICT (number) DO UPDATE SET destroyed = 0, ran_closed = coalesce(ran_closed, excluded.ran_closed)

-- name: wound_epochs_open
UPDATE epoch SET ran_closed = ?
WHERE ran_closed IS NULL AND destroyed = 0 AND number < (SELECT max(number) FROM epoch WHERE destroyed = 0)

-- name: wound_identity_doubled
DELETE FROM identity WHERE EXISTS (SELECT 1 FROM tap t WHERE t.id = identity.number)

-- name: wound_unheard
SELECT DISTINCT n.kind, n.cause FROM notice n
WHERE n.mail IS NULL AND NOT EXISTS (SELECT 1 FROM episode e WHERE e.kind = n.kind AND e.cause = n.cause)

-- name: check_doubt_forgotten
SELECT a.uuid FROM authorisation a
WHERE a.may_have_charged = 0
  AND EXISTS (SELECT 1 FROM attempt t WHERE t.uuid = a.uuid AND t.reason <> 'enquiry' AND t.may_have_charged = 1)
