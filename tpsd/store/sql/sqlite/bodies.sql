-- Taps stamped before the time was known, and rows whose body waits for it.

-- name: untimed_life
SELECT clock_life FROM tap WHERE clock_life > ? /* own */ ORDER BY clock_life LIMIT 1

-- name: untimed_last
SELECT id, received_at FROM tap WHERE clock_life = ? ORDER BY received_at DESC, id DESC LIMIT 1

-- name: untimed_taps
-- The latest first, so that each is bounded by those after it.
SELECT id, received_at FROM tap WHERE clock_life = ? ORDER BY received_at DESC, id DESC LIMIT ?

-- name: correct_tap
UPDATE tap SET tapped_at = tapped_at + :shift, received_at = received_at + :shift, clock_life = NULL,
               note = CASE WHEN :note IS NULL THEN note WHEN note IS NULL THEN :note ELSE note || '; ' || :note END
WHERE id = :id

-- name: forget_lives
DELETE FROM meta
WHERE (key >= 'clock_life:' AND key < 'clock_life;' AND key <> ?)
   OR (key >= 'clock_guess:' AND key < 'clock_guess;')
   OR key = 'clock_bound'

-- name: bodiless
SELECT a.uuid, a.terminal, a.type, t.serial, t.type_name, a.lane, t.tapped_at, a.amount, a.currency, t.token,
       s.epoch, s.wrapped_key, s.nonce, s.data
FROM authorisation a
JOIN tap t ON t.id = (SELECT min(id) FROM tap x WHERE x.uuid = a.uuid)
LEFT JOIN sealed s ON s.owner = a.uuid AND s.purpose = 'tap'
WHERE a.state IN ('pending', 'held') AND a.body_digest IS NULL AND t.clock_life IS NULL /* own a */
ORDER BY a.uuid
LIMIT ?

-- name: bodiless_row
SELECT state, cause FROM authorisation
WHERE uuid = ? AND state IN ('pending', 'held') AND body_digest IS NULL /* lock */

-- name: give_body
UPDATE authorisation SET path = ?, body_digest = ?, due = min(due, ?) WHERE uuid = ?

-- name: fail_bodiless
UPDATE authorisation
SET state = 'permanently_failed', cause = ?, due = NULL, ran_rested = ?, warned = 0, fence = fence + 1
WHERE uuid = ?

-- name: mend_ages
UPDATE authorisation
SET created_at = coalesce((SELECT min(t.tapped_at) FROM tap t
                           WHERE t.uuid = authorisation.uuid AND t.clock_life IS NULL
                             AND t.tapped_at BETWEEN :floor AND :now), :now)
WHERE uuid IN (SELECT uuid FROM authorisation
               WHERE state = 'pending' AND body_digest IS NOT NULL AND created_at < :floor /* own */
               UNION ALL
               SELECT uuid FROM authorisation
               WHERE state IN ('pending', 'held') AND body_digest IS NULL AND created_at < :floor /* own */)
