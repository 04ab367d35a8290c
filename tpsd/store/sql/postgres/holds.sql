-- name: begin_hold
-- One that stands is locked, so that nobody ends it before what is held under it can be seen.
INSERT INTO hold (cause, terminal, since, canary_due) VALUES (?, ?, ?, ?)
ON CONFLICT (cause) DO UPDATE SET since = hold.since

-- name: next_canary
-- Whose rows are held sends the canary, here and below, whichever daemon began the hold; without any, that one does.
SELECT min(h.canary_due) FROM hold h
WHERE h.canary_due IS NOT NULL
  AND (EXISTS (SELECT 1 FROM authorisation a
               WHERE a.state IN ('held', 'permanently_failed', 'in_doubt') AND a.state = 'held' AND a.cause = h.cause
                 AND a.may_have_charged = 0 AND a.body_digest IS NOT NULL /* own a */)
       OR NOT EXISTS (SELECT 1 FROM authorisation a
                      WHERE a.state IN ('held', 'permanently_failed', 'in_doubt') AND a.state = 'held'
                        AND a.cause = h.cause AND a.may_have_charged = 0 AND a.body_digest IS NOT NULL) /* own h */)

-- name: canaries_due
SELECT h.cause FROM hold h
WHERE h.canary_due <= ?
  AND (EXISTS (SELECT 1 FROM authorisation a
               WHERE a.state IN ('held', 'permanently_failed', 'in_doubt') AND a.state = 'held' AND a.cause = h.cause
                 AND a.may_have_charged = 0 AND a.body_digest IS NOT NULL /* own a */)
       OR NOT EXISTS (SELECT 1 FROM authorisation a
                      WHERE a.state IN ('held', 'permanently_failed', 'in_doubt') AND a.state = 'held'
                        AND a.cause = h.cause AND a.may_have_charged = 0 AND a.body_digest IS NOT NULL) /* own h */)
ORDER BY h.canary_due, h.cause LIMIT ? /* claim h */
