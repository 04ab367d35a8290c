-- name: oldest_waiting
-- Each daemon's oldest is the first of its part of the index.
SELECT min(o.created_at) FROM daemon d CROSS JOIN LATERAL (
  SELECT min(a.created_at) AS created_at FROM authorisation a
  WHERE a.state = 'pending' AND a.body_digest IS NOT NULL AND a.daemon = d.name
) o
