-- Terminals' identities at Sfey, one a lane.

-- name: identity_rows
SELECT lane, terminal, state, code, described_at, active_at, ends, company_id, terminal_id, timezone, currency
FROM terminal_identity WHERE 1 = 1 /* own */ ORDER BY lane

-- name: identity_row
SELECT lane, terminal, state, code, described_at, active_at, ends, company_id, terminal_id, timezone, currency
FROM terminal_identity WHERE lane = ? /* own */

-- name: identity_end
DELETE FROM terminal_identity WHERE lane = ? /* own */

-- name: identity_insert
INSERT INTO terminal_identity (lane, terminal, state, code, request, sealed, described_at)
VALUES (?, ?, 'described', ?, ?, ?, ?)

-- name: identity_request
SELECT request FROM terminal_identity WHERE lane = ? /* own */

-- name: identity_awaits
UPDATE terminal_identity SET state = 'awaiting activation' WHERE lane = ? AND state = 'described' /* own */

-- name: identity_activate
UPDATE terminal_identity
SET state = 'active', active_at = ?, ends = ?, company_id = ?, terminal_id = ?, timezone = ?, currency = ?,
    key_chain = ?, signer_chain = ?
WHERE lane = ? /* own */
