-- name: waiting
SELECT a.type, a.amount, a.terminal, a.may_have_charged,
       EXISTS (SELECT 1 FROM attempt t
               WHERE t.uuid = a.uuid AND t.number < ?2 AND t.reason <> 'enquiry' AND coalesce(t.may_have_charged, 1) = 1
                 AND (t.outcome IS DISTINCT FROM 'try_again' OR t.cause IN ('system.303', 'action.913', 'action.923'))),
       (SELECT t.shown FROM tap t WHERE t.uuid = a.uuid AND t.verdict IS NULL ORDER BY t.id DESC LIMIT 1)
FROM authorisation a WHERE a.uuid = ?1

-- name: decide_tap
UPDATE tap SET verdict = ?, reason = ?, unseen = greatest(unseen, ?), delivered = ? WHERE id = ? AND verdict IS NULL

-- name: ask_same
-- Who sends it ends it, and from that one it is taken over, whoever asked before. Under a certificate that this daemon
-- does not hold nothing is sent, so it stays whose it was.
UPDATE authorisation
SET state = 'sending', attempt = attempt + 1, sends = sends + 1, fence = fence + 1,
    daemon = CASE WHEN own_credential(daemon, credential) = daemon || '/' || credential THEN daemon
                  ELSE current_setting('tpsd.daemon', true) END,
    credential = CASE WHEN own_credential(daemon, credential) = daemon || '/' || credential THEN credential
                      ELSE own_credential(daemon, credential) END
WHERE uuid = ? AND state = 'awaiting_tap'

-- name: under_way
-- A lane is known by its name within a daemon; whose it is says the tap, since a row may have been taken over.
SELECT 1 FROM authorisation a
WHERE a.state = 'sending' AND a.timing = 'realtime' AND a.token = :token
  AND CASE WHEN :journeys THEN a.type IN ('RETAIL_CHECK_IN', 'RETAIL_CHECK_OUT')
           ELSE a.type = :type AND a.lane = :lane AND a.amount = :amount
                AND EXISTS (SELECT 1 FROM tap t WHERE t.uuid = a.uuid /* own t */) END
LIMIT 1

-- name: doubtful
SELECT a.uuid FROM authorisation a
WHERE a.state IN ('in_doubt', 'awaiting_tap') AND a.state = 'in_doubt' AND a.timing = 'realtime'
  AND a.token = ? AND a.type = ? AND a.lane = ? AND a.amount = ? AND a.initial_uuid IS NULL
  AND EXISTS (SELECT 1 FROM tap t WHERE t.uuid = a.uuid /* own t */)
ORDER BY a.created_at DESC LIMIT 1
