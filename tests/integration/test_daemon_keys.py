"""Device keys from TPS's update feed over TLS and from files: fetched, opened, sealed, listed, retired."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Opens
from tests.integration.stage import Stage
from tests.integration.test_daemon_orders import WHO, answer, at_work, tpsd
from tpsd.core.device_keys import check_value

TTK = bytes(range(1, 17))
EXCHANGE = bytes(range(32))
FED: dict[str, Any] = {"feed": {"enabled": True}}


def key(kind: str = "TTK", data: str = TTK.hex(), name: str = "PLAIN", **more: object) -> dict[str, object]:
    return {"keyTypeName": kind, "keyDataFormat": name, "keyData": data, **more}


async def shown(stage: Stage) -> list[dict[str, Any]]:
    return list((await answer(stage, "keys", "list"))["keys"])


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
