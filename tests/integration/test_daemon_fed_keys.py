"""Keys that TPS gives a terminal, used by themselves: SALT and TTK, their change, and one that TPS itself refuses."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from device import tlv
from device.vl1.cards import CARDS
from device.vl1.codes import TapKind
from tests.integration.conftest import Opens
from tests.integration.stage import VISA, Stage
from tests.integration.test_daemon_keys import key, shown
from tests.integration.test_daemon_orders import answer, at_work, tpsd
from tpsd.core.device_keys import check_value
from tpsd.domain.card import Pan
from tpsd.domain.tap import Verdict
from tpsd.domain.time import MINUTE, later
from tpsd.emv.reading import card_token
from tpsd.sfey.fates import Asked, Fate, approve, system

FIRST, SECOND = bytes(range(32)), bytes(range(100, 132))
TTK = bytes(range(1, 17))
MASTERCARD = next(card for card in CARDS if card.name == "mastercard")
FED: dict[str, Any] = {"feed": {"enabled": True}, "keys": {"token_key_file": None}}
MODE, KEY_ID = 0xDFFF8401, 0xDFFF8402


class Tps:
    """What TPS saw; it refuses a card token that was made under ``wrong``."""

    def __init__(self, wrong: bytes | None = None) -> None:
        self.wrong = wrong
        self.asked: list[Asked] = []

    def __call__(self, asked: Asked) -> Sequence[Fate]:
        self.asked.append(asked)
        refused = self.wrong is not None and asked.pan_token == token(self.wrong)
        return (system(39) if refused else approve(),)


def token(salt: bytes, pan: str = VISA.pan) -> str:
    return card_token(salt, Pan(pan))


def wrapped(secret: bytes, exchange: bytes) -> str:
    """In format AES, its IV of zeros."""
    encryptor = Cipher(algorithms.AES(exchange), modes.CBC(bytes(16))).encryptor()
    return (encryptor.update(secret) + encryptor.finalize()).hex()


def sealed_under(asked: Asked) -> tuple[bytes, bytes]:
    """Mode and key id of a request's card data."""
    items = {item.tag: item.value for item in tlv.decode(base64.b64decode(asked.tag))}
    return items[MODE], items[KEY_ID]


def versions(*salts: bytes) -> list[str]:
    return [check_value("SALT", salt) for salt in salts]


async def fetched(stage: Stage, *keys: dict[str, object]) -> None:
    """TPS gives these keys from now on, and was asked for them."""
    stage.tps.updates.keys = list(keys)
    assert await stage.daemon.courier.fetch_all()


async def states(stage: Stage) -> dict[str, tuple[bool, bool]]:
    """In force, honoured; by check value."""
    return {row["check_value"]: (row["in_force"], row["honoured"]) for row in await shown(stage)}


async def test_without_a_file_the_token_key_of_the_feed_is_used_and_its_follower_after_it(open_stage: Opens) -> None:
    tps = Tps()
    first, second = versions(FIRST, SECOND)
    async with open_stage(choose=tps, changes=FED) as stage, at_work(stage):
        before = stage.gate.tap()
        await stage.settled(before)
        assert (await stage.story(before)).token_key is None
        await fetched(stage, key("SALT", FIRST.hex()))
        await answer(stage, "denylist", "add", token(FIRST, MASTERCARD.pan))
        tap = stage.gate.tap()
        await stage.settled(tap)
        assert (await stage.story(tap)).token_key == first
        await fetched(stage, key("SALT", FIRST.hex()), key("SALT", SECOND.hex()))
        assert await states(stage) == {first: (False, True), second: (True, False)}
        tap = stage.gate.tap()
        await stage.settled(tap)
        assert (await stage.story(tap)).token_key == second
        assert [asked.pan_token for asked in tps.asked] == [None, token(FIRST), token(SECOND)]
        assert (await stage.gate.verdict(stage.gate.tap(250, MASTERCARD))).reason == "deny_list"
        [listed] = (await answer(stage, "denylist", "count"))["sources"]
        assert (listed["source"], listed["token_key"]) == ("hand", first)
        code, out, _ = await tpsd(stage, "keys", "list")
        assert (code, f"SALT {first}: 1 denied cards, 0 journeys under way" in out) == (0, True)
        old = next(row["id"] for row in await shown(stage) if row["check_value"] == first)
        await answer(stage, "keys", "retire", str(old), "--reason", "the new one is in use")
        assert (await stage.gate.verdict(stage.gate.tap(250, MASTERCARD))).verdict == Verdict.ACCEPTED


async def test_keys_of_format_aes_are_opened_and_used(open_stage: Opens) -> None:
    tps, exchange = Tps(), bytes(range(50, 82))
    changes = FED | {"keys": {"token_key_file": None, "exchange_key_file": "exchange.hex"}}
    async with open_stage(choose=tps, changes=changes) as stage:
        (stage.folder / "exchange.hex").write_text(exchange.hex())
        async with at_work(stage):
            await fetched(
                stage,
                key("SALT", wrapped(FIRST, exchange), "AES", algorithm="HMAC-SHA256"),
                key("TTK", wrapped(TTK, exchange), "AES", keyId="0012"),
            )
            await stage.settled(stage.gate.tap())
            [asked] = tps.asked
            assert (asked.pan_token, sealed_under(asked)) == (token(FIRST), (b"\x01", b"\x00\x12"))


async def test_it_is_used_from_the_first_tap_of_the_next_life(open_stage: Opens) -> None:
    tps = Tps()
    async with open_stage(choose=tps, changes=FED) as stage:
        async with at_work(stage):
            await fetched(stage, key("SALT", FIRST.hex()))
        stage.tps.updates.keys = []
        stage.seed += 1
        async with at_work(stage):
            await stage.settled(stage.gate.tap())
            assert tps.asked[-1].pan_token == token(FIRST)


async def test_a_journey_outlives_a_change_by_the_feed(open_stage: Opens) -> None:
    gate = {"kind": "RETAIL_CHECK_IN_OUT"}
    async with open_stage(choose=Tps(), changes=FED, lane_changes=gate) as stage, at_work(stage):
        await fetched(stage, key("SALT", FIRST.hex()))
        tap = stage.gate.tap(500, kind=TapKind.CHECK_IN_OR_OUT)
        assert (await stage.gate.verdict(tap)).verdict == Verdict.CHECKED_IN
        await fetched(stage, key("SALT", SECOND.hex()))
        tap = stage.gate.tap(300, kind=TapKind.CHECK_IN_OR_OUT)
        assert (await stage.gate.verdict(tap)).verdict == Verdict.CHECKED_OUT
        [journey] = (await answer(stage, "journeys"))["journeys"]
        assert (journey["state"], journey["token_key"]) == ("closed", versions(FIRST)[0])


async def test_a_token_key_that_tps_refuses_is_used_no_more(open_stage: Opens) -> None:
    tps = Tps(wrong=SECOND)
    first, second = versions(FIRST, SECOND)
    shop = {"kind": "RETAIL_PAYMENT"}
    async with open_stage(choose=tps, changes=FED, lane_changes=shop) as stage, at_work(stage):
        await fetched(stage, key("SALT", FIRST.hex()), key("SALT", SECOND.hex()))
        turned_away = stage.gate.tap()
        assert (await stage.gate.verdict(turned_away)).verdict == Verdict.DENIED

        async def back() -> bool:
            return await states(stage) == {first: (True, False), second: (False, True)}

        await stage.until(back, "the former key in force")
        assert (await stage.gate.verdict(stage.gate.tap())).verdict == Verdict.ACCEPTED
        assert [asked.pan_token for asked in tps.asked] == [token(SECOND), token(FIRST)]
        await fetched(stage, key("SALT", FIRST.hex()), key("SALT", SECOND.hex()))
        assert await back(), "coming again changes nothing"
        notices = await stage.daemon.journal._writer.read(
            lambda one: list(one.execute("SELECT cause FROM notice WHERE kind = 'alarm'"))
        )
        assert (f"alarm/device_key.{second}",) in notices


async def test_a_late_refusal_of_the_old_key_ends_nothing(open_stage: Opens) -> None:
    tps = Tps()
    async with open_stage(choose=tps, changes=FED) as stage, at_work(stage):
        await fetched(stage, key("SALT", FIRST.hex()))
        tap = stage.gate.tap()
        await stage.settled(tap)
        await fetched(stage, key("SALT", SECOND.hex()))
        stage.daemon.courier.answered("system.39", UUID(tps.asked[0].uuid), "GATE-X1:VAL00001")
        await stage.until(lambda: not stage.daemon.courier._refused, "the refusal looked at")
        first, second = versions(FIRST, SECOND)
        assert await states(stage) == {first: (False, True), second: (True, False)}, "it was made under the one before"


async def test_clear_card_data_is_encrypted_under_the_terminals_own_ttk(open_stage: Opens) -> None:
    tps = Tps()
    async with open_stage(lanes=2, choose=tps, changes=FED) as stage, at_work(stage):
        await fetched(stage, key("TTK", TTK.hex(), keyIndex="07"))
        for gate in stage.gates:
            await stage.settled(gate.tap())
        for asked in tps.asked:
            assert sealed_under(asked) == (b"\x01", b"\x07")


async def test_a_ttk_that_tps_does_not_know_is_used_no_more(open_stage: Opens) -> None:
    def choose(asked: Asked) -> Sequence[Fate]:
        return (system(20) if sealed_under(asked)[1] == b"\x08" else approve(),)

    shop = {"kind": "RETAIL_PAYMENT"}
    async with open_stage(choose=choose, changes=FED, lane_changes=shop) as stage, at_work(stage):
        good, wrong = key("TTK", TTK.hex(), keyIndex="07"), key("TTK", "00" * 16, keyIndex="08")
        await fetched(stage, good, wrong)
        stage.clock.jump(later(stage.clock.schedule(), MINUTE))  # the tap is of after the key's coming
        assert (await stage.gate.verdict(stage.gate.tap())).verdict == Verdict.DENIED

        async def back() -> bool:
            return (await states(stage))[check_value("TTK", TTK)][0]

        await stage.until(back, "the former key in force")
        assert (await stage.gate.verdict(stage.gate.tap())).verdict == Verdict.ACCEPTED


@pytest.mark.parametrize(
    ("keys", "used"),
    [
        ({"token_key_file": None, "use_fed": "never"}, None),
        ({}, "the file's"),
        ({"use_fed": "always"}, "the feed's"),
    ],
    ids=["never", "a file goes first", "always"],
)
async def test_the_operator_says_which_goes_first(open_stage: Opens, keys: dict[str, Any], used: str | None) -> None:
    tps = Tps()
    changes = {"feed": {"enabled": True}, "keys": keys}
    lane = {"tokens": "validator"}  # which makes none here
    async with open_stage(choose=tps, changes=changes, lane_changes=lane) as stage, at_work(stage):
        await fetched(stage, key("SALT", SECOND.hex()))
        await stage.settled(stage.gate.tap())
        own = bytes.fromhex((stage.folder / "salt.hex").read_text())
        told = {None: None, token(own): "the file's", token(SECOND): "the feed's"}
        assert told[tps.asked[-1].pan_token] == used
        if used == "the feed's":
            await answer(stage, "denylist", "add", token(own, MASTERCARD.pan))
            assert (await stage.gate.verdict(stage.gate.tap(250, MASTERCARD))).reason == "deny_list"
