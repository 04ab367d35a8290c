-- What a daemon leaves that is gone, beside the work that is due: what is held or waits for its body, and what nobody
-- here can go on with. "Confirmed": what the daemon may have told otherwise elsewhere is its own to send.

-- name: orphans_held
SELECT a.uuid, o.own FROM orphaned o
JOIN authorisation a ON a.daemon = o.daemon AND a.credential = o.credential AND a.state = 'held'
WHERE NOT EXISTS (SELECT 1 FROM tap t
                  WHERE t.uuid = a.uuid
                    AND (t.id > o.confirmed OR (a.body_digest IS NULL AND t.clock_life IS NOT NULL)))
LIMIT ? /* claim a */

-- name: orphans_bodiless
-- Their times are right, so whoever holds the certificate can make their bodies.
SELECT a.uuid, o.own FROM orphaned o
JOIN authorisation a ON a.daemon = o.daemon AND a.credential = o.credential
  AND a.state = 'pending' AND a.body_digest IS NULL
WHERE NOT EXISTS (SELECT 1 FROM tap t
                  WHERE t.uuid = a.uuid AND (t.id > o.confirmed OR t.clock_life IS NOT NULL))
LIMIT ? /* claim a */

-- name: adopt_holds
UPDATE hold SET daemon = current_setting('tpsd.daemon', true)
WHERE daemon <> current_setting('tpsd.daemon', true)
  AND daemon IN (SELECT name FROM daemon WHERE gone_at IS NOT NULL)

-- name: free_adopted
UPDATE authorisation SET state = 'pending', cause = NULL, due = ?, ran_rested = NULL
WHERE uuid = ? AND state = 'held' AND cause = 'no_credential'

-- name: abandoned_sending
-- Whoever holds its certificate has taken it over by now, here and below; but for what its daemon may know better.
SELECT a.uuid FROM daemon d
JOIN authorisation a ON a.daemon = d.name AND a.state = 'sending'
WHERE d.name <> current_setting('tpsd.daemon', true) AND d.gone_at < now_us() - ?
  AND (d.gone_at < now_us() - ? OR NOT EXISTS (SELECT 1 FROM tap t WHERE t.uuid = a.uuid AND t.id > d.confirmed))
LIMIT ? /* claim a */

-- name: unconfirmed_due
SELECT a.uuid, a.state, a.cause FROM daemon d
JOIN authorisation a ON a.daemon = d.name AND a.state = 'pending' AND a.body_digest IS NOT NULL
WHERE d.name <> current_setting('tpsd.daemon', true) AND d.gone_at < now_us() - ?
  AND EXISTS (SELECT 1 FROM tap t WHERE t.uuid = a.uuid AND t.id > d.confirmed)
ORDER BY a.daemon, a.due, a.uuid LIMIT ? /* claim a */

-- name: unconfirmed_bodiless
SELECT a.uuid, a.state, a.cause FROM daemon d
JOIN authorisation a ON a.daemon = d.name AND a.state = 'pending' AND a.body_digest IS NULL
WHERE d.name <> current_setting('tpsd.daemon', true) AND d.gone_at < now_us() - ?
  AND EXISTS (SELECT 1 FROM tap t WHERE t.uuid = a.uuid AND t.id > d.confirmed)
LIMIT ? /* claim a */

-- name: unconfirmed_held
SELECT a.uuid, a.state, a.cause FROM daemon d
JOIN authorisation a ON a.daemon = d.name AND a.state = 'held'
WHERE d.name <> current_setting('tpsd.daemon', true) AND d.gone_at < now_us() - ?
  AND EXISTS (SELECT 1 FROM tap t WHERE t.uuid = a.uuid AND t.id > d.confirmed)
LIMIT ? /* claim a */

-- name: doubt_unconfirmed
UPDATE authorisation
SET state = 'in_doubt', cause = 'unconfirmed', due = NULL, ran_rested = ?, enquiries = 0, warned = 0
WHERE uuid = ? AND state IN ('pending', 'held')

-- name: abandoned_untimed
SELECT a.uuid FROM daemon d
JOIN authorisation a ON a.daemon = d.name AND a.state IN ('pending', 'held') AND a.body_digest IS NULL
WHERE d.name <> current_setting('tpsd.daemon', true) AND d.gone_at < now_us() - ?
  AND EXISTS (SELECT 1 FROM tap t WHERE t.uuid = a.uuid AND t.clock_life IS NOT NULL)
LIMIT ? /* claim a */

-- name: abandoned_bodiless
SELECT a.uuid FROM daemon d
JOIN authorisation a ON a.daemon = d.name
  AND a.state = 'pending' AND a.body_digest IS NULL
WHERE d.name <> current_setting('tpsd.daemon', true) AND d.gone_at < now_us() - ?
LIMIT ? /* claim a */

-- name: abandoned_due
SELECT a.uuid FROM daemon d
JOIN authorisation a ON a.daemon = d.name AND a.state = 'pending' AND a.body_digest IS NOT NULL AND a.due <= ?
WHERE d.name <> current_setting('tpsd.daemon', true) AND d.gone_at < now_us() - ?
LIMIT ? /* claim a */

-- name: hold_abandoned
UPDATE authorisation SET state = 'held', cause = 'no_credential', due = NULL, ran_rested = ?
WHERE uuid = ? AND state = 'pending'

-- name: abandoned_enquiries
SELECT a.uuid, a.state, a.cause FROM daemon d
JOIN authorisation a ON a.daemon = d.name AND a.state IN ('in_doubt', 'pending') AND a.enquiry_due <= ?
WHERE d.name <> current_setting('tpsd.daemon', true) AND d.gone_at < now_us() - ?
LIMIT ? /* claim a */

-- name: abandoned_enquired
SELECT a.uuid, a.state, a.cause FROM daemon d
JOIN attempt t ON t.reason = 'enquiry' AND t.ended_at IS NULL
JOIN authorisation a ON a.uuid = t.uuid AND a.daemon = d.name
WHERE d.name <> current_setting('tpsd.daemon', true) AND d.gone_at < now_us() - ?
LIMIT ? /* claim a */
