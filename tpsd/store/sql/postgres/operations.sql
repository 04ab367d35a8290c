-- name: kept_tap
-- The lane of another daemon is none of ours, whatever ours are called.
SELECT a.uuid, a.type, t.serial, t.type_name,
       CASE WHEN t.daemon = current_setting('tpsd.daemon', true) THEN a.lane ELSE t.daemon || '/' || a.lane END,
       t.tapped_at, a.amount, a.currency, t.token, s.epoch, s.wrapped_key, s.nonce, s.data
FROM authorisation a
JOIN tap t ON t.id = (SELECT min(id) FROM tap x WHERE x.uuid = a.uuid)
JOIN sealed s ON s.owner = a.uuid AND s.purpose = 'tap'
WHERE a.uuid = ?

-- name: standing_page
SELECT uuid, created_at FROM authorisation
WHERE state IN ('held', 'permanently_failed', 'in_doubt') AND cause = ? AND (created_at, uuid) > (?, ?)
  AND created_at >= ? AND state IN (SELECT value FROM json_array_elements_text(?::json))
ORDER BY created_at, uuid
LIMIT ?

-- name: tap_by_replaced_uuid
WITH RECURSIVE later (uuid) AS (
  SELECT replaced_by FROM authorisation WHERE uuid >= ? AND uuid < ? AND replaced_by IS NOT NULL
  UNION
  SELECT a.replaced_by FROM authorisation a JOIN later ON later.uuid = a.uuid WHERE a.replaced_by IS NOT NULL
)
SELECT found FROM (SELECT (SELECT max(t.id) FROM tap t WHERE t.uuid = later.uuid) AS found FROM later) tapped
WHERE found IS NOT NULL LIMIT 2
