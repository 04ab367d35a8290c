-- What a spool alone asks of its file; it is always SQLite.

-- name: spool
INSERT INTO spooled (tap, uuid, at) VALUES (?, ?, ?)

-- name: spool_waits
SELECT count(*), (SELECT t.received_at FROM spooled s JOIN tap t ON t.id = s.tap ORDER BY s.tap LIMIT 1) FROM spooled

-- name: spool_tried
SELECT uuid FROM spooled WHERE uuid IS NOT NULL

-- name: spool_first
SELECT s.tap, s.uuid, s.at, t.repeats,
       t.serial, t.boot, t.counter, t.digest, t.type_name, t.pass_group, t.lane, t.terminal, t.kind, t.tapped_at,
       t.received_at, t.amount, t.currency, t.stop, t.place, t.token, t.masked, t.oda, t.shown, t.verdict, t.reason,
       t.note, t.disposition, t.config_digest, t.list_version, t.clock_life, t.facts, t.zone,
       t.token_key,
       a.uuid, a.type, a.state, a.cause, a.path, a.credential, a.amount, a.currency, a.body_digest, l.tiers,
       t.made_at, t.unseen, t.delivered, a.timing, a.may_have_charged, a.approved_amount, a.action_code, a.settled_at,
       a.enquiry_due, a.created_at, p.started_at, p.ended_at, p.outcome, p.cause, p.may_have_charged
FROM spooled s
JOIN tap t ON t.id = s.tap
LEFT JOIN authorisation a ON a.uuid = t.uuid
LEFT JOIN attempt p ON p.uuid = a.uuid AND p.number = 1
LEFT JOIN ladder l ON l.id = a.ladder
WHERE s.tap > ?
ORDER BY s.tap LIMIT ?

-- name: spool_sealed
SELECT owner, purpose, epoch, wrapped_key, nonce, data FROM sealed WHERE owner IN (?, ?)

-- name: spool_notices
SELECT kind, cause, detail FROM notice WHERE tap = ? ORDER BY id

-- name: spool_followers
SELECT uuid, type, lane, terminal, path, credential, amount, currency, initial_uuid, created_at FROM authorisation
WHERE initial_uuid = ? ORDER BY created_at, uuid

-- name: spool_unchanged
SELECT t.uuid FROM spooled s JOIN tap t ON t.id = s.tap WHERE s.tap = ? AND t.repeats = ?
  AND t.delivered IS ? AND (SELECT a.state FROM authorisation a WHERE a.uuid = t.uuid) IS ?

-- name: spool_has
SELECT 1 FROM spooled s JOIN tap t ON t.id = s.tap WHERE t.uuid = ?

-- name: spool_drop_attempts
DELETE FROM attempt WHERE uuid = ?

-- name: spool_drop_notices
DELETE FROM notice WHERE tap = ?

-- name: spool_drop
DELETE FROM spooled WHERE tap = ?

-- name: spool_drop_tap
DELETE FROM tap WHERE id = ?

-- name: spool_drop_authorisation
DELETE FROM authorisation WHERE uuid = ?

-- name: spool_erase_followers
DELETE FROM sealed WHERE owner IN (SELECT uuid FROM authorisation WHERE initial_uuid = ?)

-- name: spool_drop_followers
DELETE FROM authorisation WHERE initial_uuid = ?

-- name: spool_drop_episodes
DELETE FROM episode

-- name: spool_tokens
SELECT token FROM deny WHERE generation = ? AND token > ? AND token <= ?

-- name: spool_list
SELECT number FROM deny_generation WHERE source = 'database' AND state = 'live'
