-- name: walk_taps
SELECT t.id, t.uuid,
       CASE WHEN t.uuid IS NULL THEN t.received_at < :before
            ELSE NOT EXISTS (
              WITH RECURSIVE family (uuid) AS (
                SELECT coalesce(a.initial_uuid, a.uuid)
                UNION
                SELECT f.uuid FROM family JOIN authorisation f ON f.initial_uuid = family.uuid
              )
              SELECT 1 FROM family JOIN authorisation m ON m.uuid = family.uuid
              WHERE coalesce(m.settled_at >= :before, true)
                 OR EXISTS (SELECT 1 FROM journey j WHERE j.check_in = m.uuid AND coalesce(j.ended_at >= :before, true))
                 OR EXISTS (SELECT 1 FROM notice n WHERE n.uuid = m.uuid AND n.mail IS NULL))
       END
       AND NOT EXISTS (SELECT 1 FROM notice n WHERE n.tap = t.id AND n.mail IS NULL)
       AND NOT EXISTS (SELECT 1 FROM sealed s WHERE s.owner = 'tap:' || t.id)
FROM tap t LEFT JOIN authorisation a ON a.uuid = t.uuid
WHERE t.id > :after AND t.id <= :last AND t.id < (SELECT max(id) FROM tap)
ORDER BY t.id LIMIT :limit

-- name: keep_identities
INSERT INTO identity (number, serial, boot, counter, digest, verdict, reason, disposition, unseen, shown, state,
                      attempts, amount)
SELECT t.id, t.serial, t.boot, t.counter, t.digest, t.verdict, t.reason, t.disposition, t.unseen, t.shown, a.state,
       a.attempt,
       CASE WHEN a.timing = 'realtime' AND t.verdict IN (1, 5, 6) THEN coalesce(a.approved_amount, a.amount) END
FROM tap t LEFT JOIN authorisation a ON a.uuid = t.uuid
WHERE t.id IN (SELECT value::bigint FROM json_array_elements_text(?::json))

-- name: prune_notices_of_taps
DELETE FROM notice WHERE tap IN (SELECT value::bigint FROM json_array_elements_text(?::json))

-- name: prune_taps
DELETE FROM tap WHERE id IN (SELECT value::bigint FROM json_array_elements_text(?::json))

-- name: authorisations_of_nobody
WITH RECURSIVE gone (uuid) AS (
  SELECT value COLLATE "C" FROM json_array_elements_text(?::json)
  WHERE NOT EXISTS (SELECT 1 FROM tap WHERE tap.uuid = value)
  UNION
  SELECT a.uuid FROM gone JOIN authorisation a ON a.replaced_by = gone.uuid OR a.initial_uuid = gone.uuid
  WHERE NOT EXISTS (SELECT 1 FROM tap WHERE tap.uuid = a.uuid)
)
SELECT uuid FROM gone

-- name: prune_journeys
DELETE FROM journey
WHERE check_in IN (SELECT value FROM json_array_elements_text(?1::json))
   OR check_out IN (SELECT value FROM json_array_elements_text(?1::json))

-- name: prune_notices_of_authorisations
DELETE FROM notice WHERE uuid IN (SELECT value FROM json_array_elements_text(?::json))

-- name: prune_attempts
DELETE FROM attempt WHERE uuid IN (SELECT value FROM json_array_elements_text(?::json))

-- name: prune_authorisations
DELETE FROM authorisation WHERE uuid IN (SELECT value FROM json_array_elements_text(?::json))

-- name: prune_notices_of_mails
DELETE FROM notice WHERE mail IN (SELECT value::bigint FROM json_array_elements_text(?::json))

-- name: prune_mails
DELETE FROM mail WHERE id IN (SELECT value::bigint FROM json_array_elements_text(?::json))

-- name: check_sealed_ownerless
-- What is no number names no tap; a cast of it would be an error.
SELECT s.purpose || ' of ' || s.owner FROM sealed s
WHERE CASE s.purpose
        WHEN 'payload' THEN NOT EXISTS (
          SELECT 1 FROM tap t
          WHERE t.id = CASE WHEN s.owner ~ '^tap:[0-9]{1,18}$' THEN CAST(substr(s.owner, 5) AS bigint) END)
        ELSE NOT EXISTS (SELECT 1 FROM authorisation a WHERE a.uuid = s.owner)
      END

-- name: check_sealed_keyless
SELECT s.purpose || ' of ' || s.owner FROM sealed s LEFT JOIN epoch e ON e.number = s.epoch
WHERE e.destroyed IS DISTINCT FROM 0

-- name: check_tap_undecided
SELECT 'tap ' || t.id FROM tap t LEFT JOIN authorisation a ON a.uuid = t.uuid
WHERE t.verdict IS NULL AND a.state IS DISTINCT FROM 'sending'

-- name: check_journey_astray
SELECT 'journey ' || j.id || ', ' || j.state
FROM journey j JOIN authorisation i ON i.uuid = j.check_in LEFT JOIN authorisation o ON o.uuid = j.check_out
WHERE i.state <> 'approved'
   OR CASE j.state WHEN 'open'         THEN o.uuid IS NOT NULL
                   WHEN 'checking_out' THEN o.uuid IS NULL
                   WHEN 'by_hand'      THEN o.uuid IS NULL OR o.settled_at IS NOT NULL
                   WHEN 'closed'       THEN o.state IS DISTINCT FROM 'approved'
                   ELSE false END
   OR (j.state IN ('checking_out', 'ended_unpaid', 'expired') AND o.state = 'approved'
       AND NOT EXISTS (SELECT 1 FROM authorisation r WHERE r.initial_uuid = o.uuid AND r.type = 'RETAIL_REFUND'))

-- name: restore_attempts
UPDATE attempt
SET ended_at = ?, outcome = 'unknown', cause = 'restored', may_have_charged = (reason <> 'enquiry')::int
WHERE ended_at IS NULL
