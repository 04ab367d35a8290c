"""The socket's route for the test mail. It changes nothing, so it is not audited; the log names who asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from tpsd.admin.peer import peer_name
from tpsd.admin.plain import plain

TEST_PATH = "/mail/test"

_logger = structlog.get_logger(__name__)


def routes(try_mail: Callable[[], Awaitable[object]]) -> list[web.RouteDef]:
    """``POST /mail/test``: whether SMTP accepted it, and its words where not."""

    async def test(request: web.Request) -> web.Response:
        _logger.info("mail_tested", who=peer_name(request))
        return web.json_response(plain(await try_mail()))

    return [web.post(TEST_PATH, test)]
