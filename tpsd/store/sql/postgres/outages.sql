-- name: begin_outage
INSERT INTO outage (host, since) VALUES (?, ?)
ON CONFLICT (daemon, host) DO UPDATE
SET since = excluded.since, told = 0, ended_at = NULL, over_us = NULL, seed = NULL, past_due = 0, past_uuid = '', place = 0
WHERE outage.ended_at IS NOT NULL
