-- Realtime taps, journeys, and transactions that follow another. Oldest code that may read it: schema 2.

-- Whether the link acknowledged an accepting realtime verdict: 0 not yet, 1 it did, 2 it never did and a person was
-- told. NULL: nobody waits for it.
ALTER TABLE tap ADD COLUMN delivered INTEGER CHECK (delivered IN (0, 1, 2));
ALTER TABLE tap ADD COLUMN facts   TEXT;     -- of the card, for receipts: what core.keeping lets stay
ALTER TABLE tap ADD COLUMN made_at INTEGER;  -- when a realtime tap was tapped, by our own wall clock
ALTER TABLE tap ADD COLUMN zone    TEXT;     -- where, for the fare of its journey

-- What was charged or is held, as a pruned tap's verdict said it.
ALTER TABLE identity ADD COLUMN amount INTEGER;

CREATE INDEX tap_undelivered ON tap (received_at) WHERE delivered = 0;

ALTER TABLE journey ADD COLUMN zone TEXT;                    -- where it began, for the fare
ALTER TABLE journey ADD COLUMN lane TEXT NOT NULL DEFAULT '';

CREATE INDEX journey_state   ON journey (state);
CREATE INDEX journey_overdue ON journey (opened_at) WHERE state IN ('open', 'checking_out');

CREATE INDEX authorisation_follows ON authorisation (initial_uuid) WHERE initial_uuid IS NOT NULL;

-- SQLite cannot widen a CHECK: the table is made anew with one kind of notice more, every row kept.
CREATE TABLE notice_2 (
  id         INTEGER PRIMARY KEY,
  kind       TEXT NOT NULL CHECK (kind IN ('permanently_failed', 'held', 'tap_refused', 'in_doubt', 'unseen', 'alarm',
                                            'outage', 'body_goes', 'journey')),
  cause      TEXT NOT NULL,
  detail     TEXT NOT NULL,
  tap        INTEGER REFERENCES tap (id),
  uuid       TEXT REFERENCES authorisation (uuid),
  created_at INTEGER NOT NULL,
  mail       INTEGER REFERENCES mail (id)
) STRICT;

INSERT INTO notice_2 (id, kind, cause, detail, tap, uuid, created_at, mail)
SELECT id, kind, cause, detail, tap, uuid, created_at, mail FROM notice;

DROP TABLE notice;
ALTER TABLE notice_2 RENAME TO notice;

CREATE INDEX notice_waiting ON notice (kind, cause) WHERE mail IS NULL;
CREATE INDEX notice_uuid    ON notice (uuid) WHERE uuid IS NOT NULL;
CREATE INDEX notice_tap     ON notice (tap)  WHERE tap IS NOT NULL;
CREATE INDEX notice_mail    ON notice (mail) WHERE mail IS NOT NULL;

-- A journey with its check-in and its latest check-out. "Unclear": an attempt of it ended unknown, or TPS said that one
-- was in progress; one that was approved is clear, though it ended no journey and was given back, being only a part.
-- "Enquired": TPS is asked about it, or will be.
CREATE VIEW journey_now AS
SELECT j.id, j.operator, j.token, j.state, j.check_in, j.tries, j.opened_at, j.ended_at, j.zone, j.lane,
       coalesce(i.approved_amount, i.amount) AS held, i.currency,
       o.uuid AS out_uuid, o.state AS out_state, o.amount AS out_amount,
       o.may_have_charged AS out_may_have_charged,
       o.state <> 'approved'
         AND EXISTS (SELECT 1 FROM attempt t
                     WHERE t.uuid = o.uuid AND t.reason <> 'enquiry' AND coalesce(t.may_have_charged, 1) = 1
                       AND (t.outcome IS NOT 'try_again' OR t.cause IN ('system.303', 'action.913', 'action.923')))
         AS out_unclear,
       o.enquiry_due IS NOT NULL
         OR EXISTS (SELECT 1 FROM attempt t WHERE t.uuid = o.uuid AND t.reason = 'enquiry' AND t.ended_at IS NULL)
         AS out_enquired
FROM journey j
JOIN authorisation i ON i.uuid = j.check_in
LEFT JOIN authorisation o ON o.uuid = j.check_out;
