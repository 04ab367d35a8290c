-- Terminals' identities at Sfey. Oldest code that may read it: schema 1, since older code does not look at them.

CREATE TABLE terminal_identity (
  lane         TEXT PRIMARY KEY,
  terminal     TEXT NOT NULL,             -- TYPE:SERIAL, the request's common name
  state        TEXT NOT NULL CHECK (state IN ('described', 'awaiting activation', 'active')),
  code         TEXT NOT NULL,             -- the request's hash check value, ddd-ddd
  request      BLOB NOT NULL,             -- DER: what is sent, the same every time
  sealed       BLOB NOT NULL,             -- the private key, DER, under the key-encryption key
  described_at INTEGER NOT NULL,          -- wall clock
  active_at    INTEGER,                   -- wall clock
  ends         INTEGER,                   -- when the first certificate of both chains runs out
  company_id   INTEGER,
  terminal_id  TEXT,
  timezone     TEXT,
  currency     TEXT,
  key_chain    BLOB,                      -- PEM: DKEK-CERT and what signed it
  signer_chain BLOB,                      -- PEM: DKSK-CERT and what signed it
  CHECK ((state = 'active') = (key_chain IS NOT NULL AND signer_chain IS NOT NULL AND active_at IS NOT NULL))
) STRICT;
