"""Lanes looked at before they open: what closes one, what does not, and how it opens once that is mended."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Opens
from tests.integration.stage import Gate, Stage, Tap, opened
from tests.integration.test_daemon_orders import at_work, tpsd
from tests.integration.test_daemon_reload import lanes_of, reloaded, rewrite
from tpsd.demo.clock import WarpClock
from tpsd.domain.time import HOUR, MINUTE, later
from tpsd.sfey.certificates import Authority, Files
from tpsd.sfey.terminal_desk import Registered
from tpsd.sfey.update_desk import Reply

HERE = Registered(1001, 42)
FIRST, SECOND_GATE = "GATE-X1:VAL00001", "GATE-X1:VAL00002"
REALTIME = {"kind": "RETAIL_PAYMENT"}


class Issuer:
    """An authority of this test's, and a stage whose TPS believes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority("A root", datetime.now(UTC))
        ca = folder / "ca.crt"
        ca.write_bytes(self.authority.certificate)
        self.files = Files(
            ca, *self.authority.server().write(folder, "server"), *self.authority.client("all").write(folder, "client")
        )

    def own(self, name: str, *, lane: str = "own", days: float | None = None) -> dict[str, str]:
        """A lane's settings with a certificate of that name, for so many days."""
        until = None if days is None else datetime.now(UTC) + timedelta(days=days)
        certificate, key = self.authority.client(name, until).write(self.folder, lane)
        return {"client_cert_file": str(certificate), "client_key_file": str(key)}

    def stage(self, **options: Any) -> AbstractAsyncContextManager[Stage]:
        return opened(self.folder, self.files, **options)


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path)


async def closed(stage: Stage, number: int = 1) -> str:
    """The reason of a lane that preflight keeps closed, once its validator shows it."""
    state, gate = stage.daemon.lanes[number - 1].state, stage.gates[number - 1]
    await stage.until(lambda: gate.validator.lane_open is False, f"CONFIG closed at lane {number}")
    assert state.state == "closed"
    return state.reason


async def opens(stage: Stage, number: int = 1) -> None:
    state, gate = stage.daemon.lanes[number - 1].state, stage.gates[number - 1]
    await stage.until(lambda: state.state == "ready" and gate.validator.lane_open is True, f"lane {number} open")


async def tapped(stage: Stage, number: int = 1) -> Tap:
    tap = stage.gates[number - 1].tap()
    assert (await stage.gates[number - 1].verdict(tap)).verdict == 1
    return tap


async def health(stage: Stage) -> list[str]:
    return [reason for _, reason in (await stage.daemon.observer.health()).reasons]


async def test_a_terminal_tps_does_not_know_stays_closed_the_other_lane_opens(open_stage: Opens) -> None:
    async with open_stage(lanes=2) as stage:
        stage.tps.terminals.known = {SECOND_GATE: HERE}
        async with stage.daemon_running():
            assert await closed(stage) == f"preflight: TPS says 41 VALIDATOR_NOT_FOUND of terminal {FIRST}"
            await opens(stage, 2)
            assert (await stage.settled(await tapped(stage, 2))).state == "approved"
            [reason] = await health(stage)
            assert reason.startswith("lane door-1 is closed: preflight: TPS says 41")
            stage.tps.terminals.known[FIRST] = HERE
            await opens(stage)  # by itself, after the first pause
            assert (await stage.settled(await tapped(stage))).state == "approved"
            assert await health(stage) == []
            await stage.pass_time(lambda: bool(stage.post.mails))
            [mail] = stage.post.mails
            assert "lane door-1 stays closed: preflight: TPS says 41" in mail.get_content().replace("\n", " ")


@pytest.mark.parametrize(
    ("registered", "words"),
    [
        (Registered(1002, 42), f"terminal {FIRST} belongs to company 1002 at TPS, and operator.company_id is 1001"),
        (Registered(1001, 43), f"terminal {FIRST} is at location 43 at TPS, and operator.stock_location_id is 42"),
    ],
    ids=["company", "location"],
)
async def test_company_and_location_must_be_tpss(open_stage: Opens, registered: Registered, words: str) -> None:
    async with open_stage() as stage:
        stage.tps.terminals.known = {FIRST: registered}
        async with stage.daemon_running():
            assert await closed(stage) == f"preflight: {words}"


async def test_a_validator_that_names_no_type_is_asked_about_once_the_lane_says_it(open_stage: Opens) -> None:
    async with open_stage() as stage:
        stage.gates[0] = Gate("VAL00001", stage.clock, type_name="")
        async with stage.daemon_running():
            assert "names no type" in await closed(stage)
            assert stage.tps.terminals.asked == []
            [lane] = lanes_of(stage)
            rewrite(stage, lanes=[lane | {"terminal_type": "GATE-X1"}])
            assert (await reloaded(stage)).accepted
            await stage.gate.is_up()
            await opens(stage)
            assert stage.tps.terminals.asked == [FIRST]


async def test_a_location_that_a_reload_corrects(open_stage: Opens) -> None:
    async with open_stage() as stage:
        stage.tps.terminals.known = {FIRST: Registered(1001, 43)}
        async with stage.daemon_running():
            await closed(stage)
            rewrite(stage, {"operator": {"stock_location_id": 43}})
            assert (await reloaded(stage)).accepted
            await opens(stage)


async def test_a_vehicle_that_starts_in_a_tunnel_takes_taps(open_stage: Opens) -> None:
    async with open_stage(tps_listens=False) as stage, stage.daemon_running():
        await opens(stage)
        await tapped(stage)


async def test_a_realtime_lane_waits_for_tps(open_stage: Opens) -> None:
    async with open_stage(tps_listens=False, lane_changes=REALTIME) as stage, stage.daemon_running():
        assert await closed(stage) == "preflight: TPS gives no answer (connect)"
        assert not await stage.daemon.journal.mails_due(later(stage.clock.schedule(), HOUR), 1), "an outage's matter"


@contextmanager
def silent_host() -> Iterator[str]:
    """A host that takes connections and says nothing on them."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"


async def test_a_network_that_says_nothing_keeps_a_deferred_lane_waiting_for_seconds(open_stage: Opens) -> None:
    with silent_host() as url:
        changes = {"sfey": {"base_url": url, "timeout_seconds": 15}}
        async with open_stage(tps_listens=False, changes=changes) as stage, stage.daemon_running():
            await opens(stage)
            await tapped(stage)


async def test_a_lane_opened_on_credit_closes_when_tps_says_no(open_stage: Opens) -> None:
    async with open_stage() as stage:
        stage.tps.terminals.known = {}
        stage.tps.terminals.replies = [Reply(503)]
        async with stage.daemon_running():
            await opens(stage)
            assert "VALIDATOR_NOT_FOUND" in await closed(stage)


async def test_a_lane_that_has_opened_is_not_closed_again(open_stage: Opens) -> None:
    async with open_stage() as stage, stage.daemon_running() as daemon:
        await opens(stage)
        stage.tps.terminals.known = {}
        assert daemon.inspector is not None
        [report] = await daemon.inspector.reports()
        assert (report.opens, daemon.lanes[0].state.state) == (False, "ready")
        assert await health(stage) == [f"lane door-1: TPS says 41 VALIDATOR_NOT_FOUND of terminal {FIRST}"]


async def test_another_validator_is_looked_at_before_its_lane_opens(open_stage: Opens) -> None:
    async with open_stage(lanes=2) as stage:
        stage.tps.terminals.known = {FIRST: HERE}
        async with stage.daemon_running(plug=False):
            stage.gate.plug(stage.lines[0].master)
            await opens(stage)
            stage.gate.unplug()
            stage.gates[1].plug(stage.lines[0].master)
            reason = f"preflight: TPS says 41 VALIDATOR_NOT_FOUND of terminal {SECOND_GATE}"
            await stage.until(lambda: stage.daemon.lanes[0].state.reason == reason, "the other one kept out")
            await stage.until(lambda: stage.gates[1].validator.lane_open is False, "CONFIG closed")


async def test_a_lane_whose_own_key_is_damaged_stays_closed_and_opens_when_it_is_mended(issuer: Issuer) -> None:
    async with issuer.stage(lanes=2) as stage:
        own = issuer.own(SECOND_GATE)
        key = Path(own["client_key_file"])
        good = key.read_bytes()
        key.write_text("half")
        first, second = lanes_of(stage)
        rewrite(stage, lanes=[first, second | own])
        async with stage.daemon_running() as daemon:
            await opens(stage)
            assert (await stage.settled(await tapped(stage))).state == "approved"
            assert await closed(stage, 2) == f"preflight: {key}: not a private key in PEM (and 1 more: tpsd preflight)"
            came = await tapped(stage, 2)  # its validator had not heard: it is taken, and waits for the certificate
            row = await stage.settled(came)
            assert (row.state, row.cause) == ("held", f"tls.own@{SECOND_GATE}")
            key.write_bytes(good)
            await daemon.renewal.look()
            await opens(stage, 2)
            assert (await stage.settled(await tapped(stage, 2))).state == "held", "it joins those that wait"
            await stage.pass_time()
            assert (await stage.row(came)).state == "approved", "a canary freed them"
            stage.check_books()


async def test_the_certificate_of_another_terminal(issuer: Issuer) -> None:
    async with issuer.stage(lane_changes=issuer.own("GATE-X1:VAL09999")) as stage, stage.daemon_running() as daemon:
        assert "own.crt is the certificate of GATE-X1:VAL09999, and the lane's terminal is" in await closed(stage)
        issuer.own(FIRST)
        await daemon.renewal.look()
        await opens(stage)


async def test_a_certificate_that_expires_soon_is_a_warning_and_one_that_has_closes(issuer: Issuer) -> None:
    lane_changes = issuer.own(FIRST, days=10)
    async with issuer.stage(lane_changes=lane_changes) as stage:
        async with stage.daemon_running():
            await opens(stage)
            [reason] = await health(stage)
            assert reason.startswith(f"lane door-1: {lane_changes['client_cert_file']} expires on ")
        issuer.own(FIRST, days=-1)
        async with stage.daemon_running():
            assert "has expired on" in await closed(stage)


async def test_a_key_that_others_may_read_is_a_warning_in_test(issuer: Issuer) -> None:
    lane_changes = issuer.own(FIRST)
    Path(lane_changes["client_key_file"]).chmod(0o644)
    async with issuer.stage(lane_changes=lane_changes) as stage, stage.daemon_running():
        await opens(stage)
        path = lane_changes["client_key_file"]
        assert await health(stage) == [f"lane door-1: lanes.door-1.client_key_file: {path} is open to other users"]


@pytest.mark.parametrize("realtime", [False, True])
async def test_a_clock_that_is_three_minutes_off(open_stage: Opens, realtime: bool) -> None:
    clock = WarpClock()
    clock.stand_still()
    lane = REALTIME if realtime else {}
    async with (
        open_stage(clock=clock, tps_wall=lambda: later(clock.wall(), 3 * MINUTE), lane_changes=lane) as stage,
        stage.daemon_running(),
    ):
        if realtime:
            assert "s apart" in await closed(stage)
        else:
            await opens(stage)
            [reason] = await health(stage)
            assert "s apart" in reason


async def test_the_command_beside_the_daemon(open_stage: Opens) -> None:
    async with open_stage(lanes=2) as stage:
        stage.tps.terminals.known = {FIRST: HERE, SECOND_GATE: Registered(1001, 43)}
        async with at_work(stage):
            await closed(stage, 2)
            code, out, _ = await tpsd(stage, "preflight", "--json")
            found = json.loads(out.splitlines()[-1])
            assert (code, found["ok"]) == (1, False)
            assert [(lane["lane"], lane["terminal"], lane["opens"]) for lane in found["lanes"]] == [
                ("door-1", FIRST, True),
                ("door-2", SECOND_GATE, False),
            ]
            [finding] = found["lanes"][1]["findings"]
            assert (finding["check"], finding["result"]) == ("location", "failed")
            _, out, _ = await tpsd(stage, "doctor", "--json")
            [lane] = [one for one in json.loads(out.splitlines()[-1])["checks"] if one["name"] == "lane door-2"]
            assert lane["next"].startswith("tpsd preflight says what to do")
            stage.tps.terminals.known[SECOND_GATE] = HERE
            code, out, _ = await tpsd(stage, "preflight")
            assert (code, out.count("it may open")) == (0, 2)
            await opens(stage, 2)  # the command's look counts


async def test_the_command_without_a_daemon(issuer: Issuer) -> None:
    async with issuer.stage(lanes=2) as stage:
        stage.tps.terminals.known = {"BUS:7": Registered(1001, 43)}
        first, second = lanes_of(stage)
        named = {"terminal_type": "BUS", "terminal_sn": "7"}
        rewrite(stage, lanes=[first, second | named | issuer.own("BUS:8")])
        (stage.folder / "salt.hex").chmod(0o640)
        code, out, _ = await tpsd(stage, "preflight", "--json")
        found = json.loads(out.splitlines()[-1])
        assert (code, found["ok"]) == (1, False)
        assert [(one["check"], one["result"]) for one in found["shared"]] == [("file mode in test", "warning")]
        unnamed, other = found["lanes"]
        assert (unnamed["opens"], unnamed["terminal"]) == (True, None)
        assert [one["check"] for one in unnamed["findings"]] == ["terminal's facts"]
        assert (other["opens"], other["terminal"]) == (False, "BUS:7")
        assert [one["check"] for one in other["findings"]] == ["certificate name", "location"]


async def test_the_command_in_production_says_what_disagrees(issuer: Issuer) -> None:
    async with issuer.stage() as stage:
        [lane] = lanes_of(stage)
        shutil.copy(issuer.files.client_key, stage.folder / "open.key")
        (stage.folder / "open.key").chmod(0o644)
        changes = {"base_url": "https://device.test.invalid", "client_key_file": str(stage.folder / "open.key")}
        rewrite(stage, {"mode": "production", "sfey": changes}, [lane | {"tokens": "ours"}])
        code, out, _ = await tpsd(stage, "preflight", "--json")
        found = json.loads(out.splitlines()[-1])
        assert (code, found["ok"], found["lanes"][0]["opens"]) == (1, False, False)
        said = {one["what"]: one["result"] for one in found["lanes"][0]["findings"]}
        assert said["mode is production, and the host device.test.invalid is a test's"] == "failed"
        assert "mode is production, and the lane's card data would go to TPS unencrypted (mode 00)" in said
        assert said[f"sfey.client_key_file: {stage.folder / 'open.key'} is open to other users"] == "failed"
        assert said["TPS gives no answer (dns)"] == "note"
