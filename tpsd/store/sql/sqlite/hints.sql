-- What is said to other daemons of a journal: a file has none.

-- name: hint
SELECT 1 WHERE ? IS NULL

-- name: hint_owners
SELECT 1 WHERE :hint IS NULL AND :uuids IS NULL
