-- Changes to the deny list, and its upkeep in slices.

-- name: deny_bump
INSERT INTO meta (key, value) VALUES ('deny_version', 1) ON CONFLICT (key) DO UPDATE SET value = value + 1

-- name: deny_begin
INSERT INTO deny_generation (source, state, began_at, live_at, token_key) VALUES (?, ?, ?, ?, ?)

-- name: deny_insert
INSERT INTO deny (generation, token) VALUES (?, ?) ON CONFLICT DO NOTHING

-- name: deny_delete
DELETE FROM deny WHERE generation = ? AND token = ?

-- name: deny_counted
UPDATE deny_generation SET tokens = tokens + ? WHERE number = ?

-- name: deny_state
SELECT state, source, tokens FROM deny_generation WHERE number = ?

-- name: deny_live
SELECT number, token_key FROM deny_generation
WHERE state = 'live' AND (:source IS NULL OR source = :source) ORDER BY number /* keep */

-- name: deny_supersede
UPDATE deny_generation SET state = 'old' WHERE state = 'live' AND source = ?

-- name: deny_go_live
UPDATE deny_generation SET state = 'live', live_at = ? WHERE number = ? AND state = 'filling'

-- name: deny_abandon
UPDATE deny_generation SET state = 'old' WHERE number = ? AND state = 'filling'

-- name: deny_abandon_own
-- Those of a former life, before this one begins any.
UPDATE deny_generation SET state = 'old' WHERE state = 'filling' /* own */

-- name: deny_abandon_orphans
-- Those of daemons that are gone: SQLite has nobody else.
UPDATE deny_generation SET state = 'old' WHERE state = 'filling' AND 0 = 1

-- name: deny_totals
SELECT source, sum(tokens), max(live_at), token_key FROM deny_generation
WHERE state = 'live' AND shadow IS NULL GROUP BY source, token_key ORDER BY source, max(live_at), token_key

-- name: deny_oldest
SELECT min(number) FROM deny_generation WHERE state = 'old'

-- name: deny_to_join
-- The feed joins its own (feed.sql), by size: this here would move its million for each page that comes.
SELECT number FROM deny_generation
WHERE state = 'live' AND shadow IS NULL AND (source, coalesce(token_key, '')) = (
  SELECT source, coalesce(token_key, '') FROM deny_generation WHERE state = 'live' AND shadow IS NULL AND source <> :fed
  GROUP BY source, coalesce(token_key, '') HAVING count(*) > 1 LIMIT 1
)
ORDER BY tokens, number DESC /* lock */

-- name: deny_slice_end
SELECT max(token) FROM (SELECT token FROM deny WHERE generation = ? ORDER BY token LIMIT ?)

-- name: deny_copy_slice
INSERT INTO deny (generation, token) SELECT ?, token FROM deny WHERE generation = ? AND token <= ?
ON CONFLICT DO NOTHING

-- name: deny_drop_slice
DELETE FROM deny WHERE generation = ? AND token <= ?

-- name: deny_drop_generation
DELETE FROM deny_generation WHERE number = ?

-- name: deny_joined
UPDATE deny_generation SET live_at = max(live_at, (SELECT live_at FROM deny_generation WHERE number = ?))
WHERE number = ?

-- name: deny_untidy
SELECT 1 FROM deny_generation WHERE state = 'old'
UNION ALL
SELECT 1 FROM deny_generation WHERE state = 'live' AND shadow IS NULL AND source <> :fed
GROUP BY source, coalesce(token_key, '') HAVING count(*) > 1
LIMIT 1
