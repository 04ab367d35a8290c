"""TPS's deny list: a card that is listed and committed is never let in, and the list is never empty in between."""

from __future__ import annotations

from typing import Final

from device.vl1.codes import ACCEPTING
from tests.sim.checks.base import Checker, Violated
from tests.sim.events import Committed, Event, Fed
from tpsd.domain.feed import Action, Page

_TOKEN: Final = "SELECT token FROM deny_feed WHERE source = 'tps'"
_VERSION: Final = "SELECT value FROM meta WHERE key = 'deny_version'"
_TAPS: Final = """
SELECT id, token, verdict, reason, kind, list_version FROM tap WHERE token IS NOT NULL AND shown <> 1
"""  # 1: its validator had let the passenger in by itself
_WHATEVER: Final = frozenset({"let_in", "repeat", "paid_before"})
"""Reasons that do not ask the list: the passenger is in, was judged before, or has paid."""


class Lists(Checker):
    """By the pages that the daemon was given, of which those count whose token it has committed."""

    def __init__(self, *given: object) -> None:
        super().__init__(*given)  # type: ignore[arg-type]
        self._pages: dict[str | None, tuple[str | None, Page]] = {}  # by the token that each gave
        self._token: str | None = None
        self._said: set[bytes] = set()  # since the last flush
        self._must: set[bytes] = set()  # what may not be let in now
        self._by_version: dict[int | None, frozenset[bytes]] = {}

    def heard(self, event: Event) -> None:
        match event:
            case Fed(asked_with=asked_with, token=token, page=page):
                self._pages[token] = (asked_with, page)
            case Committed():
                self._look()
            case _:
                return

    def finish(self) -> None:
        for tap, token, verdict, reason, kind, version in self.world.eye.rows(_TAPS):
            asked = verdict in ACCEPTING and reason not in _WHATEVER and kind != "RETAIL_CHECK_OUT"
            if asked and bytes.fromhex(token) in self._by_version.get(version, ()):
                raise Violated(f"list: tap {tap} was let in ({reason}) under version {version}, which names its card")

    def _look(self) -> None:
        if self.world.config.feed.enabled is False:
            return
        token = self.world.eye.one(_TOKEN)
        if token is not None and token != self._token:
            self._token = token
            self._apply(*self._pages[token])
        lacking = self._must - self.world.eye.fed()
        if lacking:
            raise Violated(f"list: {len(lacking)} cards that TPS lists are committed, and not denied any more")
        version = self.world.eye.one(_VERSION)
        self._by_version[version] = self._by_version.get(version, frozenset(self._must)) & self._must

    def _apply(self, asked_with: str | None, page: Page) -> None:
        if asked_with is None:
            self._said = set()
        for record in page.records:
            if record.action is Action.FLUSH:
                self._said = set()
            elif record.token is not None and record.action is Action.DELETE:
                self._said.discard(record.token)
                self._must.discard(record.token)
            elif record.token is not None:
                self._said.add(record.token)
                self._must.add(record.token)
        if page.complete:
            self._must = set(self._said)
