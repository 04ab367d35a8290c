-- The deny list that TPS feeds. Oldest code that may read it: schema 3, since older code would join a new list with the
-- one that it is to replace.

-- 1: a live generation that will replace its source's others; until then a card on any of them is denied.
ALTER TABLE deny_generation ADD COLUMN shadow INTEGER CHECK (shadow = 1);

-- How far the feed of a source has come. The token changes in the commit of the records that came with it.
CREATE TABLE deny_feed (
  source      TEXT PRIMARY KEY,
  token       TEXT,                        -- what the next request resumes from; NULL: from the beginning
  heard_at    INTEGER NOT NULL,            -- when the latest page was kept, wall clock
  whole_at    INTEGER,                     -- when TPS last said that there is no more, wall clock
  shadow_done INTEGER NOT NULL DEFAULT 0 CHECK (shadow_done IN (0, 1)),  -- TPS said that the new list is whole
  waits_since INTEGER,                     -- since when the new list waits for a person, wall clock
  loses       INTEGER NOT NULL DEFAULT 0,  -- entries of the old list that it lacks, as counted then
  ignored     INTEGER NOT NULL DEFAULT 0   -- records of types unknown to us, so far
) STRICT;

-- The latest records of unknown types as they came; what may be a key or a card number is counted alone.
CREATE TABLE deny_feed_ignored (
  id       INTEGER PRIMARY KEY,
  heard_at INTEGER NOT NULL,
  type     TEXT NOT NULL,
  raw      TEXT NOT NULL
) STRICT;
