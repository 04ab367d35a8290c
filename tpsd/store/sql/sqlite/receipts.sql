-- One tap, its journey and what followed it, for a receipt.

-- name: receipt_tap
SELECT t.id, t.serial, t.boot, t.counter, t.lane, coalesce(a.type, t.kind), t.tapped_at, coalesce(a.amount, t.amount),
       coalesce(a.currency, t.currency), t.masked, t.verdict, t.reason, t.disposition, t.uuid, a.state, a.cause,
       a.approved_amount, a.action_code, coalesce(a.may_have_charged, 0), t.facts
FROM tap t LEFT JOIN authorisation a ON a.uuid = t.uuid
WHERE t.id = ?

-- name: receipt_moved
-- Of several taps of a check-out the last: TPS's answer was to that one.
SELECT a.uuid, a.type, a.state, coalesce(t.tapped_at, x.started_at, a.created_at), coalesce(t.lane, a.lane), t.zone,
       a.amount, a.approved_amount,
       CASE WHEN t.id IS NOT NULL THEN 'tap' WHEN x.reason = 'hand' THEN 'hand' ELSE 'itself' END
FROM authorisation a
LEFT JOIN tap t ON t.id = (SELECT max(y.id) FROM tap y WHERE y.uuid = a.uuid)
LEFT JOIN attempt x ON x.uuid = a.uuid AND x.number = 1
WHERE a.uuid = ?

-- name: receipt_journey
SELECT id, state, currency, check_in, out_uuid FROM journey_now WHERE id = ?
