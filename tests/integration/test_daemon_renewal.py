"""Certificates that change while the daemon runs: put in force and no request lost, or refused and the old one kept."""

from __future__ import annotations

import os
import shutil
import tomllib
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from tests.integration.conftest import Opens
from tests.integration.stage import Stage, Tap
from tests.integration.test_daemon_reload import lanes_of, reloaded, rewrite
from tpsd.credentials import files_of
from tpsd.domain.time import HOUR, later
from tpsd.sfey.fates import approve, scripted, slow

NAMES = ("client_cert_file", "client_key_file")


async def with_own(stage: Stage) -> tuple[Path, Path]:
    """The lane gets a certificate of its own, a copy that may be changed."""
    sfey = tomllib.loads(stage.config_file.read_text())["sfey"]
    own = {name: stage.folder / f"own-{name}.pem" for name in NAMES}
    for name, path in own.items():
        shutil.copy(sfey[name], path)
    [lane] = lanes_of(stage)
    rewrite(stage, lanes=[lane | {name: str(path) for name, path in own.items()}])
    assert (await reloaded(stage)).accepted
    return own["client_cert_file"], own["client_key_file"]


def replaced(path: Path, content: bytes) -> None:
    """As a careful tool replaces a file: another inode under the same name."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    os.replace(new, path)


async def tapped(stage: Stage) -> Tap:
    tap = stage.gate.tap()
    assert (await stage.gate.verdict(tap)).verdict == 1
    return tap


async def charged(stage: Stage) -> None:
    tap = await tapped(stage)
    assert (await stage.settled(tap)).state == "approved"
    assert (await stage.story(tap)).credential == "door-1"


def said(logs: list[MutableMapping[str, Any]]) -> list[object]:
    return [entry["event"] for entry in logs if str(entry["event"]).startswith("certificate")]


async def test_a_new_pair_is_in_force_and_no_request_fails(playing: Opens) -> None:
    fates = scripted({}, otherwise=lambda asked: (slow(0.3, approve()),))
    async with playing(choose=fates) as stage:
        cert, _ = await with_own(stage)
        under_way = await tapped(stage)
        await stage.until(stage.tps.ledger.requests, "a send under way")
        with capture_logs() as logs:
            replaced(cert, cert.read_bytes())
            await stage.daemon.renewal.look()
            await stage.daemon.renewal.look()
        assert said(logs) == ["certificate_renewed"], "once"
        assert (await stage.settled(under_way)).state == "approved"
        assert (await stage.row(under_way)).attempts == 1
        await charged(stage)


async def test_half_a_pair_is_refused_the_old_one_kept_and_a_person_told_once(playing: Opens) -> None:
    async with playing() as stage:
        cert, key = await with_own(stage)
        good = key.read_bytes()
        replaced(key, good[: len(good) // 2])
        with capture_logs() as logs:
            await stage.daemon.renewal.look()
            assert not await stage.daemon.journal.mails_due(later(stage.clock.schedule(), HOUR), 1)
            for _ in range(3):
                await stage.daemon.renewal.look()
        assert said(logs) == ["certificate_refused"] * 2, "at the first look, and at the second, which tells of it"
        await charged(stage)
        await stage.pass_time(lambda: bool(stage.post.mails))
        body = stage.post.mails[0].get_content()
        assert "the certificate of door-1 was changed and is refused" in body.replace("\n", " ")
        assert str(key) in body
        with capture_logs() as logs:
            replaced(key, good)
            await stage.daemon.renewal.look()
        assert said(logs) == ["certificate_renewed"]
        assert cert.exists()
        await charged(stage)
        assert len(stage.post.mails) == 1


async def test_a_file_that_is_gone_is_refused_too(playing: Opens) -> None:
    async with playing() as stage:
        cert, _ = await with_own(stage)
        cert.unlink()
        with capture_logs() as logs:
            await stage.daemon.renewal.look()
        assert [(entry["event"], str(cert) in str(entry["why"])) for entry in logs] == [("certificate_refused", True)]
        await charged(stage)


async def test_a_reload_takes_it_too_and_refuses_the_whole_where_it_cannot(playing: Opens) -> None:
    async with playing() as stage:
        cert, _ = await with_own(stage)
        good = cert.read_bytes()
        replaced(cert, b"nothing")
        result = await reloaded(stage)
        assert (result.accepted, str(cert) in result.why) == (False, True)
        replaced(cert, good)
        renewal = stage.daemon.renewal
        assert renewal.changed(files_of(stage.daemon.config)) == {"door-1"}
        assert (await reloaded(stage)).accepted
        with capture_logs() as logs:
            await renewal.look()
        assert said(logs) == [], "the reload put it in force"
        await charged(stage)
