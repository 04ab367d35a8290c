-- name: meta_of_lanes
SELECT key, value FROM meta WHERE key >= ?1 AND key < ?1::text || chr(1114111)
