-- Device keys as TPS gives them out. Oldest code that may read it: schema 1, since older code does not look at them.

CREATE TABLE device_key (
  id          INTEGER PRIMARY KEY,
  type        TEXT NOT NULL,
  key_index   TEXT NOT NULL,               -- keyIndex as received; '': there was none
  format      TEXT NOT NULL,
  algorithm   TEXT NOT NULL,
  terminal    TEXT NOT NULL,               -- TYPE:SERIAL it was sent to; '': a person gave it, for all
  digest      BLOB NOT NULL,               -- keyed, of what was received: the same again is no second key
  check_value TEXT,                        -- NULL: kept as received
  why         TEXT NOT NULL,               -- why it is kept as received, in our own words
  sealed      BLOB,                        -- the key, or what was received, under the key-encryption key; NULL: retired
  received_at INTEGER NOT NULL,            -- wall clock
  retired_at  INTEGER,                     -- wall clock
  CHECK ((sealed IS NULL) = (retired_at IS NOT NULL)),
  UNIQUE (type, terminal, digest)
) STRICT;
