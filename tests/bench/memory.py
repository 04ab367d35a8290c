"""Resident memory of the daemon as a process, running idle and after a million deny-list entries."""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.ground import configuration, until
from tests.bench.measure import Figure, report

ENTRIES = 1_000_000


def run(_runs: int) -> None:
    """One round: memory is not a matter of luck. The baseline is a bare interpreter with aiohttp imported."""
    idle, listed = asyncio.run(_daemon())
    bare = asyncio.run(_bare())
    report(
        "Resident memory",
        [
            Figure("tpsd run, one lane", "MiB", (idle,)),
            Figure(f"the same with {ENTRIES:,} deny entries", "MiB", (listed,)),
            Figure("python with aiohttp imported", "MiB", (bare,)),
        ],
        f"  {'added by the list':<58} {listed - idle:>12,.2f} MiB",
    )


async def _daemon() -> tuple[float, float]:
    with TemporaryDirectory(prefix="tpsd-bench-") as name:
        folder = Path(name)
        config = configuration(folder, "http://127.0.0.1:1", ["socket://127.0.0.1:1"])
        rng = random.Random(3)
        tokens = folder / "tokens.txt"
        tokens.write_text("".join(f"{rng.randbytes(32).hex()}\n" for _ in range(ENTRIES)))
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tpsd",
            "run",
            "--config",
            str(folder / "tpsd.toml"),
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            await until(config.admin.socket.exists, 20)
            await asyncio.sleep(1)
            idle = _resident(child.pid)
            importing = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tpsd", "denylist", "import", str(tokens), "--socket", str(config.admin.socket)
            )
            assert await importing.wait() == 0
            return idle, _resident(child.pid)
        finally:
            child.terminate()
            await child.wait()


async def _bare() -> float:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import aiohttp, sys; print(flush=True); sys.stdin.read()",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    await child.stdout.readline()
    resident = _resident(child.pid)
    child.terminate()
    await child.wait()
    return resident


def _resident(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024
