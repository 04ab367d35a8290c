-- name: deny_bump
INSERT INTO meta (key, value) VALUES ('deny_version', '1')
ON CONFLICT (key) DO UPDATE SET value = to_jsonb(meta.value::bigint + 1)

-- name: deny_live
SELECT number, token_key FROM deny_generation
WHERE state = 'live' AND (:source::text IS NULL OR source = :source) ORDER BY number /* keep */

-- name: deny_abandon_orphans
UPDATE deny_generation SET state = 'old'
WHERE state = 'filling' AND daemon IN (SELECT name FROM daemon WHERE gone_at IS NOT NULL)

-- name: deny_untidy
SELECT 1 FROM deny_generation WHERE state = 'old'
UNION ALL
SELECT 1 FROM deny_generation
WHERE state = 'filling' AND daemon IN (SELECT name FROM daemon WHERE gone_at IS NOT NULL)
UNION ALL
SELECT 1 FROM (SELECT 1 FROM deny_generation WHERE state = 'live' AND shadow IS NULL AND source <> :fed
               GROUP BY source, coalesce(token_key, '') HAVING count(*) > 1) alike
LIMIT 1

-- name: deny_slice_end
-- No "max" of bytes before PostgreSQL 18.
SELECT token FROM (SELECT token FROM deny WHERE generation = ? ORDER BY token LIMIT ?) d ORDER BY token DESC LIMIT 1

-- name: deny_joined
UPDATE deny_generation SET live_at = greatest(live_at, (SELECT live_at FROM deny_generation WHERE number = ?))
WHERE number = ?
