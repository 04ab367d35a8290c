-- The version of the token key (a SALT, by its check value) that card tokens were made under.
-- Oldest code that may read it: schema 1, which does not look at it.

ALTER TABLE tap             ADD COLUMN token_key text COLLATE "C";  -- NULL: the validator's token, or none
ALTER TABLE journey         ADD COLUMN token_key text COLLATE "C";  -- its check-in's
ALTER TABLE deny_generation ADD COLUMN token_key text COLLATE "C";  -- in force when the list began; NULL: none was

-- By what id TPS knows a key, BCD digits; NULL: it has none, and nothing can be encrypted under it for TPS.
ALTER TABLE device_key ADD COLUMN key_id text COLLATE "C";
-- When TPS refused what was made with it, wall clock: it is used by itself no more, and goes on being honoured.
ALTER TABLE device_key ADD COLUMN refused_at bigint;
