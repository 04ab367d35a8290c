-- The journal's first schema. Oldest code that may read it: schema 1.
-- Times are microseconds since 1970 UTC: *_at on the wall clock where a person reads them, on the schedule clock
-- where a due time follows; ran_* count the journal's own running time. Money is minor units.

CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- The tiers a row was taken under; a reload changes them for new taps only.
CREATE TABLE ladder (
  id    INTEGER PRIMARY KEY,
  tiers TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE authorisation (
  uuid              TEXT PRIMARY KEY,
  type              TEXT NOT NULL CHECK (type IN ('MTT', 'KFT', 'RETAIL_PAYMENT', 'RETAIL_CHECK_IN',
                                                  'RETAIL_CHECK_OUT', 'RETAIL_REFUND')),
  timing            TEXT NOT NULL CHECK (timing IN ('deferred', 'realtime')),
  lane              TEXT NOT NULL,
  terminal          TEXT NOT NULL,
  state             TEXT NOT NULL CHECK (state IN ('approved', 'declined', 'tap_refused', 'failed', 'not_charged',
                                                   'closed', 'pending', 'sending', 'awaiting_tap', 'held',
                                                   'permanently_failed', 'in_doubt')),
  cause             TEXT,
  path              TEXT NOT NULL,
  credential        TEXT NOT NULL,
  amount            INTEGER NOT NULL CHECK (amount >= 0),
  currency          TEXT NOT NULL,
  body_digest       BLOB,               -- NULL: the body waits until the clock is trusted
  ladder            INTEGER NOT NULL REFERENCES ladder (id),
  release           INTEGER NOT NULL DEFAULT 1 CHECK (release >= 1),
  attempt           INTEGER NOT NULL DEFAULT 0 CHECK (attempt >= 0),
  sends             INTEGER NOT NULL DEFAULT 0 CHECK (sends >= 0),
  fence             INTEGER NOT NULL DEFAULT 0,
  due               INTEGER,
  may_have_charged  INTEGER NOT NULL DEFAULT 0 CHECK (may_have_charged IN (0, 1)),
  approved_amount   INTEGER,
  action_code       TEXT,
  created_at        INTEGER NOT NULL,
  settled_at        INTEGER,
  ran_rested        INTEGER,
  warned            INTEGER NOT NULL DEFAULT 0 CHECK (warned IN (0, 1)),  -- that its body goes in 48 hours
  enquiries         INTEGER NOT NULL DEFAULT 0,
  enquiry_due       INTEGER,
  initial_uuid      TEXT,
  replaced_by       TEXT REFERENCES authorisation (uuid),
  token             TEXT,
  -- The last guard: what is due is pending, and nothing pending is forgotten.
  CHECK ((state = 'pending') = (due IS NOT NULL))
) STRICT, WITHOUT ROWID;

-- Partial indexes: the hot rows stay small however many are kept.
CREATE INDEX authorisation_due     ON authorisation (due)      WHERE state = 'pending' AND body_digest IS NOT NULL;
CREATE INDEX authorisation_bodiless ON authorisation (due)     WHERE state = 'pending' AND body_digest IS NULL;
CREATE INDEX authorisation_waits_body ON authorisation (uuid)
  WHERE state IN ('pending', 'held') AND body_digest IS NULL;
CREATE INDEX authorisation_sending ON authorisation (uuid)     WHERE state = 'sending';
-- What has waited longest, and what waits for an outage to end: counted without a look at the rows.
CREATE INDEX authorisation_waiting ON authorisation (created_at, due, state, body_digest)
  WHERE state = 'pending' AND body_digest IS NOT NULL;
CREATE INDEX authorisation_enquiry ON authorisation (enquiry_due)
  WHERE state IN ('in_doubt', 'pending') AND enquiry_due IS NOT NULL;
CREATE INDEX authorisation_approved ON authorisation (settled_at) WHERE state = 'approved';
-- A card with a row here is free of pass-back.
CREATE INDEX authorisation_unclear ON authorisation (token)    WHERE state IN ('in_doubt', 'awaiting_tap');
CREATE INDEX authorisation_replaced ON authorisation (replaced_by) WHERE replaced_by IS NOT NULL;
CREATE INDEX authorisation_resting ON authorisation (state, ran_rested)
  WHERE state IN ('held', 'permanently_failed', 'in_doubt');
CREATE INDEX authorisation_unwarned ON authorisation (state, ran_rested)
  WHERE state IN ('held', 'permanently_failed', 'in_doubt') AND warned = 0;
-- What rests by cause, page by page: read whole by those who count it.
CREATE INDEX authorisation_cause   ON authorisation (cause, created_at, uuid, state, amount, currency)
  WHERE state IN ('held', 'permanently_failed', 'in_doubt');

CREATE TABLE tap (
  id             INTEGER PRIMARY KEY,
  serial         TEXT NOT NULL,
  boot           INTEGER,
  counter        INTEGER,
  digest         BLOB NOT NULL CHECK (length(digest) = 32),
  type_name      TEXT NOT NULL,
  lane           TEXT NOT NULL,
  terminal       TEXT NOT NULL,
  kind           TEXT,
  tapped_at      INTEGER NOT NULL,
  received_at    INTEGER NOT NULL,
  amount         INTEGER,
  currency       TEXT,
  stop           TEXT,
  place          TEXT,
  token          TEXT,
  masked         TEXT,
  oda            INTEGER NOT NULL,
  shown          INTEGER NOT NULL,
  verdict        INTEGER CHECK (verdict BETWEEN 1 AND 10),
  reason         TEXT NOT NULL,
  note           TEXT,
  disposition    TEXT CHECK (disposition IN ('rejected', 'denied', 'repeat', 'stale')),
  uuid           TEXT REFERENCES authorisation (uuid),
  repeats        INTEGER NOT NULL DEFAULT 0,
  pass_group     TEXT NOT NULL,
  clock_life     TEXT,                 -- the life whose clock stamped it before that knew the time; NULL: it is right
  unseen         INTEGER NOT NULL DEFAULT 0 CHECK (unseen IN (0, 1)),
  list_version   INTEGER,
  config_digest  TEXT NOT NULL,
  CHECK ((boot IS NULL) = (counter IS NULL)),
  -- A tap has an authorisation or says why it has none.
  CHECK ((uuid IS NULL) = (disposition IS NOT NULL))
) STRICT;

CREATE UNIQUE INDEX tap_identity ON tap (serial, boot, counter, digest) WHERE boot IS NOT NULL;
CREATE UNIQUE INDEX tap_unnamed  ON tap (serial, digest)                WHERE boot IS NULL;
CREATE INDEX tap_uuid            ON tap (uuid)                          WHERE uuid IS NOT NULL;
CREATE INDEX tap_untimed         ON tap (clock_life, received_at, id)   WHERE clock_life IS NOT NULL;

-- The card's last taps in a group, for pass-back; the verdicts that let people in.
CREATE INDEX tap_card            ON tap (token, pass_group, tapped_at) WHERE token IS NOT NULL AND verdict IN (1, 5, 6);

-- What a pruned tap leaves behind for 400 days of running time: its repeats still get the same verdict.
CREATE TABLE identity (
  number       INTEGER PRIMARY KEY,    -- the tap's
  serial       TEXT NOT NULL,
  boot         INTEGER,
  counter      INTEGER,
  digest       BLOB NOT NULL CHECK (length(digest) = 32),
  verdict      INTEGER NOT NULL CHECK (verdict BETWEEN 1 AND 10),
  reason       TEXT NOT NULL,
  disposition  TEXT,
  unseen       INTEGER NOT NULL CHECK (unseen IN (0, 1)),
  shown        INTEGER NOT NULL,
  state        TEXT,
  attempts     INTEGER,
  CHECK ((boot IS NULL) = (counter IS NULL))
) STRICT;

CREATE INDEX identity_named   ON identity (serial, boot, counter) WHERE boot IS NOT NULL;
CREATE INDEX identity_unnamed ON identity (serial, digest)        WHERE boot IS NULL;

CREATE TABLE attempt (
  uuid              TEXT NOT NULL REFERENCES authorisation (uuid),
  number            INTEGER NOT NULL CHECK (number >= 1),
  release           INTEGER NOT NULL,
  reason            TEXT NOT NULL CHECK (reason IN ('ladder', 'canary', 'tap', 'hand', 'enquiry')),
  started_at        INTEGER NOT NULL,
  ended_at          INTEGER,
  outcome           TEXT CHECK (outcome IN ('approved', 'declined', 'tap_refused', 'terminal_refused', 'try_again',
                                            'not_sent', 'unknown', 'not_found')),  -- not_found: an enquiry, believed
  cause             TEXT,
  may_have_charged  INTEGER CHECK (may_have_charged IN (0, 1)),
  PRIMARY KEY (uuid, number),
  CHECK ((ended_at IS NULL) = (outcome IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX attempt_enquiring ON attempt (uuid) WHERE reason = 'enquiry' AND ended_at IS NULL;

-- Keys of keys. The key itself is a file in the epoch folder, wrapped by the key-encryption key.
CREATE TABLE epoch (
  number      INTEGER PRIMARY KEY,
  ran_opened  INTEGER NOT NULL,
  ran_closed  INTEGER,
  taps_before INTEGER NOT NULL,  -- the highest tap number when it began: how old a tap is in running time
  destroyed   INTEGER NOT NULL DEFAULT 0 CHECK (destroyed IN (0, 1))
) STRICT;

CREATE TABLE sealed (
  owner       TEXT NOT NULL,
  purpose     TEXT NOT NULL CHECK (purpose IN ('tap', 'body', 'payload')),
  epoch       INTEGER NOT NULL REFERENCES epoch (number),
  wrapped_key BLOB NOT NULL,
  nonce       BLOB NOT NULL,
  data        BLOB NOT NULL,
  ran_sealed  INTEGER NOT NULL,
  PRIMARY KEY (owner, purpose)
) STRICT;

CREATE INDEX sealed_epoch   ON sealed (epoch);
CREATE INDEX sealed_payload ON sealed (ran_sealed) WHERE purpose = 'payload';

-- Why taps of a terminal are held, new ones too; canaries go only where TPS's application never judged the tap.
CREATE TABLE hold (
  cause      TEXT PRIMARY KEY,
  terminal   TEXT,                      -- NULL: the cause is no terminal's
  since      INTEGER NOT NULL,
  canary_due INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX hold_terminal ON hold (terminal, since) WHERE terminal IS NOT NULL;
CREATE INDEX hold_canary   ON hold (canary_due) WHERE canary_due IS NOT NULL;

-- TPS's host while it cannot be reached, and then until what waited has been given its due times.
CREATE TABLE outage (
  host      TEXT PRIMARY KEY,
  since     INTEGER NOT NULL,
  told      INTEGER NOT NULL DEFAULT 0 CHECK (told IN (0, 1)),
  ended_at  INTEGER,
  over_us   INTEGER,                    -- the spread: its width, its draw, and how far it has come
  seed      BLOB,
  past_due  INTEGER NOT NULL DEFAULT 0,
  past_uuid TEXT NOT NULL DEFAULT '',
  place     INTEGER NOT NULL DEFAULT 0,
  CHECK ((ended_at IS NULL) = (over_us IS NULL)),
  CHECK ((ended_at IS NULL) = (seed IS NULL))
) STRICT, WITHOUT ROWID;

-- Cards that may not ride, by token. A generation is filled in slices and takes effect when it becomes live.
CREATE TABLE deny_generation (
  number    INTEGER PRIMARY KEY,
  source    TEXT NOT NULL,
  state     TEXT NOT NULL CHECK (state IN ('filling', 'live', 'old')),
  tokens    INTEGER NOT NULL DEFAULT 0 CHECK (tokens >= 0),
  began_at  INTEGER NOT NULL,
  live_at   INTEGER
) STRICT;

-- The generation first: an import appends, and an old list goes page by page. Live generations are few.
CREATE TABLE deny (
  generation INTEGER NOT NULL REFERENCES deny_generation (number),
  token      BLOB NOT NULL CHECK (length(token) = 32),
  PRIMARY KEY (generation, token)
) STRICT, WITHOUT ROWID;

CREATE TABLE journey (
  id         INTEGER PRIMARY KEY,
  operator   INTEGER NOT NULL,
  token      TEXT NOT NULL,
  state      TEXT NOT NULL CHECK (state IN ('open', 'checking_out', 'ended_unpaid', 'by_hand', 'closed', 'expired')),
  check_in   TEXT NOT NULL REFERENCES authorisation (uuid),
  check_out  TEXT REFERENCES authorisation (uuid),
  tries      INTEGER NOT NULL DEFAULT 0 CHECK (tries BETWEEN 0 AND 3),
  opened_at  INTEGER NOT NULL,
  ended_at   INTEGER
) STRICT;

CREATE UNIQUE INDEX journey_one_open ON journey (operator, token) WHERE state IN ('open', 'checking_out');
CREATE UNIQUE INDEX journey_check_in ON journey (check_in);
CREATE INDEX journey_check_out ON journey (check_out) WHERE check_out IS NOT NULL;

CREATE TABLE mail (
  id          INTEGER PRIMARY KEY,
  message_id  TEXT NOT NULL UNIQUE,
  subject     TEXT NOT NULL,
  text        TEXT NOT NULL,
  created_at  INTEGER NOT NULL,
  tries       INTEGER NOT NULL DEFAULT 0,
  due         INTEGER,
  accepted_at INTEGER,
  last_error  TEXT,
  CHECK ((due IS NULL) = (accepted_at IS NOT NULL))
) STRICT;

CREATE INDEX mail_due ON mail (due) WHERE accepted_at IS NULL;

CREATE TABLE notice (
  id         INTEGER PRIMARY KEY,
  kind       TEXT NOT NULL CHECK (kind IN ('permanently_failed', 'held', 'tap_refused', 'in_doubt', 'unseen', 'alarm',
                                            'outage', 'body_goes')),
  cause      TEXT NOT NULL,
  detail     TEXT NOT NULL,
  tap        INTEGER REFERENCES tap (id),
  uuid       TEXT REFERENCES authorisation (uuid),
  created_at INTEGER NOT NULL,
  mail       INTEGER REFERENCES mail (id)
) STRICT;

CREATE INDEX notice_waiting ON notice (kind, cause) WHERE mail IS NULL;
CREATE INDEX notice_uuid    ON notice (uuid) WHERE uuid IS NOT NULL;
CREATE INDEX notice_tap     ON notice (tap)  WHERE tap IS NOT NULL;
CREATE INDEX notice_mail    ON notice (mail) WHERE mail IS NOT NULL;

-- One row for each cause that lasts: its present window and its totals.
CREATE TABLE episode (
  kind       TEXT NOT NULL,
  cause      TEXT NOT NULL,
  step       INTEGER NOT NULL,
  opened_at  INTEGER NOT NULL,
  closes_at  INTEGER NOT NULL,
  mails      INTEGER NOT NULL DEFAULT 0,
  listed     INTEGER NOT NULL DEFAULT 0,
  amount_sum INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (kind, cause)
) STRICT, WITHOUT ROWID;

CREATE INDEX episode_closes ON episode (closes_at);

CREATE TABLE audit (
  id      INTEGER PRIMARY KEY,
  at      INTEGER NOT NULL,
  who     TEXT NOT NULL,
  what    TEXT NOT NULL,
  subject TEXT NOT NULL,
  why     TEXT NOT NULL
) STRICT;
