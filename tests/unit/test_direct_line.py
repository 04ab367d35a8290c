"""TPS within the process: the same teller as over HTTP, the same exchanges out of it."""

import asyncio
from uuid import UUID

import pytest

from tests.integration.gate import until
from tests.sfey_requests import numbered
from tpsd.domain.outcome import Answer, Exchange, NoAnswer
from tpsd.domain.time import Micros
from tpsd.sfey import fates
from tpsd.sfey.direct import DirectLine
from tpsd.sfey.fates import Fate, scripted
from tpsd.sfey.teller import Teller

SHORT = 0.05
WALL = Micros(1_795_421_730_000_000)
APPROVED = Answer(200, True, "000")


def line_of(teller: Teller) -> DirectLine:
    return DirectLine(teller, 1001, timeout_seconds=SHORT)


@pytest.mark.parametrize(
    ("sequence", "exchanges", "charges"),
    [
        ([fates.approve()], [APPROVED, APPROVED], 1),
        ([fates.decline()], [Answer(200, False, "116")] * 2, 0),
        ([fates.system(60)], [Answer(400, system_code=60)] * 2, 0),
        (
            [fates.bare(503, retry_after="7"), fates.approve()],
            [Answer(503, retry_after=7, readable=False), APPROVED],
            1,
        ),
        ([fates.close_before(), fates.approve()], [NoAnswer("closed"), APPROVED], 1),
        ([fates.close_after(), fates.approve()], [NoAnswer("closed"), APPROVED], 1),
        ([fates.never(charged=True), fates.approve()], [NoAnswer("timeout"), APPROVED], 1),
        ([fates.never(), fates.approve()], [NoAnswer("timeout"), APPROVED], 1),
        ([fates.slow(60)], [NoAnswer("timeout"), Answer(409, system_code=303)], 0),
        ([fates.html()], [Answer(200, readable=False)], 0),
        ([fates.garbage()], [Answer(200, readable=False)], 0),
    ],
)
async def test_fates_become_the_exchanges_that_http_makes_of_them(
    sequence: list[Fate], exchanges: list[Exchange], charges: int
) -> None:
    teller = Teller(scripted({"VAL00042": sequence}))
    _, path, body = numbered(1)
    line = line_of(teller)
    assert [await line.post("common", path, body) for _ in exchanges] == exchanges
    assert len(teller.ledger.charges()) == charges
    assert teller.ledger.violations == []
    await teller.stop()


async def test_a_repeat_that_differs_is_refused_and_written_down() -> None:
    teller = Teller()
    _, path, body = numbered(1)
    line = line_of(teller)
    await line.post("common", path, body)
    assert await line.post("common", path, body + b" ") == Answer(400, system_code=27)
    assert len(teller.ledger.violations) == 1


async def test_enquiries_probes_and_the_time() -> None:
    heard: list[Micros] = []
    teller = Teller(wall=lambda: WALL)
    line = DirectLine(teller, 1001, timeout_seconds=SHORT, on_date=heard.append)
    uuid, path, body = numbered(1)
    assert await line.ask(UUID(uuid)) == Answer(404)
    await line.post("common", path, body)
    assert await line.ask(UUID(uuid)) == APPROVED
    assert await line.knock("common") == Answer(404)
    assert heard == [WALL] * 4
    assert len(teller.ledger.visits()) == 3


async def test_processing_goes_on_when_the_client_dies() -> None:
    teller = Teller(scripted({"VAL00042": [fates.slow(SHORT)]}))
    _, path, body = numbered(1)
    asking = asyncio.create_task(line_of(teller).post("common", path, body))
    await until(teller.ledger.requests, "the request")
    asking.cancel()
    await until(teller.ledger.charges, "the charge")
