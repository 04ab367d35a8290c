-- The SQLite dialect of the journal's queries; the same names in every dialect.

-- name: taps_of_identity
SELECT t.id, t.digest, t.verdict, t.reason, t.disposition, t.unseen, t.shown, a.state, a.attempt, 0,
       CASE WHEN a.timing = 'realtime' AND t.verdict IN (1, 5, 6) THEN coalesce(a.approved_amount, a.amount) END
FROM tap t LEFT JOIN authorisation a ON a.uuid = t.uuid
WHERE t.serial = ?1 AND t.boot = ?2 AND t.counter = ?3
UNION ALL
SELECT number, digest, verdict, reason, disposition, unseen, shown, state, attempts, 1, amount
FROM identity WHERE serial = ?1 AND boot = ?2 AND counter = ?3

-- name: tap_unnamed
SELECT t.id, t.digest, t.verdict, t.reason, t.disposition, t.unseen, t.shown, a.state, a.attempt, 0,
       CASE WHEN a.timing = 'realtime' AND t.verdict IN (1, 5, 6) THEN coalesce(a.approved_amount, a.amount) END
FROM tap t LEFT JOIN authorisation a ON a.uuid = t.uuid
WHERE t.serial = ?1 AND t.digest = ?2 AND t.boot IS NULL
UNION ALL
SELECT number, digest, verdict, reason, disposition, unseen, shown, state, attempts, 1, amount
FROM identity WHERE serial = ?1 AND digest = ?2 AND boot IS NULL

-- name: insert_ladder
INSERT INTO ladder (tiers) VALUES (?) ON CONFLICT DO NOTHING

-- name: ladder_id
SELECT id FROM ladder WHERE tiers = ?

-- name: insert_authorisation
INSERT INTO authorisation (uuid, type, timing, lane, terminal, state, cause, path, credential, amount, currency,
                           body_digest, ladder, due, created_at, ran_rested, token)
VALUES (?, ?, 'deferred', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: insert_tap
INSERT INTO tap (serial, boot, counter, digest, type_name, pass_group, lane, terminal, kind, tapped_at, received_at, amount, currency, stop,
                 place, token, masked, oda, shown, verdict, reason, note, disposition, uuid, config_digest, list_version,
                 clock_life, facts, made_at, zone, token_key)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: repeat_tap
UPDATE tap SET repeats = repeats + 1, shown = coalesce(nullif(?, 0), shown) WHERE id = ?

-- name: mark_unseen
UPDATE tap SET unseen = 1 WHERE id = ?

-- name: revive_tap
UPDATE tap SET uuid = ?, disposition = NULL, note = ? WHERE id = ?

-- name: uuid_of_tap
SELECT uuid FROM tap WHERE id = ?

-- name: cancel_unsent
UPDATE authorisation SET state = 'not_charged', cause = ?, due = NULL, settled_at = ?
WHERE uuid = ? AND state IN ('pending', 'held') AND attempt = 0

-- name: insert_sealed
INSERT INTO sealed (owner, purpose, epoch, wrapped_key, nonce, data, ran_sealed) VALUES (?, ?, ?, ?, ?, ?, ?)

-- name: erase
DELETE FROM sealed WHERE owner = ?

-- name: claim_due
SELECT a.uuid, a.terminal, a.path, a.credential, a.attempt, a.sends, a.fence, a.may_have_charged, l.tiers, a.amount,
       s.epoch, s.wrapped_key, s.nonce, s.data
FROM authorisation a
JOIN ladder l ON l.id = a.ladder
LEFT JOIN sealed s ON s.owner = a.uuid AND s.purpose = 'body'
WHERE a.state = 'pending' AND a.body_digest IS NOT NULL AND a.due <= ? /* own a */
ORDER BY a.due, a.uuid
LIMIT ? /* claim a */

-- name: mark_sending
UPDATE authorisation SET state = 'sending', due = NULL, attempt = attempt + 1, sends = sends + 1, fence = fence + 1
WHERE uuid IN (SELECT value FROM json_each(?))

-- name: insert_attempt
-- Attempts are stamped in true time: the horizon compares those of several lives, whose schedule clocks differ.
INSERT INTO attempt (uuid, number, release, reason, started_at)
SELECT uuid, attempt, release, ?, ? + coalesce((SELECT value FROM meta WHERE key = 'clock_shift'), 0)
FROM authorisation WHERE uuid = ?

-- name: insert_attempts
INSERT INTO attempt (uuid, number, release, reason, started_at)
SELECT uuid, attempt, release, ?, ? + coalesce((SELECT value FROM meta WHERE key = 'clock_shift'), 0)
FROM authorisation WHERE uuid IN (SELECT value FROM json_each(?))

-- name: fence_of
SELECT fence FROM authorisation WHERE uuid = ? AND state = 'sending' /* lock */

-- name: end_attempt
UPDATE attempt
SET ended_at = ? + coalesce((SELECT value FROM meta WHERE key = 'clock_shift'), 0), outcome = ?, cause = ?, may_have_charged = ? WHERE uuid = ? AND number = ?

-- name: settle
UPDATE authorisation
SET state = ?, cause = ?, due = ?, may_have_charged = ?, settled_at = ?, ran_rested = ?, approved_amount = ?,
    action_code = ?, enquiry_due = ?, enquiries = 0, warned = 0
WHERE uuid = ?

-- name: tap_of_uuid
-- Its own, or that of the transaction it follows; a refund of a check-out by hand is two steps from its tap.
SELECT coalesce((SELECT min(id) FROM tap WHERE uuid = ?1),
                (SELECT min(t.id) FROM authorisation a JOIN tap t ON t.uuid = a.initial_uuid WHERE a.uuid = ?1),
                (SELECT min(t.id) FROM authorisation a JOIN authorisation b ON b.uuid = a.initial_uuid
                                  JOIN tap t ON t.uuid = b.initial_uuid WHERE a.uuid = ?1))

-- name: insert_notice
INSERT INTO notice (kind, cause, detail, tap, uuid, created_at) VALUES (?, ?, ?, ?, ?, ?)

-- name: open_episode
INSERT INTO episode (kind, cause, step, opened_at, closes_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING

-- name: next_due
SELECT min(due) FROM authorisation WHERE state = 'pending' AND body_digest IS NOT NULL /* own */

-- name: left_open
SELECT a.uuid, a.terminal, a.path, a.credential, a.attempt, a.sends, a.fence, a.may_have_charged, l.tiers,
       t.started_at, t.reason, a.cause, a.timing, a.amount
FROM authorisation a
JOIN ladder l ON l.id = a.ladder
JOIN attempt t ON t.uuid = a.uuid AND t.number = a.attempt
WHERE a.state = 'sending' /* own a */

-- name: without_credential
SELECT uuid FROM authorisation
WHERE state = 'pending' AND credential NOT IN (SELECT value FROM json_each(?))

-- name: hold_without_credential
UPDATE authorisation SET state = 'held', cause = 'no_credential', due = NULL, ran_rested = ?
WHERE state = 'pending' AND credential NOT IN (SELECT value FROM json_each(?))

-- name: free_with_credential
UPDATE authorisation SET state = 'pending', cause = NULL, due = ?, ran_rested = NULL
WHERE state = 'held' AND cause = 'no_credential' AND credential IN (SELECT value FROM json_each(?))

-- name: pending_rungs
SELECT DISTINCT a.ladder, l.tiers, a.sends
FROM authorisation a JOIN ladder l ON l.id = a.ladder
WHERE a.state = 'pending' AND a.due > ? /* own a */

-- name: pull_due
UPDATE authorisation SET due = ? WHERE state = 'pending' AND ladder = ? AND sends = ? AND due > ? /* own */

-- name: pull_windows
UPDATE episode SET closes_at = ? WHERE closes_at > ?

-- name: pull_mails
UPDATE mail SET due = ? WHERE accepted_at IS NULL AND due > ?

-- name: windows_over
SELECT kind, cause, step, opened_at, closes_at, mails, listed, amount_sum
FROM episode WHERE closes_at <= ? ORDER BY closes_at, kind, cause LIMIT ?

-- name: notices_waiting
SELECT n.id, n.kind, n.cause, n.detail, n.created_at, n.tap, t.serial, t.boot, t.counter, n.uuid,
       t.lane, t.tapped_at, coalesce(a.amount, t.amount), coalesce(a.currency, t.currency), t.masked,
       (SELECT count(*) FROM attempt x WHERE x.uuid = a.uuid AND x.reason <> 'enquiry'),
       (SELECT cause FROM attempt x WHERE x.uuid = a.uuid AND x.reason <> 'enquiry' ORDER BY number DESC LIMIT 1),
       coalesce(a.may_have_charged, 0), a.state
FROM notice n
LEFT JOIN tap t ON t.id = n.tap
LEFT JOIN authorisation a ON a.uuid = n.uuid
WHERE n.kind = ? AND n.cause = ? AND n.mail IS NULL
ORDER BY n.id LIMIT ?

-- name: notices_sum
SELECT coalesce(a.currency, t.currency), count(*), coalesce(sum(coalesce(a.amount, t.amount)), 0)
FROM notice n
LEFT JOIN tap t ON t.id = n.tap
LEFT JOIN authorisation a ON a.uuid = n.uuid
WHERE n.kind = ? AND n.cause = ? AND n.mail IS NULL
GROUP BY 1

-- name: insert_mail
INSERT INTO mail (message_id, subject, text, created_at, due) VALUES (?, ?, ?, ?, ?)

-- name: notices_mailed
UPDATE notice SET mail = ? WHERE kind = ? AND cause = ? AND mail IS NULL

-- name: next_window
UPDATE episode SET step = ?, opened_at = ?, closes_at = ?, mails = ?, listed = ?, amount_sum = ?
WHERE kind = ? AND cause = ?

-- name: end_episode
DELETE FROM episode WHERE kind = ? AND cause = ?

-- name: mails_due
SELECT id, message_id, subject, text, created_at, tries, due
FROM mail WHERE accepted_at IS NULL AND due <= ? ORDER BY due, id LIMIT ?

-- name: mail_accepted
UPDATE mail SET accepted_at = ?, due = NULL, tries = tries + 1, last_error = NULL WHERE id = ? AND accepted_at IS NULL

-- name: mail_refused
UPDATE mail SET due = ?, tries = tries + 1, last_error = ? WHERE id = ? AND accepted_at IS NULL

-- name: next_mail
SELECT min(at) FROM (
  SELECT min(closes_at) AS at FROM episode
  UNION ALL
  SELECT min(due) FROM mail WHERE accepted_at IS NULL
)

-- name: live_epochs
SELECT number, ran_opened, ran_closed FROM epoch WHERE destroyed = 0 ORDER BY number

-- name: last_epoch
SELECT coalesce(max(number), 0) FROM epoch

-- name: close_epochs
UPDATE epoch SET ran_closed = ? WHERE ran_closed IS NULL

-- name: insert_epoch
INSERT INTO epoch (number, ran_opened, taps_before) VALUES (?, ?, (SELECT coalesce(max(id), 0) FROM tap))

-- name: sealed_slice
SELECT owner, purpose, wrapped_key FROM sealed WHERE epoch = ? LIMIT ?

-- name: rewrap
UPDATE sealed SET epoch = ?, wrapped_key = ? WHERE owner = ? AND purpose = ? AND epoch = ?

-- name: erase_part
DELETE FROM sealed WHERE owner = ? AND purpose = ? AND epoch = ?

-- name: retire_epoch
UPDATE epoch SET destroyed = 1
WHERE number = ? AND ran_closed IS NOT NULL AND NOT EXISTS (SELECT 1 FROM sealed WHERE epoch = number)

-- name: rested_too_long
SELECT a.uuid FROM authorisation a
WHERE a.state IN ('held', 'permanently_failed', 'in_doubt')  -- the index's own words, or it is not taken
  AND a.state = ? AND a.ran_rested <= ? AND EXISTS (SELECT 1 FROM sealed s WHERE s.owner = a.uuid)
LIMIT ?

-- name: payloads_kept_too_long
SELECT owner FROM sealed WHERE purpose = 'payload' AND ran_sealed <= ? LIMIT ?

-- name: get_meta
SELECT value FROM meta WHERE key = ?

-- name: begin_meta
-- On PostgreSQL another that writes the same key is waited for, and then nothing is written.
INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO NOTHING

-- name: set_meta
INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value

-- name: any_unfinished
SELECT 1 FROM authorisation
WHERE state IN ('pending', 'sending', 'awaiting_tap', 'held', 'permanently_failed', 'in_doubt') LIMIT 1

-- name: tap_rows
SELECT t.id, t.serial, t.boot, t.counter, t.lane, t.terminal, t.kind, t.tapped_at, t.received_at,
       coalesce(a.amount, t.amount), coalesce(a.currency, t.currency), t.masked, t.verdict, t.reason, t.disposition,
       t.repeats, t.unseen OR coalesce(t.delivered, 1) <> 1, t.uuid, a.state, a.cause, coalesce(a.attempt, 0), a.due, coalesce(a.may_have_charged, 0)
FROM tap t LEFT JOIN authorisation a ON a.uuid = t.uuid
WHERE (:lane IS NULL OR t.lane = :lane)
  AND (:state IS NULL OR a.state = :state OR t.disposition = :state
       OR (:state = 'unseen' AND (t.unseen = 1 OR t.delivered IN (0, 2))))
  AND (:cause IS NULL OR a.cause = :cause OR t.reason = :cause)
ORDER BY t.id DESC LIMIT :limit

-- name: tap_by_number
SELECT id FROM tap WHERE id = ?

-- name: tap_by_uuid
SELECT min(id) FROM tap WHERE uuid >= ? AND uuid < ? GROUP BY uuid ORDER BY uuid LIMIT 2

-- name: tap_by_name
SELECT id FROM tap WHERE serial = ? AND boot = ? AND counter = ? ORDER BY id DESC LIMIT 2

-- name: tap_row
SELECT t.id, t.serial, t.boot, t.counter, t.lane, t.terminal, t.kind, t.tapped_at, t.received_at,
       coalesce(a.amount, t.amount), coalesce(a.currency, t.currency), t.masked, t.verdict, t.reason, t.disposition,
       t.repeats, t.unseen OR coalesce(t.delivered, 1) <> 1, t.uuid, a.state, a.cause, coalesce(a.attempt, 0), a.due, coalesce(a.may_have_charged, 0)
FROM tap t LEFT JOIN authorisation a ON a.uuid = t.uuid
WHERE t.id = ?

-- name: tap_more
SELECT t.token, t.stop, t.config_digest, a.path, a.credential,
       EXISTS (SELECT 1 FROM sealed s WHERE s.owner = t.uuid OR s.owner = 'tap:' || t.id),
       t.list_version, t.delivered, t.zone, a.approved_amount, a.initial_uuid, t.token_key
FROM tap t LEFT JOIN authorisation a ON a.uuid = t.uuid
WHERE t.id = ?

-- name: attempts_of
SELECT number, release, reason, started_at, ended_at, outcome, cause, coalesce(may_have_charged, 1)
FROM attempt WHERE uuid = ? ORDER BY number

-- name: notices_of
SELECT n.kind, n.cause, n.created_at, m.message_id, m.accepted_at
FROM notice n LEFT JOIN mail m ON m.id = n.mail
WHERE n.uuid = :uuid OR n.tap = :tap
ORDER BY n.id

-- name: count_mails
SELECT count(*) FILTER (WHERE accepted_at IS NULL), count(*) FILTER (WHERE accepted_at IS NOT NULL) FROM mail
