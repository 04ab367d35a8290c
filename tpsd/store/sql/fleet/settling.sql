-- What PostgreSQL can do in one statement, and SQLite, where a statement takes a microsecond, need not.

-- name: settle_together
-- Commit 3 of several taps at once: a statement takes as long as its way to the server and back. Whom it does not give
-- back was not settled: another fence, or of a type that may belong to a journey.
WITH given AS (
  SELECT * FROM unnest(
    ?::text::text[], ?::text::bigint[], ?::text::bigint[], ?::text::bigint[], ?::text::text[], ?::text::text[],
    ?::text::bigint[], ?::text::text[], ?::text::text[], ?::text::bigint[], ?::text::bigint[], ?::text::bigint[],
    ?::text::bigint[], ?::text::bigint[], ?::text::text[], ?::text::bigint[]
  ) AS one (uuid, number, fence, ended_at, outcome, why, unclean,
            state, cause, due, may_have_charged, settled_at, ran_rested, approved_amount, action_code, enquiry_due)
), settled AS (
  UPDATE authorisation a
  SET state = given.state, cause = given.cause, due = given.due, may_have_charged = given.may_have_charged,
      settled_at = given.settled_at, ran_rested = given.ran_rested, approved_amount = given.approved_amount,
      action_code = given.action_code, enquiry_due = given.enquiry_due, enquiries = 0, warned = 0
  FROM given
  WHERE a.uuid = given.uuid AND a.state = 'sending' AND a.fence = given.fence AND a.type IN ('MTT', 'KFT') /* own a */
  RETURNING a.uuid, given.number, given.ended_at, given.outcome, given.why, given.unclean, given.settled_at
), ended AS (
  UPDATE attempt t
  SET ended_at = settled.ended_at + clock_shift(), outcome = settled.outcome, cause = settled.why,
      may_have_charged = settled.unclean
  FROM settled WHERE t.uuid = settled.uuid AND t.number = settled.number
), erased AS (
  DELETE FROM sealed s USING settled WHERE s.owner = settled.uuid AND settled.settled_at IS NOT NULL
)
SELECT uuid FROM settled
