-- The feed of a deny list: how far it has come, and the shadow that is to replace the list.

-- name: feed_state
SELECT f.token, f.heard_at, f.whole_at, f.waits_since, f.loses, f.ignored, f.shadow_done,
       (SELECT count(*) FROM meta WHERE key = 'deny_stale_told'),
       (SELECT sum(tokens) FROM deny_generation WHERE state = 'live' AND source = f.source AND shadow IS NULL),
       (SELECT sum(tokens) FROM deny_generation WHERE state = 'live' AND source = f.source AND shadow = 1)
FROM deny_feed f WHERE f.source = ?

-- name: feed_lists
SELECT number, shadow, tokens, token_key FROM deny_generation WHERE state = 'live' AND source = ? ORDER BY number

-- name: feed_begin
INSERT INTO deny_generation (source, state, began_at, live_at, shadow, token_key) VALUES (?, 'live', ?, ?, ?, ?)

-- name: run_begin
INSERT INTO deny_generation (source, state, began_at, live_at, shadow, token_key)
SELECT source, state, began_at, live_at, shadow, token_key FROM deny_generation WHERE number = :like

-- name: run_end
SELECT token FROM deny WHERE generation = ? ORDER BY token DESC LIMIT 1

-- name: feed_heard
INSERT INTO deny_feed (source, token, heard_at, whole_at, shadow_done, ignored)
VALUES (:source, :token, :at, :whole_at, :shadow_done, :ignored)
ON CONFLICT (source) DO UPDATE SET
  token = :token, heard_at = :at, whole_at = coalesce(:whole_at, whole_at),
  shadow_done = max(shadow_done, :shadow_done), ignored = ignored + :ignored

-- name: feed_begun_anew
UPDATE deny_feed SET shadow_done = 0, waits_since = NULL, loses = 0 WHERE source = ?

-- name: feed_waits
UPDATE deny_feed SET waits_since = coalesce(waits_since, :at), loses = :loses WHERE source = :source

-- name: feed_demote
UPDATE deny_generation SET shadow = NULL WHERE state = 'live' AND shadow = 1 AND source = ?

-- name: feed_supersede
UPDATE deny_generation SET state = 'old' WHERE state = 'live' AND shadow IS NULL AND source = ?

-- name: feed_flip
UPDATE deny_generation SET shadow = NULL, live_at = ? WHERE state = 'live' AND shadow = 1 AND source = ?

-- name: feed_lost_slice
-- Of the old list's next entries: how many there are, how many the shadow lacks, and the last of them.
SELECT count(*),
       coalesce(sum(NOT EXISTS (SELECT 1 FROM deny s WHERE s.generation = :shadow AND s.token = d.token)), 0),
       max(d.token)
FROM (SELECT token FROM deny WHERE generation = :old AND token > :after ORDER BY token LIMIT :slice) d

-- name: feed_ignore
INSERT INTO deny_feed_ignored (heard_at, type, raw) VALUES (?, ?, ?)

-- name: feed_ignored_old
DELETE FROM deny_feed_ignored WHERE id <= (SELECT max(id) FROM deny_feed_ignored) - ?
