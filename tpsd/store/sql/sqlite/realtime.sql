-- Realtime taps: what is asked at once, what came of it, and whether the passenger was shown it.

-- name: insert_asked
INSERT INTO authorisation (uuid, type, timing, lane, terminal, state, path, credential, amount, currency, body_digest,
                           ladder, attempt, sends, fence, created_at, token, initial_uuid)
VALUES (?, ?, 'realtime', ?, ?, 'sending', ?, ?, ?, ?, ?, ?, 1, 1, 1, ?, ?, ?)

-- name: insert_follower
INSERT INTO authorisation (uuid, type, timing, lane, terminal, state, path, credential, amount, currency, body_digest,
                           ladder, due, created_at, initial_uuid)
VALUES (?, ?, 'deferred', ?, ?, 'pending', ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: awaited
SELECT a.attempt, a.fence, a.path, a.credential /* held */, a.amount, a.may_have_charged, l.tiers,
       s.epoch, s.wrapped_key, s.nonce, s.data
FROM authorisation a
JOIN ladder l ON l.id = a.ladder
LEFT JOIN sealed s ON s.owner = a.uuid AND s.purpose = 'body'
WHERE a.uuid = ? AND a.state = 'awaiting_tap' /* lock a */

-- name: ask_same
UPDATE authorisation SET state = 'sending', attempt = attempt + 1, sends = sends + 1, fence = fence + 1
WHERE uuid = ? AND state = 'awaiting_tap'

-- name: under_way
-- Of the few rows that are being sent: a card's journey, or a payment of the same lane and amount.
SELECT 1 FROM authorisation
WHERE state = 'sending' AND timing = 'realtime' AND token = :token
  AND CASE WHEN :journeys THEN type IN ('RETAIL_CHECK_IN', 'RETAIL_CHECK_OUT')
           ELSE type = :type AND lane = :lane AND amount = :amount END
LIMIT 1

-- name: doubtful
SELECT uuid FROM authorisation
WHERE state IN ('in_doubt', 'awaiting_tap') AND state = 'in_doubt' AND timing = 'realtime'
  AND token = ? AND type = ? AND lane = ? AND amount = ? AND initial_uuid IS NULL
ORDER BY created_at DESC LIMIT 1

-- name: waiting
SELECT a.type, a.amount, a.terminal, a.may_have_charged,
       EXISTS (SELECT 1 FROM attempt t
               WHERE t.uuid = a.uuid AND t.number < ?2 AND t.reason <> 'enquiry' AND coalesce(t.may_have_charged, 1) = 1
                 AND (t.outcome IS NOT 'try_again' OR t.cause IN ('system.303', 'action.913', 'action.923'))),
       (SELECT t.shown FROM tap t WHERE t.uuid = a.uuid AND t.verdict IS NULL ORDER BY t.id DESC LIMIT 1)
FROM authorisation a WHERE a.uuid = ?1

-- name: undecided
SELECT id, made_at, zone, token, token_key, lane FROM tap WHERE uuid = ? AND verdict IS NULL ORDER BY id DESC LIMIT 1

-- name: decide_tap
UPDATE tap SET verdict = ?, reason = ?, unseen = max(unseen, ?), delivered = ? WHERE id = ? AND verdict IS NULL

-- name: cover_tap
UPDATE tap SET uuid = ?, verdict = ?, reason = ?, delivered = 0 WHERE id = ? AND verdict IS NULL

-- name: covered
UPDATE authorisation
SET state = 'not_charged', cause = 'paid_before', settled_at = ?, replaced_by = ?, fence = fence + 1
WHERE uuid = ?

-- name: tap_delivered
UPDATE tap SET delivered = 1 WHERE id = ? AND delivered = 0

-- name: undelivered
SELECT id, uuid FROM tap WHERE delivered = 0 AND received_at < ? ORDER BY received_at LIMIT ?

-- name: first_undelivered
SELECT min(received_at) FROM tap WHERE delivered = 0

-- name: undelivered_told
UPDATE tap SET delivered = 2 WHERE id = ? AND delivered = 0

-- name: decide_restored
UPDATE tap SET verdict = 2, reason = 'restored' WHERE verdict IS NULL AND uuid IS NOT NULL

-- name: found_in_doubt
SELECT count(*) FROM authorisation a
WHERE a.state = 'approved' AND a.timing = 'realtime'
  AND EXISTS (SELECT 1 FROM attempt t WHERE t.uuid = a.uuid AND t.reason = 'enquiry' AND t.outcome = 'approved')
