-- Whose import fills a deny list. Oldest code that may read it: schema 6, which takes every import for its own.

ALTER TABLE deny_generation ADD COLUMN daemon text COLLATE "C" NOT NULL
  DEFAULT coalesce(current_setting('tpsd.daemon', true), '');
