-- Many daemons on one journal. Oldest code that may read it: schema 6, since older code takes every row for its own.
-- Each has a name, which its sessions say as "tpsd.daemon"; what it writes is its own by that. What stood here before
-- is that daemon's which brings the schema up.

-- fillfactor 10: a row is written every few seconds for years, and each version finds room on its own page.
CREATE TABLE daemon (
  name        text COLLATE "C" PRIMARY KEY,
  life        bigint NOT NULL,          -- counts its starts
  lease_until bigint NOT NULL,          -- on the database's clock: until then nobody else takes its work
  gone_at     bigint,                   -- when another found its lease over; it must start anew
  credentials jsonb NOT NULL DEFAULT '{}',  -- whom TPS sees behind each of its credentials, by their names
  confirmed   bigint                    -- the highest tap that it knows is kept; NULL: it takes taps nowhere else
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);

ALTER TABLE authorisation ADD COLUMN daemon text COLLATE "C" NOT NULL
  DEFAULT coalesce(current_setting('tpsd.daemon', true), '');
ALTER TABLE tap ADD COLUMN daemon text COLLATE "C" NOT NULL
  DEFAULT coalesce(current_setting('tpsd.daemon', true), '');
ALTER TABLE hold ADD COLUMN daemon text COLLATE "C" NOT NULL
  DEFAULT coalesce(current_setting('tpsd.daemon', true), '');
ALTER TABLE outage ADD COLUMN daemon text COLLATE "C" NOT NULL
  DEFAULT coalesce(current_setting('tpsd.daemon', true), '');
ALTER TABLE terminal_identity ADD COLUMN daemon text COLLATE "C" NOT NULL
  DEFAULT coalesce(current_setting('tpsd.daemon', true), '');

ALTER TABLE outage DROP CONSTRAINT outage_pkey, ADD PRIMARY KEY (daemon, host);
ALTER TABLE terminal_identity DROP CONSTRAINT terminal_identity_pkey, ADD PRIMARY KEY (daemon, lane);

-- What a daemon claims from: its own rows alone, however many wait for others. The one without a daemon stays for the
-- figures, which count everybody's in the order in which they are due.
CREATE INDEX authorisation_own_due ON authorisation (daemon, due, uuid)
  WHERE state = 'pending' AND body_digest IS NOT NULL;
DROP INDEX authorisation_waiting;
CREATE INDEX authorisation_waiting ON authorisation (daemon, created_at, due)
  WHERE state = 'pending' AND body_digest IS NOT NULL;
DROP INDEX authorisation_sending;
CREATE INDEX authorisation_sending ON authorisation (daemon, uuid) WHERE state = 'sending';
DROP INDEX authorisation_enquiry;
CREATE INDEX authorisation_enquiry ON authorisation (daemon, enquiry_due)
  WHERE state IN ('in_doubt', 'pending') AND enquiry_due IS NOT NULL;
DROP INDEX tap_untimed;
CREATE INDEX tap_untimed ON tap (daemon, clock_life, received_at, id) WHERE clock_life IS NOT NULL;

-- Lanes are known by their names within a daemon, and so are the lives whose clocks were not trusted.
UPDATE meta
SET key = regexp_replace(key, '^(lane_closed|lane_device)/',
                         '\1/' || coalesce(current_setting('tpsd.daemon', true), '') || '/')
WHERE starts_with(key, 'lane_closed/') OR starts_with(key, 'lane_device/');
DELETE FROM meta WHERE key IN ('clock_shift', 'clock_bound') OR starts_with(key, 'clock_guess:');
UPDATE meta
SET key = 'clock_life:' || coalesce(current_setting('tpsd.daemon', true), '') || '/' || substr(key, 12)
WHERE starts_with(key, 'clock_life:');

-- What to add to this daemon's schedule clock for the true time.
CREATE FUNCTION clock_shift() RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT coalesce((SELECT value::bigint FROM meta
                   WHERE key = 'clock_shift/' || coalesce(current_setting('tpsd.daemon', true), '')), 0)
$$;

-- In every transaction first: nobody has declared this life gone, nor can before it ends. A function, because what
-- raises needs no answer of its own, and goes with the BEGIN in one message.
CREATE FUNCTION here_still() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM daemon
  WHERE name = current_setting('tpsd.daemon', true) AND life = current_setting('tpsd.life', true)::bigint
    AND gone_at IS NULL
  FOR SHARE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'this daemon was declared gone' USING ERRCODE = 'TP001';
  END IF;
END
$$;

-- Under which name this daemon holds what another calls so: its own name for it, or one that nobody holds.
CREATE FUNCTION own_credential(of_daemon text, called text) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN of_daemon = current_setting('tpsd.daemon', true) THEN called
              ELSE coalesce((SELECT min(m.key)
                             FROM daemon d
                             JOIN daemon me ON me.name = current_setting('tpsd.daemon', true)
                             CROSS JOIN LATERAL jsonb_each_text(me.credentials) m
                             WHERE d.name = of_daemon AND m.value = d.credentials ->> called),
                            of_daemon || '/' || called)
         END
$$;

-- The database's clock, which every daemon's due times follow: microseconds since 1970 UTC.
CREATE FUNCTION now_us() RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
$$;

-- The credentials of daemons that are gone, each with the name under which this daemon holds the same.
CREATE VIEW orphaned AS
SELECT d.name AS daemon, theirs.name AS credential, mine.name AS own, d.gone_at, d.confirmed
FROM daemon d
JOIN daemon me ON me.name = current_setting('tpsd.daemon', true) AND me.name <> d.name
CROSS JOIN LATERAL jsonb_each_text(d.credentials) AS theirs (name, whom)
CROSS JOIN LATERAL (
  SELECT min(m.name) AS name FROM jsonb_each_text(me.credentials) AS m (name, whom) WHERE m.whom = theirs.whom
) mine
WHERE d.gone_at IS NOT NULL AND mine.name IS NOT NULL;
