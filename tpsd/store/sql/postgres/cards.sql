-- name: deny_holds
SELECT 1 FROM deny_generation g JOIN deny d ON d.generation = g.number AND d.token = ?
WHERE g.state = 'live' LIMIT 1
