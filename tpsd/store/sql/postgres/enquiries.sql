-- name: doubtful_since
SELECT coalesce(
  (SELECT min(started_at) - clock_shift() FROM attempt
   WHERE uuid = ?1 AND reason <> 'enquiry' AND coalesce(may_have_charged, 1) = 1
     AND number > coalesce((SELECT max(number) FROM attempt WHERE uuid = ?1 AND outcome = 'not_found'), 0)),
  (SELECT created_at FROM authorisation
   WHERE uuid = ?1 AND may_have_charged = 1
     AND NOT EXISTS (SELECT 1 FROM attempt WHERE uuid = ?1 AND outcome = 'not_found')))

-- name: shown_of
SELECT max((shown = 1)::int) FROM tap WHERE uuid = ? HAVING count(*) > 0

-- name: end_enquiry
UPDATE attempt
SET ended_at = ? + clock_shift(), outcome = ?, cause = ?,
    may_have_charged = 0
WHERE uuid = ? AND number = ? AND ended_at IS NULL
