"""The other end's list of terminals: which it knows, and to whom and where they belong."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tpsd.sfey.paths import pattern
from tpsd.sfey.update_desk import Reply
from tpsd.sfey.wire import DEVICE_V1, Profile, nest

VALIDATOR_NOT_FOUND = 41


@dataclass(frozen=True, slots=True)
class Registered:
    """A terminal as TPS has it; None is not said."""

    company_id: int | None = None
    stock_location_id: int | None = None


class TerminalDesk:
    """``known`` by ``TYPE:SERIAL``; None, the beginning: every terminal is known and nothing said of it.

    ``replies`` are given to the next questions instead.
    """

    def __init__(self, profile: Profile = DEVICE_V1) -> None:
        self._profile = profile
        self._path = pattern(profile.terminal_path)
        self.known: dict[str, Registered] | None = None
        self.replies: list[Reply] = []
        self.asked: list[str] = []

    def serve(self, method: str, path: str) -> Reply | None:
        """One request; None: it is not about a terminal."""
        found = self._path.fullmatch(path)
        if method != "GET" or found is None:
            return None
        name = f"{found['terminalTypeName']}:{found['terminalSn']}"
        self.asked.append(name)
        if self.replies:
            return self.replies.pop(0)
        registered = Registered() if self.known is None else self.known.get(name)
        if registered is None:
            return Reply(400, json.dumps(nest([(self._profile.results["system_code"], VALIDATOR_NOT_FOUND)])).encode())
        places = self._profile.terminals
        told = (
            (places["company_id"], registered.company_id),
            (places["stock_location_id"], registered.stock_location_id),
        )
        facts = nest([("addedLater", True), *((place, value) for place, value in told if value is not None)])
        return Reply(200, json.dumps(facts).encode())
