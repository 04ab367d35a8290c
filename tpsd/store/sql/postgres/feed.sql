-- name: feed_heard
INSERT INTO deny_feed (source, token, heard_at, whole_at, shadow_done, ignored)
VALUES (:source, :token, :at, :whole_at, :shadow_done, :ignored)
ON CONFLICT (source) DO UPDATE SET
  token = excluded.token, heard_at = excluded.heard_at, whole_at = coalesce(excluded.whole_at, deny_feed.whole_at),
  shadow_done = greatest(deny_feed.shadow_done, excluded.shadow_done), ignored = deny_feed.ignored + excluded.ignored

-- name: feed_lost_slice
-- No "max" of bytes before PostgreSQL 18.
SELECT count(*),
       count(*) FILTER (WHERE NOT EXISTS (SELECT 1 FROM deny s WHERE s.generation = :shadow AND s.token = d.token)),
       (array_agg(d.token ORDER BY d.token DESC))[1]
FROM (SELECT token FROM deny WHERE generation = :old AND token > :after ORDER BY token LIMIT :slice) d
