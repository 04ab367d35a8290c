-- name: hint
SELECT pg_notify('tpsd', ?)

-- name: hint_owners
SELECT pg_notify('tpsd', :hint)
FROM authorisation a JOIN json_array_elements_text(:uuids::json) AS given (uuid) ON a.uuid = given.uuid
WHERE a.daemon <> current_setting('tpsd.daemon', true)
LIMIT 1
