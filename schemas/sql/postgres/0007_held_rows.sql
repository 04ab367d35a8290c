-- What others hold, found by its daemon. Oldest code that may read it: schema 6, which does not look for it.

CREATE INDEX authorisation_held ON authorisation (daemon, uuid) WHERE state = 'held';
