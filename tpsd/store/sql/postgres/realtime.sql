-- name: waiting
SELECT a.type, a.amount, a.terminal, a.may_have_charged,
       EXISTS (SELECT 1 FROM attempt t
               WHERE t.uuid = a.uuid AND t.number < ?2 AND t.reason <> 'enquiry' AND coalesce(t.may_have_charged, 1) = 1
                 AND (t.outcome IS DISTINCT FROM 'try_again' OR t.cause IN ('system.303', 'action.913', 'action.923'))),
       (SELECT t.shown FROM tap t WHERE t.uuid = a.uuid AND t.verdict IS NULL ORDER BY t.id DESC LIMIT 1)
FROM authorisation a WHERE a.uuid = ?1

-- name: decide_tap
UPDATE tap SET verdict = ?, reason = ?, unseen = greatest(unseen, ?), delivered = ? WHERE id = ? AND verdict IS NULL
