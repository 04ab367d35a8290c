"""Device keys from TPS's update feed over TLS and from files: fetched, opened, sealed, listed, retired."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from device.vl1.cards import CARDS
from device.vl1.codes import TapKind
from tests.integration.conftest import Opens
from tests.integration.stage import VISA, Stage
from tests.integration.test_daemon_orders import WHO, answer, at_work, tpsd
from tests.integration.test_daemon_reload import reloaded, rewrite
from tpsd.core.device_keys import check_value
from tpsd.domain.card import Pan
from tpsd.domain.tap import Verdict
from tpsd.emv.reading import card_token

TTK = bytes(range(1, 17))
EXCHANGE = bytes(range(32))
MASTERCARD = next(card for card in CARDS if card.name == "mastercard")
FED: dict[str, Any] = {"feed": {"enabled": True}}


def key(kind: str = "TTK", data: str = TTK.hex(), name: str = "PLAIN", **more: object) -> dict[str, object]:
    return {"keyTypeName": kind, "keyDataFormat": name, "keyData": data, **more}


async def shown(stage: Stage) -> list[dict[str, Any]]:
    """All but the key of the file, where nobody else gave that."""
    own = (check_value("SALT", bytes.fromhex((stage.folder / "salt.hex").read_text())), "")
    rows = (await answer(stage, "keys", "list"))["keys"]
    return [row for row in rows if (row["check_value"], row["terminal"]) != own]


def file_of(stage: Stage, *keys: dict[str, object]) -> Path:
    path = stage.folder / "keys.json"
    path.write_text(json.dumps(list(keys)))
    return path


async def test_each_terminals_keys_come_from_the_feed(open_stage: Opens) -> None:
    async with open_stage(lanes=2, changes=FED) as stage:
        salt = (stage.folder / "salt.hex").read_text()
        stage.tps.updates.keys = [key(), key("SALT", salt, keyIndex=1), key("IPEK", "00" * 16, "TR34")]
        async with at_work(stage):

            async def six() -> bool:
                return len(await shown(stage)) == 6

            await stage.until(six, "the keys of both terminals")
            assert {path.split("/")[4] for path in stage.tps.updates.keys_asked} == {"VAL00001", "VAL00002"}
            rows = {(row["type"], row["terminal"]): row for row in await shown(stage)}
            ttk, own = rows["TTK", "GATE-X1:VAL00001"], rows["SALT", "GATE-X1:VAL00002"]
            assert (ttk["check_value"], ttk["in_force"]) == (check_value("TTK", TTK), False)
            assert (own["check_value"], own["in_force"]) == (check_value("SALT", bytes.fromhex(salt)), True)
            assert rows["IPEK", "GATE-X1:VAL00001"]["check_value"] is None
            assert rows["IPEK", "GATE-X1:VAL00001"]["why"] == "the exact TR-34 profile is not public"
            await stage.daemon.courier.fetch_all()
            assert await six(), "the same again are no others"
            code, out, _ = await tpsd(stage, "keys", "list")
            assert code == 0
            assert check_value("TTK", TTK) in out
            assert TTK.hex() not in out


async def test_a_feed_that_is_off_fetches_none(open_stage: Opens) -> None:
    async with open_stage() as stage, at_work(stage):
        stage.tps.updates.keys = [key()]
        assert await stage.daemon.courier.fetch_all()
        assert await shown(stage) == []
        assert stage.tps.updates.keys_asked == []


async def test_a_record_that_cannot_be_read_keeps_nothing_of_its_page(open_stage: Opens) -> None:
    async with open_stage(changes=FED) as stage:
        stage.tps.updates.keys = [key(), {"keyTypeName": "TTK"}]
        async with at_work(stage):
            assert not await stage.daemon.courier.fetch_all()
            assert await shown(stage) == []


async def test_a_file_of_keys_is_taken_once_and_audited(open_stage: Opens) -> None:
    async with open_stage() as stage:
        (stage.folder / "exchange.hex").write_text(EXCHANGE.hex())
        configured = stage.config_file.read_text().replace("[keys]", '[keys]\nexchange_key_file = "exchange.hex"')
        stage.config_file.write_text(configured)
        async with at_work(stage):
            path = file_of(stage, key(), key(name="AES", data="5a" * 16))
            took = await answer(stage, "keys", "import", str(path), "--reason", "sent by Sfey")
            assert took == {"new": 2, "known": 0, "retired": 0}
            assert await answer(stage, "keys", "import", str(path)) == {"new": 0, "known": 2, "retired": 0}
            opened, plain = await shown(stage)
            assert (plain["check_value"], plain["terminal"]) == (check_value("TTK", TTK), "")
            assert (opened["format"], opened["why"]) == ("AES", "")
            retired = await answer(stage, "keys", "retire", str(plain["id"]), "--reason", "replaced")
            assert retired["retired_at"] is not None
            assert await answer(stage, "keys", "import", str(path)) == {"new": 0, "known": 2, "retired": 1}
            audited = (await answer(stage, "audit"))["audit"]
            assert [(row["what"], row["who"], row["why"]) for row in audited] == [
                ("keys retire", WHO, "replaced"),
                ("keys import", WHO, "sent by Sfey"),
                ("keys import", WHO, "sent by Sfey"),
            ]
            assert TTK.hex() not in json.dumps(audited)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[{}]", "key 1: keyTypeName is missing or no text; write it as Sfey gives it; nothing was changed"),
        ("no json", "it is not JSON"),
        ("x" * 70_000, "is larger than 60,000 bytes"),
    ],
    ids=["no key", "no json", "too large"],
)
async def test_files_that_are_refused(open_stage: Opens, content: str, words: str) -> None:
    async with open_stage() as stage, at_work(stage):
        path = stage.folder / "keys.json"
        path.write_text(content)
        code, out, err = await tpsd(stage, "keys", "import", str(path))
        assert (code, out) == (1, "")
        assert words in " ".join(err.split())
        assert await shown(stage) == []


async def test_wrong_orders(open_stage: Opens) -> None:
    async with open_stage() as stage, at_work(stage):
        for order, words in (
            (("retire", "7", "--reason", "x"), "no key 7; 'tpsd keys list' shows what there is"),
            (("retire", "1", "--reason", " "), "is empty; say why in a sentence"),
            (("import", str(stage.folder / "none.json")), "cannot be read (No such file or directory)"),
        ):
            code, _, err = await tpsd(stage, "keys", *order)
            assert code != 0
            assert words in " ".join(err.split())


COMING = bytes(range(100, 132))


def listed(salt: bytes) -> str:
    return card_token(salt, Pan(VISA.pan))


async def test_a_card_is_denied_under_a_coming_token_key_until_that_is_retired(open_stage: Opens) -> None:
    async with open_stage() as stage, at_work(stage):
        await answer(stage, "denylist", "add", listed(COMING))
        assert (await stage.gate.verdict(stage.gate.tap())).verdict == Verdict.ACCEPTED
        await answer(stage, "keys", "import", str(file_of(stage, key("SALT", COMING.hex()))))
        [row] = await shown(stage)
        assert (row["honoured"], row["in_force"]) == (True, False)
        refused = await stage.gate.verdict(stage.gate.tap())
        assert (refused.verdict, refused.reason) == (Verdict.DENIED, "deny_list")
        code, out, _ = await tpsd(stage, "keys", "list")
        assert (code, "honoured" in out) == (0, True)
        assert (await answer(stage, "keys", "retire", str(row["id"]), "--reason", "not taken"))["honoured"] is False
        assert (await stage.gate.verdict(stage.gate.tap())).verdict == Verdict.ACCEPTED


async def test_a_journey_and_a_list_outlive_a_change_of_the_token_key(open_stage: Opens) -> None:
    async with open_stage(lane_changes={"kind": "RETAIL_CHECK_IN_OUT"}) as stage:
        file = stage.folder / "salt.hex"
        old = file.read_text()
        async with at_work(stage):
            await answer(stage, "denylist", "add", card_token(bytes.fromhex(old), Pan(MASTERCARD.pan)))
            tap = stage.gate.tap(None, kind=TapKind.CHECK_IN_OR_OUT)
            assert (await stage.gate.verdict(tap)).verdict == Verdict.CHECKED_IN
        file.write_text(COMING.hex())
        stage.seed += 1  # another life draws other UUIDs
        async with at_work(stage):
            listed_keys = (await answer(stage, "keys", "list"))["keys"]
            states = {row["check_value"]: (row["in_force"], row["honoured"]) for row in listed_keys}
            assert states == {
                check_value("SALT", bytes.fromhex(old)): (False, True),
                check_value("SALT", COMING): (True, False),
            }
            tap = stage.gate.tap(300, kind=TapKind.CHECK_IN_OR_OUT)
            assert (await stage.gate.verdict(tap)).verdict == Verdict.CHECKED_OUT
            [journey] = await stage.daemon.journal.asked.rows((), 10)
            assert (journey.state, journey.check_out_amount) == ("closed", 300)
            tap = stage.gate.tap(None, MASTERCARD, kind=TapKind.CHECK_IN_OR_OUT)
            assert (await stage.gate.verdict(tap)).reason == "deny_list"
            tap = stage.gate.tap(None, kind=TapKind.CHECK_IN_OR_OUT)
            assert (await stage.gate.verdict(tap)).verdict == Verdict.CHECKED_IN, "under the new key"
            former = next(row["id"] for row in listed_keys if row["honoured"])
            await answer(stage, "keys", "retire", str(former), "--reason", "all cards are known by the new one")
            tap = stage.gate.tap(None, MASTERCARD, kind=TapKind.CHECK_IN_OR_OUT)
            assert (await stage.gate.verdict(tap)).verdict == Verdict.CHECKED_IN, "its entry is of the old key"


async def test_a_reload_goes_on_honouring(open_stage: Opens) -> None:
    async with open_stage() as stage, at_work(stage):
        await answer(stage, "denylist", "add", listed(COMING))
        await answer(stage, "keys", "import", str(file_of(stage, key("SALT", COMING.hex()))))
        rewrite(stage, {"email": {"recipients": ["night@transit.example"]}})
        assert (await reloaded(stage)).accepted
        assert (await stage.gate.verdict(stage.gate.tap())).reason == "deny_list"
