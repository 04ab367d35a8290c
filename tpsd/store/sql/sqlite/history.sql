-- Everything that is kept of one tap, for its story.

-- name: history_tap
SELECT terminal, received_at, repeats, shown, unseen, delivered, note, list_version, config_digest,
       coalesce(stop, zone), token, token_key
FROM tap WHERE id = ?

-- name: history_card
-- By the index tap_card, whose WHERE must stand here word for word.
SELECT min(t.tapped_at), max(CASE WHEN a.state = 'approved' THEN a.settled_at END)
FROM tap t LEFT JOIN authorisation a ON a.uuid = t.uuid
WHERE t.token = ? AND t.verdict IN (1, 5, 6)

-- name: history_taps
SELECT id FROM tap WHERE uuid = ? ORDER BY id

-- name: history_transactions
-- The tap's own, and those that it took the place of, the oldest first. What is due is due by this life's schedule
-- clock, told in true time. The joins are crossed so that no order of rows is worth a scan.
WITH RECURSIVE former (uuid, step) AS (
  SELECT ?1, 0
  UNION
  SELECT a.uuid, former.step + 1 FROM former CROSS JOIN authorisation a INDEXED BY authorisation_replaced ON a.replaced_by = former.uuid
)
SELECT a.uuid, a.type, a.timing, a.state, a.cause, a.amount, a.currency, a.approved_amount, a.may_have_charged,
       a.credential, a.settled_at, a.release, a.sends, l.tiers, a.due + ?2, a.body_digest IS NULL, a.enquiries,
       a.enquiry_due + ?2, a.replaced_by, a.initial_uuid, a.ran_rested
FROM former CROSS JOIN authorisation a ON a.uuid = former.uuid CROSS JOIN ladder l ON l.id = a.ladder
ORDER BY former.step DESC, a.created_at

-- name: history_mailings
SELECT n.kind, n.cause, n.detail, n.created_at, e.closes_at + :shift, m.message_id, m.due + :shift,
       coalesce(m.tries, 0), m.accepted_at
FROM notice n
LEFT JOIN mail m ON m.id = n.mail
LEFT JOIN episode e ON n.mail IS NULL AND e.kind = n.kind AND e.cause = n.cause
WHERE n.id IN (SELECT id FROM notice WHERE tap = :tap
               UNION ALL
               SELECT id FROM notice WHERE uuid IN (SELECT value FROM json_each(:uuids)))
ORDER BY n.id

-- name: history_boxes
SELECT purpose, ran_sealed FROM sealed WHERE owner IN (SELECT value FROM json_each(?)) ORDER BY purpose

-- name: history_hold
SELECT since, canary_due + ?2 FROM hold WHERE cause = ?1

-- name: history_outage
SELECT min(since) FROM outage WHERE ended_at IS NULL

-- name: last_order
SELECT coalesce(max(id), 0) FROM audit

-- name: orders_about
-- A subject may name two transactions, so it is searched; page by page, since orders on a cause write one row a tap.
SELECT id, at, who, what, subject, why FROM audit
WHERE id > ?1 AND id <= ?2 AND EXISTS (SELECT 1 FROM json_each(?3) WHERE instr(subject, value) > 0)
ORDER BY id

-- name: clock_shift
SELECT coalesce((SELECT value FROM meta WHERE key = 'clock_shift'), 0)
