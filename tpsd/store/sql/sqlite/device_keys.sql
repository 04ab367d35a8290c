-- Device keys: what was received, sealed; what people see of it.

-- name: device_key_known
SELECT id, check_value, retired_at FROM device_key WHERE type = ? AND terminal = ? AND digest = ?

-- name: device_key_insert
INSERT INTO device_key (type, key_index, format, algorithm, terminal, digest, check_value, why, sealed, received_at, key_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING

-- name: device_key_opened
UPDATE device_key SET check_value = ?, why = '', sealed = ?, key_id = ? WHERE id = ? AND retired_at IS NULL

-- name: device_key_rows
SELECT id, type, key_index, format, algorithm, terminal, check_value, why, received_at, retired_at, key_id,
       refused_at
FROM device_key ORDER BY type, id DESC

-- name: device_key_row
SELECT id, type, key_index, format, algorithm, terminal, check_value, why, received_at, retired_at, key_id,
       refused_at
FROM device_key WHERE id = ?

-- name: device_key_sealed
SELECT sealed, type, terminal, digest FROM device_key WHERE id = ?

-- name: device_key_same
-- The row itself, and those of other terminals that hold the same key.
SELECT id FROM device_key
WHERE retired_at IS NULL AND (id = ?1 OR (type = ?2 AND check_value IS NOT NULL AND check_value = ?3)) ORDER BY id

-- name: device_key_retired
SELECT 1 FROM device_key WHERE type = ? AND check_value = ? AND retired_at IS NOT NULL LIMIT 1

-- name: token_key_uses
-- What a card's entry or journey would be lost with: by version, entries of the lists in force and journeys under way.
SELECT token_key, sum(listed), sum(journeys)
FROM (SELECT token_key, tokens AS listed, 0 AS journeys FROM deny_generation WHERE state = 'live'
      UNION ALL
      SELECT token_key, 0, 1 FROM journey INDEXED BY journey_overdue WHERE state IN ('open', 'checking_out')) uses
WHERE token_key IS NOT NULL GROUP BY token_key ORDER BY token_key

-- name: device_key_of_request
-- The version of the token key that a request's card token was made under; none of one that was rebuilt since.
SELECT t.token_key FROM authorisation a JOIN tap t ON t.uuid = a.uuid AND t.token = a.token WHERE a.uuid = ? LIMIT 1

-- name: tapped_since_device_key
-- Whether a tap came after a terminal's key, and so was made with that.
SELECT 1 FROM tap t JOIN device_key k ON t.terminal = k.terminal AND t.received_at > k.received_at
WHERE t.uuid = ? AND k.id = ? LIMIT 1

-- name: device_key_refuse_one
UPDATE device_key SET refused_at = ? WHERE id = ? AND refused_at IS NULL

-- name: device_key_refuse
UPDATE device_key SET refused_at = ? WHERE type = ? AND check_value = ? AND refused_at IS NULL

-- name: device_key_retire
UPDATE device_key SET sealed = NULL, retired_at = ? WHERE id = ?
