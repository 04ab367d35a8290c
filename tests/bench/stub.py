"""The quickest TPS there is: TLS with client certificates, one answer for everything, in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from tpsd.sfey.certificates import Files, make, server_context

_ANSWER = b'{"transactionResultData":{"approved":true,"actionCode":"000"}}'


@contextlib.asynccontextmanager
async def running(folder: Path, slow_seconds: float = 0.0) -> AsyncIterator[tuple[str, Files]]:
    """The stub as a child process; its URL and certificates. Realtime payments are answered after ``slow_seconds``."""
    files = make(folder, datetime.now(UTC))
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.stub", str(folder), str(slow_seconds), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    try:
        port = int(await child.stdout.readline())
        yield f"https://127.0.0.1:{port}", files
    finally:
        child.terminate()
        await child.wait()


async def _serve(folder: Path, slow_seconds: float) -> None:
    async def _answer(request: web.Request) -> web.Response:
        if slow_seconds and b"RETAIL" in await request.read():
            await asyncio.sleep(slow_seconds)
        return web.Response(body=_ANSWER, content_type="application/json")

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", _answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    tls = server_context(folder / "server.crt", folder / "server.key", folder / "ca.crt")
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(Path(sys.argv[1]), float(sys.argv[2])))
