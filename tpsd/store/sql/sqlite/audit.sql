-- name: insert_audit
INSERT INTO audit (at, who, what, subject, why) VALUES (?, ?, ?, ?, ?)

-- name: audit_rows
SELECT id, at, who, what, subject, why FROM audit ORDER BY id DESC LIMIT ?
