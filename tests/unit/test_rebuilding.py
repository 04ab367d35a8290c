"""A request made anew: the same tap, the configuration now in force."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from device.tlv import Tlv, encode
from tests.store.builders import LANE, NOW, SALT, VISA, card
from tpsd.core.intake import CardKeys, LanePolicy, Operator, Setting, prepare
from tpsd.core.operations import Refusal
from tpsd.core.rebuilding import KeptTap, Rebuilt, rebuild
from tpsd.core.retry import DEFAULT_LADDER
from tpsd.domain.card import CardToken
from tpsd.domain.tap import TapReport
from tpsd.emv.tapdata import Ttk
from tpsd.sfey.messages import transaction
from tpsd.sfey.wire import DEVICE_V1

NEW = UUID("11111111-2222-4333-8444-555566667777")
SETTING = Setting(
    operator=Operator(1001, 42, "978"),
    keys=CardKeys(SALT),
    ladder=DEFAULT_LADDER,
    production=False,
    config_digest="c0ffee",
    serialise=lambda request: transaction(DEVICE_V1, request),
    digest=lambda data: data,
)
KEPT = KeptTap(
    uuid="7f3c0e0a-1111-4222-8333-444455556666",
    type="MTT",
    serial="VAL00042",
    type_name="GATE-X1",
    lane="gate-1",
    tapped_at=NOW,
    amount=250,
    currency="978",
    token=CardToken("ab" * 32),
    card=encode(card()),
)


def rebuilt(kept: KeptTap = KEPT, lane: LanePolicy = LANE, setting: Setting = SETTING) -> Rebuilt:
    found = rebuild(kept, lane, setting, NEW)
    assert isinstance(found, Rebuilt)
    return found


def body(made: Rebuilt) -> dict[str, Any]:
    assert made.draft.body is not None
    return dict(json.loads(made.draft.body))


def test_under_an_unchanged_configuration_only_the_uuid_differs() -> None:
    """Intake and rebuild must never drift apart: the same tap, the same bytes."""
    report = TapReport(
        serial="VAL00042", type_name="GATE-X1", boot=3, counter=1, received_at=NOW, tapped_at=NOW,
        fingerprint=b"f", payload=b"p", card=card(),
    )  # fmt: skip
    taken = prepare(report, LANE, SETTING, NEW)
    assert taken.draft is not None
    made = rebuilt(replace(KEPT, token=None))
    assert made.draft == taken.draft
    assert (made.terminal, made.token, made.card) == (taken.terminal, taken.token, taken.card)


def test_what_the_configuration_says_now_is_what_is_sent() -> None:
    lane = replace(LANE, credential="gate-1", terminal_sn="T 1", terminal_type="KIOSK")
    made = rebuilt(lane=lane, setting=replace(SETTING, operator=Operator(2002, 43, "752")))
    sent = body(made)
    assert (sent["companyId"], sent["stockLocationId"]) == (2002, 43)
    assert made.draft.path == "/device-api/v1/transaction/T%201/type/KIOSK"
    assert (made.draft.credential, made.terminal) == ("gate-1", "KIOSK:T 1")
    # What was tapped stays what it was.
    assert (sent["transactionData"]["amount"], sent["transactionData"]["currencyCodeNum"]) == (250, "978")
    assert sent["validatorData"] == {"serialNumber": "VAL00042", "typeName": "GATE-X1"}
    assert sent["transactionUuid"] == str(NEW)


def test_a_new_salt_makes_a_new_token_and_without_one_the_old_stays() -> None:
    other = rebuilt(setting=replace(SETTING, keys=CardKeys(bytes(32)))).token
    assert other not in (rebuilt().token, KEPT.token)
    assert rebuilt(setting=replace(SETTING, keys=CardKeys())).token == KEPT.token


def test_production_needs_a_key_for_clear_card_data() -> None:
    production = replace(SETTING, production=True)
    refused = rebuild(KEPT, LANE, production, NEW)
    assert isinstance(refused, Refusal)
    assert "ttk_file" in refused.words
    made = rebuilt(setting=replace(production, keys=CardKeys(SALT, Ttk("01", bytes(16)))))
    assert made.draft.body is not None
    assert made.draft.body is not None
    assert VISA.encode() not in made.draft.body


@pytest.mark.parametrize("kept", [b"", b"\x5a\x88", encode((Tlv(0x9F36, b"\x00"),))])
def test_card_data_that_says_nothing_is_refused(kept: bytes) -> None:
    found = rebuild(replace(KEPT, card=kept), LANE, SETTING, NEW)
    assert isinstance(found, Refusal)
    assert "cannot be read" in found.words


def test_a_lane_that_is_gone_is_named() -> None:
    found = rebuild(KEPT, None, SETTING, NEW)
    assert isinstance(found, Refusal)
    assert "lane" in found.words


def test_nothing_of_the_card_shows() -> None:
    for value in (KEPT, rebuilt()):
        assert VISA not in repr(value)
        assert "card=" not in repr(value)
