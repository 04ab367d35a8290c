-- name: original
SELECT a.uuid, a.type, a.state, a.lane, a.terminal,
       coalesce(t.serial, substr(a.terminal, strpos(a.terminal, ':') + 1)), coalesce(t.type_name, ''), a.credential /* held */,
       a.amount, coalesce(a.approved_amount, a.amount), a.currency,
       coalesce((SELECT max(x.ended_at) FROM attempt x WHERE x.uuid = a.uuid AND x.outcome = 'approved'), a.settled_at),
       (SELECT j.id FROM journey j WHERE j.check_in = a.uuid)
FROM authorisation a
LEFT JOIN tap t
  ON t.id = coalesce((SELECT min(x.id) FROM tap x WHERE x.uuid = a.uuid),
                     (SELECT min(x.id) FROM tap x WHERE x.uuid = a.initial_uuid AND x.terminal = a.terminal))
WHERE a.uuid = ?

-- name: tap_by_following_uuid
SELECT DISTINCT found FROM (
  SELECT coalesce(
           (SELECT min(t.id) FROM tap t WHERE t.uuid = a.initial_uuid),
           (SELECT min(t.id) FROM authorisation b JOIN tap t ON t.uuid = b.initial_uuid WHERE b.uuid = a.initial_uuid))
           AS found
  FROM authorisation a
  WHERE a.uuid >= ? AND a.uuid < ? AND a.initial_uuid IS NOT NULL
) followed
WHERE found IS NOT NULL
LIMIT 2
