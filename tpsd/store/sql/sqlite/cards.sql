-- A card's past and the deny list, as commit 1 asks for them. tap_card holds the accepted taps only: its WHERE must
-- stand here word for word, or the index is not used.

-- name: accepted_before
SELECT tapped_at FROM tap
WHERE token = ? AND pass_group = ? AND tapped_at BETWEEN ? AND ? AND verdict IN (1, 5, 6) AND shown <> 2
ORDER BY tapped_at DESC LIMIT 1

-- name: accepted_after
SELECT tapped_at FROM tap
WHERE token = ? AND pass_group = ? AND tapped_at BETWEEN ? AND ? AND verdict IN (1, 5, 6) AND shown <> 2
ORDER BY tapped_at LIMIT 1

-- name: riders
SELECT count(*) FROM (
  SELECT 1 FROM tap
  WHERE token = ? AND pass_group = ? AND tapped_at BETWEEN ? AND ? AND verdict IN (1, 5, 6) AND shown <> 2
  LIMIT ?
)

-- name: card_unsettled
SELECT 1 FROM authorisation WHERE token = ? AND state IN ('in_doubt', 'awaiting_tap') LIMIT 1

-- name: deny_version
SELECT value FROM meta WHERE key = 'deny_version'

-- name: token_key_in_force
SELECT value FROM meta WHERE key = 'token_key'

-- name: deny_holds
-- CROSS JOIN: the few generations first, then one seek each; left to itself, SQLite walks the whole list.
SELECT 1 FROM deny_generation g CROSS JOIN deny d ON d.generation = g.number AND d.token = ?
WHERE g.state = 'live' LIMIT 1
