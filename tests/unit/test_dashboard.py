"""The status screen's words about what a journal is shared with."""

from __future__ import annotations

from typing import Any

import pytest

from tpsd.cli.dashboard import fleet_words

ALONE: dict[str, Any] = {"daemon": "gate-1", "presides": True, "others": [], "gone_seconds": {}}


@pytest.mark.parametrize(
    ("fleet", "words"),
    [
        (None, ""),
        (ALONE, "daemon gate-1 (presides); taps and journeys are everybody's"),
        (
            ALONE | {"presides": False, "others": ["gate-2", "gate-3"], "gone_seconds": {"gate-4": 31.0}},
            "daemon gate-1 beside gate-2, gate-3, gone: gate-4; taps and journeys are everybody's",
        ),
    ],
)
def test_which_daemon_this_is(fleet: dict[str, Any] | None, words: str) -> None:
    assert fleet_words(fleet) == words
