-- Checking, pruning, copying and restoring the journal.

-- name: repeat_pruned
UPDATE identity SET shown = coalesce(nullif(?, 0), shown) WHERE number = ?

-- name: walk_taps
-- The last tap always stays: its number must never be given to another. A transaction goes with all that follow one
-- another, when each of them is settled and told of, and their journey has ended.
SELECT t.id, t.uuid,
       CASE WHEN t.uuid IS NULL THEN t.received_at < :before
            ELSE NOT EXISTS (
              WITH RECURSIVE family (uuid) AS (
                SELECT coalesce(a.initial_uuid, a.uuid)
                UNION
                SELECT f.uuid FROM family JOIN authorisation f ON f.initial_uuid = family.uuid
              )
              SELECT 1 FROM family JOIN authorisation m ON m.uuid = family.uuid
              WHERE coalesce(m.settled_at >= :before, 1)
                 OR EXISTS (SELECT 1 FROM journey j WHERE j.check_in = m.uuid AND coalesce(j.ended_at >= :before, 1))
                 OR EXISTS (SELECT 1 FROM notice n WHERE n.uuid = m.uuid AND n.mail IS NULL))
       END
       AND NOT EXISTS (SELECT 1 FROM notice n WHERE n.tap = t.id AND n.mail IS NULL)
       AND NOT EXISTS (SELECT 1 FROM sealed s WHERE s.owner = 'tap:' || t.id)
FROM tap t LEFT JOIN authorisation a ON a.uuid = t.uuid
WHERE t.id > :after AND t.id <= :last AND t.id < (SELECT max(id) FROM tap)
ORDER BY t.id LIMIT :limit

-- name: taps_aged
SELECT coalesce(max(taps_before), 0) FROM epoch WHERE ran_opened <= ?

-- name: keep_identities
INSERT INTO identity (number, serial, boot, counter, digest, verdict, reason, disposition, unseen, shown, state,
                      attempts, amount)
SELECT t.id, t.serial, t.boot, t.counter, t.digest, t.verdict, t.reason, t.disposition, t.unseen, t.shown, a.state,
       a.attempt,
       CASE WHEN a.timing = 'realtime' AND t.verdict IN (1, 5, 6) THEN coalesce(a.approved_amount, a.amount) END
FROM tap t LEFT JOIN authorisation a ON a.uuid = t.uuid
WHERE t.id IN (SELECT value FROM json_each(?))

-- name: prune_notices_of_taps
DELETE FROM notice WHERE tap IN (SELECT value FROM json_each(?))

-- name: prune_taps
DELETE FROM tap WHERE id IN (SELECT value FROM json_each(?))

-- name: authorisations_of_nobody
WITH RECURSIVE gone (uuid) AS (
  SELECT value FROM json_each(?) WHERE NOT EXISTS (SELECT 1 FROM tap WHERE tap.uuid = value)
  UNION
  SELECT a.uuid FROM gone JOIN authorisation a ON a.replaced_by = gone.uuid OR a.initial_uuid = gone.uuid
  WHERE NOT EXISTS (SELECT 1 FROM tap WHERE tap.uuid = a.uuid)
)
SELECT uuid FROM gone

-- name: prune_journeys
DELETE FROM journey
WHERE check_in IN (SELECT value FROM json_each(?1)) OR check_out IN (SELECT value FROM json_each(?1))

-- name: prune_notices_of_authorisations
DELETE FROM notice WHERE uuid IN (SELECT value FROM json_each(?))

-- name: prune_attempts
DELETE FROM attempt WHERE uuid IN (SELECT value FROM json_each(?))

-- name: prune_authorisations
DELETE FROM authorisation WHERE uuid IN (SELECT value FROM json_each(?))

-- name: prune_identities
DELETE FROM identity WHERE number IN (SELECT number FROM identity WHERE number <= ? ORDER BY number LIMIT ?)

-- name: prunable_mails
SELECT m.id FROM mail m
WHERE m.accepted_at < ?
  AND NOT EXISTS (SELECT 1 FROM notice n WHERE n.mail = m.id AND (n.tap IS NOT NULL OR n.uuid IS NOT NULL))
ORDER BY m.id LIMIT ?

-- name: prune_notices_of_mails
DELETE FROM notice WHERE mail IN (SELECT value FROM json_each(?))

-- name: prune_mails
DELETE FROM mail WHERE id IN (SELECT value FROM json_each(?))

-- name: check_attempt_open
-- An enquiry is no send: a person may settle its row while it is under way.
SELECT t.uuid || ' attempt ' || t.number FROM attempt t JOIN authorisation a ON a.uuid = t.uuid
WHERE t.ended_at IS NULL AND t.reason <> 'enquiry' AND (a.state <> 'sending' OR a.attempt <> t.number)

-- name: check_sending_unattempted
SELECT a.uuid FROM authorisation a
WHERE a.state = 'sending'
  AND NOT EXISTS (SELECT 1 FROM attempt t WHERE t.uuid = a.uuid AND t.number = a.attempt AND t.ended_at IS NULL)

-- name: check_attempt_number
SELECT a.uuid FROM authorisation a
WHERE a.attempt <> (SELECT coalesce(max(t.number), 0) FROM attempt t WHERE t.uuid = a.uuid)

-- name: check_final_unsettled
SELECT uuid FROM authorisation
WHERE (state IN ('approved', 'declined', 'tap_refused', 'failed', 'not_charged', 'closed')) <> (settled_at IS NOT NULL)

-- name: check_resting_undated
SELECT uuid FROM authorisation
WHERE state IN ('held', 'permanently_failed', 'in_doubt') AND ran_rested IS NULL

-- name: check_final_sealed
SELECT a.uuid || ' ' || s.purpose FROM sealed s JOIN authorisation a ON a.uuid = s.owner
WHERE a.state IN ('approved', 'declined', 'tap_refused', 'failed', 'not_charged', 'closed')

-- name: check_pending_bodiless
SELECT a.uuid FROM authorisation a
WHERE a.state = 'pending' AND a.body_digest IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM sealed s WHERE s.owner = a.uuid AND s.purpose = 'body')

-- name: check_sealed_ownerless
SELECT s.purpose || ' of ' || s.owner FROM sealed s
WHERE CASE s.purpose
        WHEN 'payload' THEN NOT EXISTS (SELECT 1 FROM tap t WHERE t.id = CAST(substr(s.owner, 5) AS INTEGER))
        ELSE NOT EXISTS (SELECT 1 FROM authorisation a WHERE a.uuid = s.owner)
      END

-- name: check_sealed_keyless
SELECT s.purpose || ' of ' || s.owner FROM sealed s LEFT JOIN epoch e ON e.number = s.epoch
WHERE e.destroyed IS NOT 0

-- name: check_epochs_open
SELECT count(*) || ' epochs' FROM epoch WHERE ran_closed IS NULL AND destroyed = 0 HAVING count(*) <> 1

-- name: check_authorisation_tapless
SELECT a.uuid FROM authorisation a
WHERE a.replaced_by IS NULL AND a.initial_uuid IS NULL AND NOT EXISTS (SELECT 1 FROM tap t WHERE t.uuid = a.uuid)

-- name: check_tap_undecided
SELECT 'tap ' || t.id FROM tap t LEFT JOIN authorisation a ON a.uuid = t.uuid
WHERE t.verdict IS NULL AND a.state IS NOT 'sending'

-- name: check_journey_astray
-- A check-out of which only a part was approved is given back, and ends no journey.
SELECT 'journey ' || j.id || ', ' || j.state
FROM journey j JOIN authorisation i ON i.uuid = j.check_in LEFT JOIN authorisation o ON o.uuid = j.check_out
WHERE i.state <> 'approved'
   OR CASE j.state WHEN 'open'         THEN o.uuid IS NOT NULL
                   WHEN 'checking_out' THEN o.uuid IS NULL
                   WHEN 'by_hand'      THEN o.uuid IS NULL OR o.settled_at IS NOT NULL
                   WHEN 'closed'       THEN o.state IS NOT 'approved'
                   ELSE 0 END
   OR (j.state IN ('checking_out', 'ended_unpaid', 'expired') AND o.state = 'approved'
       AND NOT EXISTS (SELECT 1 FROM authorisation r WHERE r.initial_uuid = o.uuid AND r.type = 'RETAIL_REFUND'))

-- name: check_identity_doubled
SELECT 'tap ' || i.number FROM identity i
WHERE EXISTS (SELECT 1 FROM tap t WHERE t.id = i.number)

-- name: check_notice_unheard
SELECT 'notice ' || n.id FROM notice n
WHERE n.mail IS NULL AND NOT EXISTS (SELECT 1 FROM episode e WHERE e.kind = n.kind AND e.cause = n.cause)

-- name: count_unfinished
SELECT state, count(*) FROM authorisation WHERE settled_at IS NULL GROUP BY state

-- name: restore_attempts
UPDATE attempt SET ended_at = ?, outcome = 'unknown', cause = 'restored', may_have_charged = (reason <> 'enquiry')
WHERE ended_at IS NULL

-- name: restore_notices
INSERT INTO notice (kind, cause, detail, tap, uuid, created_at)
SELECT ?, ?, ?,
       coalesce((SELECT min(t.id) FROM tap t WHERE t.uuid = a.uuid),
                (SELECT min(t.id) FROM tap t WHERE t.uuid = a.initial_uuid),
                (SELECT min(t.id) FROM authorisation b JOIN tap t ON t.uuid = b.initial_uuid
                 WHERE b.uuid = a.initial_uuid)),
       a.uuid, ?
FROM authorisation a WHERE a.state IN ('pending', 'sending', 'awaiting_tap', 'held')
ORDER BY a.created_at

-- name: restore_working
UPDATE authorisation
SET state = 'in_doubt', cause = 'restored', due = NULL, may_have_charged = 1, ran_rested = ?, fence = fence + 1,
    warned = 0, enquiries = 0, enquiry_due = NULL
WHERE state IN ('pending', 'sending', 'awaiting_tap', 'held')

-- name: restore_failed
UPDATE authorisation SET may_have_charged = 1 WHERE state = 'permanently_failed'

-- name: restore_realtime
-- Nobody waits at the lane any more, so nothing of it is ever sent again.
DELETE FROM sealed WHERE owner IN (SELECT uuid FROM authorisation WHERE timing = 'realtime')

-- name: restore_holds
DELETE FROM hold

-- name: restore_outages
DELETE FROM outage

-- name: sealed_all
SELECT s.owner, s.purpose, s.epoch, s.wrapped_key, s.nonce, s.data FROM sealed s ORDER BY s.owner, s.purpose

-- name: count_taps
SELECT count(*) FROM tap

-- name: count_bodies
SELECT count(DISTINCT owner) FROM sealed

-- name: lose_epoch
UPDATE epoch SET destroyed = 1, ran_closed = coalesce(ran_closed, ?) WHERE number = ?
