"""The words people see: for each reason a text for the passenger's display and one for the operator.

A language is one file, ``catalogue/<language>.toml``, with a table for each key. Looking up never fails: a
code nobody translated falls back to its family and then to ``unknown``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import product
from types import MappingProxyType
from typing import Final

from tpsd.core.codes import ACTION_CODES, SYSTEM_CODES, ActionClass, action_class
from tpsd.errors import ConfigError

LINES_MAX: Final = 2  # the smallest validator display in the field has two lines …
LINE_CHARACTERS_MAX: Final = 20  # … of twenty characters
TEXT_BYTES_MAX: Final = 64  # links.md: DF8A23 holds at most 64 bytes of UTF-8
UNKNOWN: Final = "unknown"
_CATALOGUE: Final = files("tpsd.core").joinpath("catalogue")
BELOW_A_CHECK_OUT: Final = ("check_out_again", "check_out_failed")  # one line each, under another text's first

# What a verdict at the lane, or an authorisation's row, can carry besides TPS's codes.
_AT_THE_LANE: Final = (
    "ok",
    "expired",
    "oda",
    "kind",
    "mode",
    "amount_limit",
    "currency",
    "malformed",
    "unknown_kind",
    "no_card_data",
    "internal",
    "deny_list",
    "list_stale",
    "pass_back",
    "repeat",
    "stale",
    "clock",
    "database",
    "spool",
    "turned_away",
    "let_in",
    "untokenised",
    "tap_identity",
    "under_way",
    "no_check_in",
    "journey_open",
    "out_of_order",
    "no_fare",
    "no_token",
    "checked_in",
    "checked_out",
    "paid_before",
    "in_doubt",
    "partial",
    "partial_refused",
    "amount_differs",
    "expired_journey",
    "ended_unpaid",
    "by_hand",
    *BELOW_A_CHECK_OUT,
)
_ON_THE_WAY: Final = (
    "approved",
    "declined",
    "timeout",
    "link",
    "closed",
    "not_sent",
    "connect",
    "connect_timeout",
    "probe",
    "dns",
    "tls",
    "tls.server",
    "tls.client",
    "tls.own",
    "preflight",
    "crash",
    "protocol",
    "unreadable",
    "contradiction",
    "no_credential",
    "deciding",
    "restored",
    "unconfirmed",
    "untimed",
    "horizon",
    "seal",
    "wound",
    "unreachable",
    "reachable",
    "feed.stale",
    "feed.fresh",
    "asking",
    "busy",
    "lease",
    "answer_late",
    "refund",
)
_BARE_STATUSES: Final = (
    "http",
    "http.3xx",
    "http.4xx",
    "http.5xx",
    "http.401",
    "http.403",
    "http.404",
    "http.407",
    "http.408",
    "http.429",
    "http.503",
)
_FAMILIES: Final = ("action.other", "action.again", "system.other", "unknown")

REASONS: Final = (*_AT_THE_LANE, *_ON_THE_WAY, *_BARE_STATUSES, *_FAMILIES)


@dataclass(frozen=True, slots=True)
class Text:
    """``passenger``: at most two lines of 20 characters, a newline between. ``operator``: one sentence."""

    passenger: str
    operator: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All texts of one language. Every look-up is total."""

    language: str
    texts: Mapping[str, Text]

    def passenger(self, reason: str) -> str:
        """What the display shows for a verdict's reason, e.g. ``action.116``."""
        return self._find(reason).passenger

    def check_out(self, reason: str, below: str) -> str:
        """The first line of a reason's text, then the line of ``below``, one of BELOW_A_CHECK_OUT; no line twice."""
        first = self.passenger(reason).partition("\n")[0]
        return "\n".join(dict.fromkeys((first, self.passenger(below))))

    def operator(self, cause: str) -> str:
        """What happened and what to do, for a row's cause (``system.41@GATE-X1:VAL42``) or a notice's key."""
        return self._find(cause).operator

    def _find(self, cause: str) -> Text:
        return next(self.texts[key] for key in fallbacks(cause) if key in self.texts)


def fallbacks(cause: str) -> Iterator[str]:
    """The keys to try for a cause, the nearest first, ``unknown`` last."""
    code = cause.partition("@")[0].rpartition("/")[2]
    yield code
    family, _, number = code.partition(".")
    if family == "action":
        yield _ACTION_FAMILY[action_class(number)]
    elif family == "system":
        yield "system.other"
    elif family == "http":
        yield f"http.{number[:1]}xx"
    yield family
    yield UNKNOWN


_ACTION_FAMILY: Mapping[ActionClass | None, str] = {
    ActionClass.APPROVED: "approved",
    ActionClass.DECLINED: "action.other",
    ActionClass.AGAIN: "action.again",
    None: "action.other",
}


def required_keys() -> tuple[str, ...]:
    """Every key a language file must have."""
    actions = (f"action.{code}" for code in ACTION_CODES)
    systems = (f"system.{number}" for number in SYSTEM_CODES)
    return (*REASONS, *actions, *systems)


def languages() -> tuple[str, ...]:
    """Those there is a file for, sorted."""
    names = (entry.name for entry in _CATALOGUE.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


@cache
def load(language: str) -> Catalogue:
    """The catalogue of a language such as ``en``. Raises ConfigError naming the file and what it lacks."""
    if language not in languages():
        raise ConfigError(f"no texts for language {language!r}; there are: {', '.join(languages())}")
    return parse(language, _CATALOGUE.joinpath(f"{language}.toml").read_text(encoding="utf-8"))


def parse(language: str, document: str) -> Catalogue:
    """A catalogue from the text of its file. Raises ConfigError as ``load`` does."""
    name = f"catalogue/{language}.toml"
    try:
        tables = tomllib.loads(document)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"{name} is not TOML: {exc}") from exc
    missing = [key for key in required_keys() if key not in tables]
    if missing:
        raise ConfigError(f"{name} lacks {', '.join(missing)}")
    texts = {key: _text(name, key, table) for key, table in tables.items()}
    catalogue = Catalogue(language, MappingProxyType(texts))
    for key, below in product(texts, BELOW_A_CHECK_OUT):
        if not fits_display(catalogue.check_out(key, below)):
            raise ConfigError(f"{name}: [{below}] does not fit the display below the first line of [{key}]")
    return catalogue


def _text(name: str, key: str, table: object) -> Text:
    if not isinstance(table, dict) or set(table) != {"passenger", "operator"}:
        raise ConfigError(f"{name}: [{key}] needs passenger and operator, and nothing else")
    text = Text(**table)
    for side in (text.passenger, text.operator):
        if not isinstance(side, str) or not side.strip():
            raise ConfigError(f"{name}: [{key}] has an empty text")
    if not fits_display(text.passenger):
        raise ConfigError(
            f"{name}: [{key}] passenger is more than {LINES_MAX} lines of {LINE_CHARACTERS_MAX} characters"
            f" or {TEXT_BYTES_MAX} bytes"
        )
    return text


def fits_display(text: str) -> bool:
    """Whether a validator can show it."""
    lines = text.split("\n")
    return (
        len(lines) <= LINES_MAX
        and all(0 < len(line) <= LINE_CHARACTERS_MAX and line.isprintable() for line in lines)
        and len(text.encode()) <= TEXT_BYTES_MAX
    )
