-- Stop list and EMV parameters as TPS feeds them. Oldest code that may read it: schema 3, which does not look at them.

-- How far a type has come. A flush begins a list, which takes effect once it is whole.
CREATE TABLE feed_parameters (
  kind     TEXT PRIMARY KEY,
  version  INTEGER NOT NULL DEFAULT 0,   -- counts the pages that changed something
  list     INTEGER NOT NULL DEFAULT 0,   -- the number of the list that comes in, or is in force
  in_force INTEGER NOT NULL DEFAULT 0,   -- the number of the list in force
  token    TEXT,                         -- what the next request resumes from; NULL: from the beginning
  whole_at INTEGER                       -- when TPS last said that there is no more, wall clock
) STRICT;

-- Their records in the order in which they came.
CREATE TABLE feed_record (
  id       INTEGER PRIMARY KEY,
  kind     TEXT NOT NULL REFERENCES feed_parameters (kind),
  list     INTEGER NOT NULL,
  version  INTEGER NOT NULL,
  heard_at INTEGER NOT NULL,
  action   TEXT NOT NULL,
  raw      TEXT                          -- NULL: it may have held a card number
) STRICT;

CREATE INDEX feed_record_list ON feed_record (kind, list);
