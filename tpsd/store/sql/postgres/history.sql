-- name: history_transactions
WITH RECURSIVE former (uuid, step) AS (
  SELECT ?1::text COLLATE "C", 0
  UNION
  SELECT a.uuid, former.step + 1 FROM former JOIN authorisation a ON a.replaced_by = former.uuid
)
SELECT a.uuid, a.type, a.timing, a.state, a.cause, a.amount, a.currency, a.approved_amount, a.may_have_charged,
       a.credential, a.settled_at, a.release, a.sends, l.tiers, a.due + ?2, a.body_digest IS NULL, a.enquiries,
       a.enquiry_due + ?2, a.replaced_by, a.initial_uuid, a.ran_rested
FROM former JOIN authorisation a ON a.uuid = former.uuid JOIN ladder l ON l.id = a.ladder
ORDER BY former.step DESC, a.created_at

-- name: history_mailings
SELECT n.kind, n.cause, n.detail, n.created_at, e.closes_at + :shift, m.message_id, m.due + :shift,
       coalesce(m.tries, 0), m.accepted_at
FROM notice n
LEFT JOIN mail m ON m.id = n.mail
LEFT JOIN episode e ON n.mail IS NULL AND e.kind = n.kind AND e.cause = n.cause
WHERE n.id IN (SELECT id FROM notice WHERE tap = :tap
               UNION ALL
               SELECT id FROM notice WHERE uuid IN (SELECT value FROM json_array_elements_text(:uuids::json)))
ORDER BY n.id

-- name: history_boxes
SELECT purpose, ran_sealed FROM sealed WHERE owner IN (SELECT value FROM json_array_elements_text(?::json))
ORDER BY purpose

-- name: orders_about
SELECT id, at, who, what, subject, why FROM audit
WHERE id > ?1 AND id <= ?2
  AND EXISTS (SELECT 1 FROM json_array_elements_text(?3::json) WHERE strpos(subject, value) > 0)
ORDER BY id

-- name: clock_shift
SELECT clock_shift()
