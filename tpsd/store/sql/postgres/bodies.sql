-- name: correct_tap
UPDATE tap SET tapped_at = tapped_at + :shift, received_at = received_at + :shift, clock_life = NULL,
               note = CASE WHEN :note::text IS NULL THEN note WHEN note IS NULL THEN :note
                           ELSE note || '; ' || :note END
WHERE id = :id

-- name: give_body
-- "least" passes over a NULL, which SQLite's "min" gives back: one that is held has no due time.
UPDATE authorisation SET path = ?, body_digest = ?, due = CASE WHEN due IS NOT NULL THEN least(due, ?) END
WHERE uuid = ?

-- name: forget_lives
DELETE FROM meta
WHERE (starts_with(key, 'clock_life:' || current_setting('tpsd.daemon', true) || '/') AND key <> ?)
   OR starts_with(key, 'clock_guess:' || current_setting('tpsd.daemon', true) || '/')
   OR key = 'clock_bound/' || current_setting('tpsd.daemon', true)
