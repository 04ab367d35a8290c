"""The other end's deny list: pages of changes with tokens, and what a test wants to go wrong with them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from urllib.parse import parse_qs, urlsplit

from tpsd.core.feed import PAGE_RECORDS
from tpsd.domain.feed import Action, Parameters
from tpsd.sfey.paths import pattern
from tpsd.sfey.replies import HUGE_BYTES
from tpsd.sfey.wire import DEVICE_V1, Profile, nest

BUSY_SECONDS = 1200  # longer than any pause that a poll makes by itself
PAGE_USUAL = 50  # records where nobody says how many (sfey.md 6)


class Fault(Enum):
    """What is wrong with an answer."""

    SAME_TOKEN = "same token"  # never complete, and the token is the one that was asked with
    ENDLESS = "endless"  # never complete, always another token, no records
    NO_TOKEN = "no token"
    BAD_TOKEN = "bad token"
    BAD_CARD = "bad card"
    BAD_ACTION = "bad action"
    TOO_MANY = "too many"
    HUGE = "huge"
    GARBAGE = "garbage"
    CLOSED = "closed"
    FORBIDDEN = "forbidden"
    UNAVAILABLE = "unavailable"
    BUSY = "busy"  # 429, with a time until which to leave it alone


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. ``http`` None: the connection closes without one."""

    http: int | None
    body: bytes = b""
    retry_after: int | None = None  # seconds


class UpdateDesk:
    """TPS's deny list and its history. ``fault`` says of each request, by its number from 1, what goes wrong."""

    def __init__(self, profile: Profile = DEVICE_V1) -> None:
        self._profile = profile
        self._path = pattern(profile.update_path)
        self._history = 0  # its number: tokens of another one are outdated
        self._changes: list[tuple[str, str | None]] = []
        self.cards: set[bytes] = set()
        self.keys: list[dict[str, object]] = []  # device keys as they stand in records
        self.keys_asked: list[str] = []  # the path of every request for them
        self.asked: list[str | None] = []  # the token of every request
        self.paths: list[str] = []
        self.page_records = PAGE_RECORDS  # the most that it gives at once
        self._published: dict[str, list[dict[str, object]]] = {}  # other records, by the word of their type
        self.parameters_asked: list[tuple[str, str | None]] = []  # type and token of every request for those
        self.fault: Callable[[int], Fault | None] = lambda number: None

    def add(self, tokens: Iterable[bytes], word: str = "insert") -> None:
        """Cards that may not ride from now on."""
        for token in tokens:
            self.cards.add(token)
            self._changes.append((word, token.hex()))

    def lift(self, tokens: Iterable[bytes]) -> None:
        """Cards that may ride again."""
        for token in tokens:
            self.cards.discard(token)
            self._changes.append(("delete", token.hex()))

    def forget(self) -> None:
        """Every token that was given is outdated: whoever comes with one gets the list anew."""
        self._history += 1
        self._changes = [("flush", None), *(("insert", token.hex()) for token in sorted(self.cards))]

    def replace(self, tokens: Iterable[bytes]) -> None:
        """Another list altogether, whose history begins with a flush."""
        self.cards = set(tokens)
        self.forget()

    def say(self, kind: str, **fields: object) -> None:
        """A record of another type."""
        self._changes.append((kind, json.dumps(fields)))

    def publish(self, kind: Parameters, action: Action = Action.INSERT, **fields: object) -> None:
        """A record of a type that has a history of its own."""
        words = self._profile.updates
        word = words[kind.value]
        record = nest([(words["type"], word), (words["action"], words[action.value]), *fields.items()])
        self._published.setdefault(word, []).append(record)

    def serve(self, method: str, path: str) -> Reply | None:
        """One request; None: it is not about updates."""
        parts = urlsplit(path)
        if method != "GET" or not self._path.fullmatch(parts.path):
            return None
        words, query = self._profile.updates, parse_qs(parts.query)
        if query.get(words["type_query"]) == [words["device_key"]]:
            self.keys_asked.append(parts.path)
            return Reply(200, json.dumps(self._key_page()).encode())
        token = query.get(words["token_query"], [None])[0]
        kind = query.get(words["type_query"], [""])[0]
        if kind in {words[kind.value] for kind in Parameters}:
            self.parameters_asked.append((kind, token))
            return Reply(200, json.dumps(self._parameters(kind, token)).encode())
        count = int(query.get(words["count_query"], [str(PAGE_USUAL)])[0])
        self.asked.append(token)
        self.paths.append(path)
        return self._answer(token, min(count, self.page_records), self.fault(len(self.asked)))

    def _answer(self, token: str | None, count: int, fault: Fault | None) -> Reply:
        match fault:
            case Fault.CLOSED:
                return Reply(None)
            case Fault.FORBIDDEN:
                return Reply(403)
            case Fault.UNAVAILABLE:
                return Reply(503)
            case Fault.BUSY:
                return Reply(429, retry_after=BUSY_SECONDS)
            case Fault.HUGE:
                return Reply(200, b" " * HUGE_BYTES)
            case Fault.GARBAGE:
                return Reply(200, b'{"records": [{"recordType": "DENY_LI')
            case _:
                return Reply(200, json.dumps(self._page(token, count, fault)).encode())

    def _page(self, token: str | None, count: int, fault: Fault | None) -> dict[str, object]:
        at = self._position(token)
        end = min(at + count, len(self._changes))
        records = [self._record(*change) for change in self._changes[at:end]]
        complete, following = end == len(self._changes), f"{self._history}.{end}"
        given: object = following
        match fault:
            case Fault.SAME_TOKEN:
                complete, given = False, token or "0.0"
            case Fault.ENDLESS:
                records, complete, given = [], False, f"endless.{len(self.asked)}"
            case Fault.NO_TOKEN:
                complete, given = False, None
            case Fault.BAD_TOKEN:
                given = {"not": "a token"}
            case Fault.BAD_CARD:
                records.append(self._record("insert", "4111"))
            case Fault.BAD_ACTION:
                records.append(nest([(self._profile.updates["type"], self._profile.updates["deny_list"])]))
            case Fault.TOO_MANY:
                records += [self._record("insert", f"{number:064x}") for number in range(PAGE_RECORDS + 1)]
            case _:
                pass
        words = self._profile.updates
        places = [(words["records"], records), (words["complete"], complete), ("addedLater", {"ignore": ["me"]})]
        return nest([*places, *([(words["token"], given)] if given is not None else [])])

    def _key_page(self) -> dict[str, object]:
        words = self._profile.updates
        records = [{words["type"]: words["device_key"], words["action"]: words["insert"], **key} for key in self.keys]
        return nest([(words["records"], records), (words["complete"], True), (words["token"], f"keys.{len(records)}")])

    def _parameters(self, kind: str, token: str | None) -> dict[str, object]:
        words, all_of_it = self._profile.updates, self._published.get(kind, [])
        at = int(token or 0)
        end = min(at + self.page_records, len(all_of_it))
        return nest(
            [
                (words["records"], all_of_it[at:end]),
                (words["complete"], end == len(all_of_it)),
                (words["token"], str(end)),
            ]
        )

    def _position(self, token: str | None) -> int:
        history, _, position = (token or "").partition(".")
        known = token is not None and history == str(self._history) and position.isdigit()
        return min(int(position), len(self._changes)) if known else 0

    def _record(self, word: str, detail: str | None) -> dict[str, object]:
        words = self._profile.updates
        if word not in words:
            return nest([(words["type"], word), *json.loads(detail or "{}").items()])
        places = [(words["type"], words["deny_list"]), (words["action"], words[word])]
        return nest(places if detail is None else [*places, (words["card"], detail)])
