-- Daemons that share a journal: who is there, whose lease is over, and what becomes of the work of those.

-- name: register_daemon
INSERT INTO daemon (name, life, lease_until) VALUES (current_setting('tpsd.daemon', true), 1, now_us() + ?)
ON CONFLICT (name) DO UPDATE SET life = daemon.life + 1, lease_until = excluded.lease_until, gone_at = NULL
RETURNING life

-- name: say_life
SELECT set_config('tpsd.life', ?, false)

-- name: life
SELECT current_setting('tpsd.life', true)

-- name: confirm_taps
-- Its own are committed one after another, so it knows of all that it can see.
UPDATE daemon SET confirmed = kept.highest
FROM (SELECT coalesce(max(id), 0) AS highest FROM tap) kept
WHERE name = current_setting('tpsd.daemon', true) AND confirmed IS DISTINCT FROM kept.highest

-- name: confirm_whatever_comes
UPDATE daemon SET confirmed = NULL WHERE name = current_setting('tpsd.daemon', true) AND confirmed IS NOT NULL

-- name: renew_lease
UPDATE daemon SET lease_until = now_us() + ? WHERE name = current_setting('tpsd.daemon', true) RETURNING now_us()

-- name: say_credentials
UPDATE daemon SET credentials = ? WHERE name = current_setting('tpsd.daemon', true)

-- name: database_clock
SELECT now_us()

-- name: neighbours
SELECT name, life, lease_until, gone_at FROM daemon
WHERE name <> current_setting('tpsd.daemon', true) ORDER BY name

-- name: others_here
SELECT 1 FROM daemon
WHERE name <> current_setting('tpsd.daemon', true) AND gone_at IS NULL AND lease_until > now_us() LIMIT 1

-- name: hang_up
-- The connections of former lives that others declared gone some time ago: a machine that sleeps or is cut off would
-- keep its name, and what one does for all, until the server notices. A new life's connection began later.
SELECT count(pg_terminate_backend(l.pid)) FROM daemon d
JOIN pg_locks l ON l.locktype = 'advisory' AND l.classid = ?1 AND l.objsubid = 2 AND l.granted
  AND l.objid = (hashtext(d.name)::bigint & 4294967295)::oid
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
JOIN pg_stat_activity s ON s.pid = l.pid AND s.usename = current_user
WHERE d.name <> current_setting('tpsd.daemon', true) AND d.gone_at < now_us() - ?2
  AND s.backend_start < to_timestamp(d.lease_until / 1000000.0)

-- name: leave
-- Its lease ends when it goes: of one that was declared gone it had ended before.
UPDATE daemon SET lease_until = left_at.us, gone_at = left_at.us
FROM (SELECT now_us() AS us) left_at WHERE name = current_setting('tpsd.daemon', true)

-- name: declare_gone
-- One in the middle of a commit is looked at again.
UPDATE daemon SET gone_at = now_us()
WHERE name IN (SELECT name FROM daemon
               WHERE name = ? AND life = ? AND gone_at IS NULL AND lease_until < now_us() FOR UPDATE SKIP LOCKED)

-- name: lock_names
-- Until the transaction ends; of a tap and of a card, in the order given.
SELECT count(pg_advisory_xact_lock(hashtextextended(value, 0))) FROM json_array_elements_text(?::json)

-- name: preside_no_more
-- It is let go at once, whatever becomes of the transaction.
SELECT pg_advisory_unlock(?, ?)

-- name: preside
SELECT pg_try_advisory_lock(?, ?)

-- name: orphans_sending
-- What came of a realtime tap may stand in its daemon's spool, and be told already: it is left to that one, as below, for a
-- day. A deferred tap that its daemon claimed before it confirmed it, that one was about to put back: see below too.
SELECT a.uuid, o.own FROM orphaned o
JOIN authorisation a ON a.daemon = o.daemon AND a.credential = o.credential AND a.state = 'sending'
WHERE (a.timing = 'realtime' AND o.gone_at < now_us() - ?)
   OR NOT EXISTS (SELECT 1 FROM tap t WHERE t.uuid = a.uuid AND t.id > o.confirmed)
LIMIT ? /* claim a */

-- name: orphans_due
-- One that its daemon may have told of elsewhere is that one's to send.
SELECT a.uuid, o.own FROM orphaned o
JOIN authorisation a ON a.daemon = o.daemon AND a.credential = o.credential
  AND a.state = 'pending' AND a.body_digest IS NOT NULL AND a.due <= ?
WHERE NOT EXISTS (SELECT 1 FROM tap t WHERE t.uuid = a.uuid AND t.id > o.confirmed)
LIMIT ? /* claim a */

-- name: orphans_doubtful
SELECT a.uuid, o.own FROM orphaned o
JOIN authorisation a ON a.daemon = o.daemon AND a.credential = o.credential
  AND a.state IN ('in_doubt', 'pending') AND a.enquiry_due <= ?
WHERE o.gone_at < now_us() - ? OR NOT EXISTS (SELECT 1 FROM tap t WHERE t.uuid = a.uuid AND t.id > o.confirmed)
LIMIT ? /* claim a */

-- name: orphans_enquired
SELECT a.uuid, o.own FROM orphaned o
JOIN attempt t ON t.reason = 'enquiry' AND t.ended_at IS NULL
JOIN authorisation a ON a.uuid = t.uuid AND a.daemon = o.daemon AND a.credential = o.credential
LIMIT ? /* claim a */

-- name: adopt
UPDATE authorisation SET daemon = current_setting('tpsd.daemon', true), credential = ? WHERE uuid = ?

-- name: left_open_one
SELECT a.uuid, a.terminal, a.path, a.credential, a.attempt, a.sends, a.fence, a.may_have_charged, l.tiers,
       t.started_at, t.reason, a.cause, a.timing, a.amount
FROM authorisation a
JOIN ladder l ON l.id = a.ladder
JOIN attempt t ON t.uuid = a.uuid AND t.number = a.attempt
WHERE a.uuid = ?

-- name: enquiries_of_one
SELECT a.uuid, a.terminal, a.timing, a.state, a.cause, t.number, a.fence, a.enquiries,
       EXISTS (SELECT 1 FROM sealed s WHERE s.owner = a.uuid AND s.purpose = 'body'), a.type,
       coalesce(a.approved_amount, a.amount), t.started_at
FROM attempt t JOIN authorisation a ON a.uuid = t.uuid
WHERE a.uuid = ? AND t.reason = 'enquiry' AND t.ended_at IS NULL
