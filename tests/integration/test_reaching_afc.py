"""``check-config --connect`` and the AFC API: one enquiry about nobody's transaction, under the token."""

from __future__ import annotations

from pathlib import Path

from tests.configurations import KEK_HEX, changed, values, write
from tests.integration import afc
from tpsd.cli.reaching import Reached, reach
from tpsd.config import load


async def reached(folder: Path, url: str) -> dict[str, Reached]:
    (folder / "keys").mkdir(exist_ok=True)
    (folder / "keys" / "kek").write_text(KEK_HEX)
    token = folder / "token"
    token.write_text("abc")
    given = changed(values(folder), {"lanes": [], "sfey": {"afc_base_url": url, "afc_token_file": "token"}})
    return {row.name: row for row in await reach(load(write(folder, given)))}


async def test_an_afc_api_that_answers(tmp_path: Path) -> None:
    async with afc.listening(lambda _uuid, _nth: afc.NOT_FOUND) as api:
        rows = await reached(tmp_path, api.url)
    assert rows["AFC API"] == Reached("AFC API", True, "answered with HTTP 404")
    assert rows["key afc_token_file"].ok
    assert [(enquiry.uuid, enquiry.authorization) for enquiry in api.asked] == [
        ("00000000-0000-0000-0000-000000000000", "Bearer abc")
    ]


async def test_an_afc_api_where_nobody_listens(tmp_path: Path) -> None:
    row = (await reached(tmp_path, "http://127.0.0.1:9"))["AFC API"]
    assert not row.ok
    assert "no answer (connect)" in row.reason
