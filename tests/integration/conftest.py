"""What the tests of the whole daemon share: certificates once a run, and stages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.integration.stage import Stage, opened
from tpsd.sfey.certificates import Files, make


class Opens(Protocol):
    """Opens a stage with the arguments of ``stage.opened``."""

    def __call__(self, **options: Any) -> AbstractAsyncContextManager[Stage]: ...


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make(tmp_path_factory.mktemp("certificates"), datetime.now(UTC))


@pytest.fixture
def open_stage(tmp_path: Path, certificates: Files) -> Opens:
    """A stage; the daemon is started by the test."""

    def open_one(**options: Any) -> AbstractAsyncContextManager[Stage]:
        return opened(tmp_path, certificates, **options)

    return open_one


@pytest.fixture
def playing(open_stage: Opens) -> Opens:
    """A stage with the daemon running and the validators in session; the books are checked at its end."""

    @asynccontextmanager
    async def play(**options: Any) -> AsyncIterator[Stage]:
        async with open_stage(**options) as stage, stage.daemon_running():
            yield stage
            stage.check_books()
            if "afc_base_url" not in dict(options.get("changes") or {}).get("sfey", {}):  # one that tells what it likes
                await stage.check_money()

    return play
