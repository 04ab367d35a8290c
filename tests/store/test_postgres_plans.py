"""What runs often goes by its index on PostgreSQL too, with a hundred thousand rows beside the few that are hot."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.store.databases import Databases
from tpsd.store.dialect import postgres

# What is sealed is of unfinished taps, and so few.
LARGE = frozenset({"authorisation", "tap", "attempt", "notice", "deny", "journey", "audit"})

# Of three daemons, of which one asks. Most are final; after a long outage 25,000 are pending; 300 are held, 100 in
# doubt, 20 being sent.
FILLED = """
INSERT INTO ladder (tiers) VALUES ('[[3, 60000000]]');
INSERT INTO epoch (number, ran_opened, taps_before) VALUES (1, 0, 0);
INSERT INTO authorisation (uuid, type, timing, lane, terminal, state, cause, path, credential, amount, currency,
                           body_digest, ladder, attempt, sends, fence, due, created_at, settled_at, ran_rested, token,
                           enquiry_due)
SELECT md5(n::text), CASE n % 10 WHEN 0 THEN 'RETAIL_PAYMENT' ELSE 'MTT' END,
       CASE n % 10 WHEN 0 THEN 'realtime' ELSE 'deferred' END, 'lane-' || n % 20, 'GATE:VAL' || n % 20, state,
       CASE WHEN state IN ('held', 'in_doubt') THEN 'system.41' END, '/p', 'common', 250, '978', 'x', 1, 1, 1, 1,
       CASE state WHEN 'pending' THEN n END, n, CASE state WHEN 'approved' THEN n END,
       CASE WHEN state IN ('held', 'in_doubt') THEN n END, md5((n % 5000)::text),
       CASE state WHEN 'in_doubt' THEN n END
FROM (SELECT n, CASE WHEN n > 99980 THEN 'sending' WHEN n % 4 = 0 THEN 'pending' WHEN n % 331 = 0 THEN 'held'
                     WHEN n % 997 = 0 THEN 'in_doubt' ELSE 'approved' END AS state
      FROM generate_series(1, 100000) n) rows;
INSERT INTO attempt (uuid, number, release, reason, started_at, ended_at, outcome, cause, may_have_charged)
SELECT uuid, 1, 1, 'ladder', created_at, CASE WHEN state <> 'sending' THEN created_at END,
       CASE WHEN state <> 'sending' THEN 'approved' END, 'action.000', CASE WHEN state <> 'sending' THEN 1 END
FROM authorisation;
INSERT INTO tap (serial, boot, counter, digest, type_name, lane, terminal, kind, tapped_at, received_at, token, oda,
                 shown, verdict, reason, uuid, pass_group, config_digest)
SELECT 'VAL' || created_at % 20, 1, created_at, sha256(uuid::bytea), 'GATE', lane, terminal, 'MTT', created_at,
       created_at, token, 1, 0, 1, 'accepted', uuid, lane, 'c0ffee'
FROM authorisation ORDER BY created_at;
INSERT INTO sealed (owner, purpose, epoch, wrapped_key, nonce, data, ran_sealed)
SELECT uuid, 'body', 1, 'w', 'n', 'd', 0 FROM authorisation WHERE state <> 'approved';
INSERT INTO daemon (name, life, lease_until, gone_at, credentials) VALUES
  ('gate-0', 1, 0, 1, '{"common": "us"}'), ('gate-1', 1, 0, NULL, '{"common": "us"}'), ('gate-2', 1, 0, NULL, '{}');
UPDATE authorisation SET daemon = 'gate-' || created_at % 3;
UPDATE tap SET daemon = 'gate-' || received_at % 3;
INSERT INTO notice (kind, cause, detail, tap, uuid, created_at)
SELECT 'alarm', 'old', '', id, uuid, 0 FROM tap WHERE id % 5 = 0;
INSERT INTO mail (message_id, subject, text, created_at, accepted_at) VALUES ('m', 's', 't', 0, 0);
UPDATE notice SET mail = 1;
INSERT INTO deny_generation (source, state, began_at, live_at) VALUES ('file', 'live', 0, 0), ('file', 'old', 0, 0);
INSERT INTO deny SELECT 1 + n % 2, sha256(n::text::bytea) FROM generate_series(1, 100000) n;
INSERT INTO journey (operator, token, state, check_in, opened_at, ended_at)
SELECT 1, token, 'closed', uuid, created_at, created_at FROM authorisation WHERE type = 'RETAIL_PAYMENT';
INSERT INTO audit (at, who, what, subject, why) SELECT n, 'w', 'w', 's', 'y' FROM generate_series(1, 20000) n;
"""

# The index that carries the query, where there is more than the table's key.
HOT = {
    "claim_due": "authorisation_own_due",
    "claim_old": "authorisation_waiting",
    "next_due": "authorisation_own_due",
    "mark_sending": "authorisation_pkey",
    "insert_attempt": "authorisation_pkey",
    "insert_attempts": "authorisation_pkey",
    "fence_of": "authorisation_",
    "end_attempt": "attempt_pkey",
    "settle": "authorisation_pkey",
    "settle_together": "authorisation_",
    "erase": "sealed_pkey",
    "left_open": "authorisation_sending",
    "taps_of_identity": "tap_identity",
    "tap_unnamed": "tap_unnamed",
    "tap_of_uuid": "tap_uuid",
    "tap_by_uuid": "tap_uuid",
    "tap_by_name": "tap_identity",
    "accepted_before": "tap_card",
    "accepted_after": "tap_card",
    "riders": "tap_card",
    "card_unsettled": "authorisation_unclear",
    "deny_holds": "deny_pkey",
    "under_way": "authorisation_sending",
    "doubtful": "authorisation_unclear",
    "waiting": "authorisation_pkey",
    "undecided": "tap_uuid",
    "undelivered": "tap_undelivered",
    "journey_of_card": "journey_",
    "journey_of_check_out": "journey_check_out",
    "overdue_journeys": "journey_",
    "canary_row": "authorisation_",
    "enquiries_due": "authorisation_",
    "next_enquiry": "authorisation_enquiry",
    "bodiless": "authorisation_",
    "notices_waiting": "notice_waiting",
    "rested_too_long": "authorisation_",
    "bodies_going": "authorisation_",
    "pending_page": "authorisation_due",
    "pending_counts": "authorisation_due",
    "pending_lanes": "authorisation_own_due",
    "resting_page": "authorisation_cause",
    "resting_counts": "authorisation_cause",
    "resting_by_cause": "authorisation_cause",
    "sending_now": "authorisation_sending",
    "awaiting_oldest": "authorisation_unclear",
    "count_waiting": "authorisation_",
    "spread_slice": "authorisation_",
    "control": "authorisation_approved",
    "walk_taps": "tap_pkey",
    "deny_slice_end": "deny_pkey",
    "report_page": "tap_pkey",
    "report_follower_page": "authorisation_follows",
    "orders_about": "audit_pkey",
    "wounded": "authorisation_",
    "original": "tap_uuid",
    "followers": "authorisation_follows",
    "claim_together": "authorisation_own_due",
    "orphans_sending": "authorisation_sending",
    "orphans_due": "authorisation_own_due",
    "orphans_doubtful": "authorisation_enquiry",
    "orphans_enquired": "attempt_enquiring",
    "orphans_held": "authorisation_held",
    "orphans_bodiless": "authorisation_bodiless",
    "abandoned_sending": "authorisation_sending",
    "unconfirmed_due": "authorisation_",
    "unconfirmed_bodiless": "authorisation_bodiless",
    "unconfirmed_held": "authorisation_held",
    "abandoned_untimed": "authorisation_waits_body",
    "abandoned_bodiless": "authorisation_bodiless",
    "abandoned_due": "authorisation_own_due",
    "abandoned_enquiries": "authorisation_enquiry",
    "abandoned_enquired": "attempt_enquiring",
    "oldest_waiting": "authorisation_",
    "untimed_life": "tap_untimed",
    "doubted": "authorisation_",
    "spooled_row": "tap_identity",
    "spooled_follower": "authorisation_follows",
    "spooled_delivered": "tap_",
}


@pytest.fixture(scope="module", params=[16, 18])
def plans(request: pytest.FixtureRequest, databases: Callable[[int], Databases]) -> Iterator[dict[str, Any]]:
    """How the server would run each query, whatever is bound to it."""
    here = databases(request.param)
    name = here.new()

    async def explained(connection: Any) -> dict[str, Any]:
        await connection.execute(FILLED)
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("SET tpsd.daemon = 'gate-1'")
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        found = {}
        for query in HOT:
            words = postgres()[query]
            await connection.execute(f"PREPARE asked AS {words.sql}")
            given = f"({', '.join(['NULL'] * len(words.takes))})" if words.takes else ""
            told = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE asked{given}")
            await connection.execute("DEALLOCATE asked")
            found[query] = json.loads(told)[0]["Plan"]
        return found

    yield here.cluster.ask(explained, name)
    here.drop(name)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


@pytest.mark.parametrize("query", HOT)
def test_it_goes_by_its_index(plans: dict[str, Any], query: str) -> None:
    steps = list(nodes(plans[query]))
    walked = [step["Relation Name"] for step in steps if step["Node Type"] == "Seq Scan"]
    assert not LARGE & set(walked), walked
    taken = [step["Index Name"] for step in steps if "Index Name" in step]
    assert any(name.startswith(HOT[query]) for name in taken), taken
