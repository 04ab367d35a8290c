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
