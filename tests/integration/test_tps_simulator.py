"""The simulated TPS under the real client, over TLS and plain: fates, repeats, books."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import pytest

from tests.integration.tls_peer import Pki, client_of
from tests.sfey_requests import TAP, TAPPED_AT, numbered
from tpsd.domain.outcome import Answer, Exchange, NoAnswer
from tpsd.domain.time import Micros
from tpsd.errors import ConfigError
from tpsd.sfey import fates
from tpsd.sfey.fates import Fate, scripted
from tpsd.sfey.ledger import Ledger
from tpsd.sfey.messages import enquiry, transaction
from tpsd.sfey.simulator import AFC_BASE_PATH, Serving, Simulator, serve
from tpsd.sfey.wire import DEVICE_V1, override

SHORT = 0.3  # s: the client's patience where the simulator has none
APPROVED = Answer(200, True, "000")
WALL = Micros(1_795_421_730_000_000)


def still() -> Micros:
    return WALL


async def sent(simulator: Simulator, amount: int, times: int, timeout: float = SHORT) -> list[Exchange]:
    _, path, body = numbered(1, amount=amount)
    async with simulator.serving() as serving, client_of(serving.url, None, timeout=timeout) as tps:
        return [await tps.post("lane", path, body) for _ in range(times)]


@pytest.mark.parametrize(
    ("amount", "exchanges", "charges"),
    [
        (250, [APPROVED, APPROVED], 1),
        (0, [APPROVED, APPROVED], 1),
        (90_000, [APPROVED, APPROVED], 1),
        (90_002, [Answer(200, True, "002", amount=45_001)] * 2, 1),
        (90_116, [Answer(200, False, "116")] * 2, 0),
        (90_911, [Answer(200, False, "911")] * 2, 0),
        (80_060, [Answer(400, system_code=60)] * 2, 0),
        (80_041, [Answer(400, system_code=41)] * 2, 0),
        (80_303, [Answer(409, system_code=303)] * 2, 0),
        (70_503, [Answer(503, readable=False)] * 2, 0),
        (70_404, [Answer(404, readable=False)] * 2, 0),
        (70_100, [NoAnswer("timeout")], 0),
        (60_001, [NoAnswer("closed")] * 3, 0),
        (60_002, [NoAnswer("closed"), APPROVED, APPROVED], 1),
        (60_003, [NoAnswer("timeout")] * 2, 0),
        (60_004, [Answer(503, readable=False)] * 2 + [APPROVED] * 2, 1),
        (60_005, [Answer(200, readable=False)] * 2, 0),
        (60_006, [Answer(200, readable=False)] * 2, 0),
        (60_008, [NoAnswer("closed"), APPROVED, APPROVED], 1),
        (60_009, [NoAnswer("timeout")] * 2, 1),
        (60_010, [Answer(200, True, "116")] * 2, 0),
        (60_011, [Answer(200, readable=False)] * 2, 0),
        (60_012, [Answer(200, False, "911")] * 2 + [APPROVED] * 2, 1),
    ],
)
async def test_an_amount_names_its_fate(amount: int, exchanges: list[Exchange], charges: int) -> None:
    simulator = Simulator()
    assert await sent(simulator, amount, len(exchanges)) == exchanges
    ledger = simulator.ledger
    assert len(ledger.charges()) == charges
    assert [request.number for request in ledger.requests()] == list(range(1, len(exchanges) + 1))
    assert (ledger.duplicates(), ledger.violations) == ([], [])


async def test_over_tls_with_a_client_certificate(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    simulator = Simulator(wall=still)
    _, path, body = numbered(1)
    async with simulator.serving(ssl_context=pki.server()) as serving:
        assert serving.url.startswith("https://127.0.0.1:")
        async with client_of(serving.url, pki.client()) as tps:
            assert await tps.post("lane", path, body) == APPROVED
            assert tps.last_date is not None
            assert tps.last_date.date == WALL
    (charge,) = simulator.ledger.charges()
    assert (charge.at, charge.amount, charge.serial) == (WALL, 250, "VAL00042")
    assert [visit.path for visit in simulator.ledger.visits()] == [DEVICE_V1.probe_path]


def scripts(*sequence: Fate) -> Simulator:
    return Simulator(scripted({"VAL00042": list(sequence)}))


@pytest.mark.parametrize(
    ("sequence", "exchanges", "charges"),
    [
        ([fates.approve(), fates.decline()], [APPROVED] * 3, 1),
        ([fates.decline("208"), fates.approve()], [Answer(200, False, "208")] * 3, 0),
        ([fates.system(60), fates.approve()], [Answer(400, system_code=60)] * 2, 0),
        ([fates.system(86, 500), fates.approve()], [Answer(500, system_code=86), APPROVED], 1),
        ([fates.in_progress(), fates.approve()], [Answer(409, system_code=303), APPROVED], 1),
        (
            [fates.bare(503, retry_after="7"), fates.approve()],
            [Answer(503, retry_after=7, readable=False), APPROVED],
            1,
        ),
        ([fates.close_after(), fates.close_after(), fates.approve()], [NoAnswer("closed")] * 2 + [APPROVED], 1),
        ([fates.never(charged=True), fates.approve()], [NoAnswer("timeout"), APPROVED], 1),
        ([fates.partial(10)], [Answer(200, True, "002", amount=10)] * 2, 1),
    ],
)
async def test_a_script_names_the_fate_of_each_request(
    sequence: Sequence[Fate], exchanges: list[Exchange], charges: int
) -> None:
    simulator = scripts(*sequence)
    assert await sent(simulator, 250, len(exchanges)) == exchanges
    assert len(simulator.ledger.charges()) == charges


async def test_a_redirect_is_not_followed() -> None:
    simulator = scripts(fates.redirect())
    assert await sent(simulator, 250, 1) == [Answer(307, readable=False)]
    assert [visit.path for visit in simulator.ledger.visits()] == [DEVICE_V1.probe_path]


async def test_a_slow_one_goes_on_when_the_client_leaves() -> None:
    """In progress meanwhile; then the same answer, and one charge."""
    simulator = scripts(fates.slow(0.6))
    _, path, body = numbered(1)
    async with simulator.serving() as serving, client_of(serving.url, None, timeout=SHORT) as tps:
        assert await tps.post("lane", path, body) == NoAnswer("timeout")
        assert await tps.post("lane", path, body) == Answer(409, system_code=303)
        async with asyncio.timeout(5):
            while (seen := await tps.post("lane", path, body)) == Answer(409, system_code=303):
                pass
    assert seen == APPROVED
    ledger = simulator.ledger
    assert len(ledger.charges()) == 1
    assert ledger.replies(str(UUID(int=1)))[-1] == "repeated"


async def test_two_at_once_of_one_uuid_charge_once() -> None:
    simulator = scripts(fates.slow(0.2))
    _, path, body = numbered(1)
    async with simulator.serving() as serving, client_of(serving.url, None) as tps:
        seen = await asyncio.gather(*[tps.post("lane", path, body) for _ in range(4)])
    assert sorted(one.http for one in seen if isinstance(one, Answer)) == [200, 409, 409, 409]
    assert len(simulator.ledger.charges()) == 1


@pytest.mark.parametrize("what", ["body", "path"])
async def test_a_repeat_that_differs_is_a_violation(what: str) -> None:
    simulator = Simulator()
    uuid, path, body = numbered(1)
    _, other_path, other_body = numbered(1, amount=251)
    assert path == other_path
    again = (path, other_body) if what == "body" else (path.replace("GATE-X1", "GATE-X2"), body)
    async with simulator.serving() as serving, client_of(serving.url, None) as tps:
        assert await tps.post("lane", path, body) == APPROVED
        assert await tps.post("lane", *again) == Answer(400, system_code=27)
        assert await tps.post("lane", path, body) == APPROVED
    ledger = simulator.ledger
    assert [one.uuid for one in ledger.violations] == [uuid]
    assert [reply.split(".")[0] for reply in ledger.replies(uuid)] == ["action", "system", "repeated"]
    assert len(ledger.charges()) == 1


async def test_a_request_that_breaks_the_contract_is_refused_and_noted() -> None:
    simulator = Simulator()
    _, path, body = numbered(1)
    broken = json.loads(body)
    broken["transactionData"]["tag"] = "3/+EAg=="
    async with simulator.serving() as serving, client_of(serving.url, None) as tps:
        assert await tps.post("lane", path, b"{") == Answer(400, system_code=9)
        assert await tps.post("lane", path, json.dumps(broken).encode()) == Answer(400, system_code=12)
    ledger = simulator.ledger
    assert len(ledger.violations) == 2
    assert [request.uuid for request in ledger.requests()] == [None, str(UUID(int=1))]
    assert ledger.charges() == []


async def test_books_name_the_tap() -> None:
    simulator = Simulator()
    async with simulator.serving() as serving, client_of(serving.url, None) as tps:
        for number in range(1, 4):
            uuid, path, body = numbered(number)
            assert await tps.post("lane", path, body) == APPROVED
            assert simulator.ledger.replies(uuid) == ["action.000"]
    ledger = simulator.ledger
    assert ledger.charged_total == 750
    (request,) = ledger.requests_of("VAL00042", Micros(TAPPED_AT + 2_000_000))
    assert (request.uuid, request.amount, request.type) == (str(UUID(int=2)), 250, "MTT")


async def test_enquiries() -> None:
    simulator = scripts(fates.close_after())
    uuid, path, body = numbered(1)
    asked = AFC_BASE_PATH + enquiry(DEVICE_V1, 1001, UUID(uuid))
    async with simulator.serving() as serving, client_of(serving.url, None) as tps:
        assert await tps.get("lane", asked) == Answer(404)
        assert await tps.post("lane", path, body) == NoAnswer("closed")
        assert await tps.get("lane", asked) == APPROVED
        assert await tps.get("lane", "/anything") == Answer(404)


async def test_another_profile() -> None:
    profile = override(DEVICE_V1, {"transaction_path": "/v9/{terminalSn}", "field.tag": "emv", "result.approved": "ok"})
    simulator = Simulator(profile=profile)
    path, body = transaction(profile, TAP)
    async with simulator.serving() as serving, client_of(serving.url, None) as tps:
        assert await tps.post("lane", path, body) == Answer(200, None, "000")  # this client looks elsewhere
    assert len(simulator.ledger.charges()) == 1


async def test_ten_clients_that_hold_on_do_not_stop_it_from_stopping() -> None:
    _, path, body = numbered(1, amount=60_003)
    simulator = Simulator()
    async with asyncio.timeout(10):
        async with simulator.serving() as serving, client_of(serving.url, None, timeout=60) as tps:
            sends = [asyncio.create_task(tps.post("lane", path, body)) for _ in range(10)]
            while len(simulator.ledger.replies(str(UUID(int=1)))) < 10:
                await asyncio.sleep(0)
            await tps.close()
            assert await asyncio.gather(*sends) == [NoAnswer("closed")] * 10


async def test_only_loopback() -> None:
    with pytest.raises(ConfigError, match="loopback only"):
        async with Simulator().serving("0.0.0.0"):
            pass


async def test_as_a_process_it_writes_its_ledger_as_it_goes(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    listening: asyncio.Future[Serving] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(serve("127.0.0.1", 0, ledger_file=file, listening=listening.set_result))
    try:
        async with client_of((await listening).url, None) as tps:
            uuid, path, body = numbered(1)
            assert await tps.post("lane", path, body) == APPROVED
        assert Ledger.load(file).replies(uuid) == ["action.000"]
        assert "4761739001010119" not in file.read_text()
    finally:
        server.cancel()
        with suppress(asyncio.CancelledError):
            await server
