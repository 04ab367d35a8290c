-- What a report counts: taps from the newest back, then transactions that no tap led to, page by page.

-- name: report_page
-- Where a page ends, and how new it is: taps whose clock never knew the time say nothing of that.
SELECT min(id), max(CASE WHEN clock_life IS NULL THEN received_at END), max(tapped_at)
FROM (SELECT id, received_at, tapped_at, clock_life FROM tap WHERE id < ? ORDER BY id DESC LIMIT ?)

-- name: report_taps
-- A hold stands until an approved check-out used or released it.
SELECT t.tapped_at, t.lane, coalesce(a.type, t.kind), t.reason, t.disposition, a.state, a.cause,
       coalesce(a.currency, t.currency), coalesce(a.amount, t.amount, 0), a.approved_amount,
       coalesce(a.may_have_charged, 0), 1,
       t.uuid IS NOT NULL AND EXISTS (SELECT 1 FROM tap y WHERE y.uuid = t.uuid AND y.id > t.id),
       a.type = 'RETAIL_CHECK_IN' AND a.state = 'approved'
         AND NOT EXISTS (SELECT 1 FROM authorisation o
                         WHERE o.initial_uuid = a.uuid AND o.type = 'RETAIL_CHECK_OUT' AND o.state = 'approved'),
       CASE WHEN a.type = 'RETAIL_CHECK_OUT' AND a.amount = 0
            THEN (SELECT coalesce(i.approved_amount, i.amount) FROM authorisation i WHERE i.uuid = a.initial_uuid) END
FROM tap t LEFT JOIN authorisation a ON a.uuid = t.uuid
WHERE t.id >= ? AND t.id < ? AND t.tapped_at >= ? AND t.tapped_at < ?

-- name: report_follower_page
SELECT initial_uuid, uuid FROM authorisation INDEXED BY authorisation_follows
WHERE initial_uuid IS NOT NULL AND (initial_uuid, uuid) > (?, ?)
ORDER BY initial_uuid, uuid LIMIT 1 OFFSET ?

-- name: report_followers
-- Dated by their first attempt, in true time, as receipts date them.
SELECT coalesce(x.started_at, a.created_at), a.lane, a.type, '', NULL, a.state, a.cause, a.currency, a.amount,
       a.approved_amount, a.may_have_charged, 0, 0, 0,
       CASE WHEN a.type = 'RETAIL_CHECK_OUT' AND a.amount = 0
            THEN (SELECT coalesce(i.approved_amount, i.amount) FROM authorisation i WHERE i.uuid = a.initial_uuid) END
FROM authorisation a INDEXED BY authorisation_follows
LEFT JOIN attempt x ON x.uuid = a.uuid AND x.number = 1
WHERE a.initial_uuid IS NOT NULL AND (a.initial_uuid, a.uuid) > (?, ?) AND (a.initial_uuid, a.uuid) <= (?, ?)
  AND NOT EXISTS (SELECT 1 FROM tap t WHERE t.uuid = a.uuid)
  AND coalesce(x.started_at, a.created_at) >= ? AND coalesce(x.started_at, a.created_at) < ?
