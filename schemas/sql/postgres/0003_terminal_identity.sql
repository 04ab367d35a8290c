-- Terminals' identities at Sfey. Oldest code that may read it: schema 1, since older code does not look at them.

CREATE TABLE terminal_identity (
  lane         text COLLATE "C" PRIMARY KEY,
  terminal     text COLLATE "C" NOT NULL,  -- TYPE:SERIAL, the request's common name
  state        text COLLATE "C" NOT NULL CHECK (state IN ('described', 'awaiting activation', 'active')),
  code         text COLLATE "C" NOT NULL,  -- the request's hash check value, ddd-ddd
  request      bytea NOT NULL,  -- DER: what is sent, the same every time
  sealed       bytea NOT NULL,  -- the private key, DER, under the key-encryption key
  described_at bigint NOT NULL,  -- wall clock
  active_at    bigint,  -- wall clock
  ends         bigint,  -- when the first certificate of both chains runs out
  company_id   bigint,
  terminal_id  text COLLATE "C",
  timezone     text COLLATE "C",
  currency     text COLLATE "C",
  key_chain    bytea,  -- PEM: DKEK-CERT and what signed it
  signer_chain bytea,  -- PEM: DKSK-CERT and what signed it
  CHECK ((state = 'active') = (key_chain IS NOT NULL AND signer_chain IS NOT NULL AND active_at IS NOT NULL))
);
