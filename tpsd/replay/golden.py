"""Golden cases: a few taps of a log, made anonymous and small, with what a replay of them is to find ever after.

A case is a folder: ``log.jsonl`` is a tap log in itself, ``case.json`` says how to replay it and what differs then.
Card tokens and digests are replaced, the same by the same; the masked number becomes a scheme's test card's.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from schemas.taplog import AnyLine, Attended, Begin, End, Link, Mailed, Ordered, Probed, Sent, Tap
from tpsd.domain.time import iso_micros
from tpsd.replay.comparing import tap_name
from tpsd.replay.differences import Aspect, Difference
from tpsd.replay.reading import ReplayError, files_of, read
from tpsd.replay.settings import TPS, Asked
from tpsd.replay.world import run

LOG_NAME: Final = "log.jsonl"
CASE_NAME: Final = "case.json"
TAPS_MAX: Final = 100  # of one case: what a person can still look at
_LIFE: Final = "00000000-0000-4000-8000-000000000000"
_MASKED: Final = "476173******0119"
_TOKEN: Final = re.compile(r"(?<![0-9a-zA-Z])(?:[0-9a-f]{64}|[0-9A-F]{64})(?![0-9a-zA-Z])")
_PRIVATE: Final = ("email", "admin", "keys", "store", "taplog", "feed")
"""Sections of a configuration that decide nothing in a replay."""

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """How a case is replayed. ``expected`` as ``plain`` gives differences."""

    folder: Path
    tps: TPS
    changes: tuple[str, ...]
    denied: tuple[bytes, ...]
    expected: tuple[Fields, ...]

    @property
    def asked(self) -> Asked:
        """What to run."""
        return Asked([self.folder / LOG_NAME], self.tps, None, self.changes, self.denied)


def save(asked: Asked, folder: Path, taps: Sequence[str] = ()) -> Case:
    """Write a case of these taps (``VAL00042:3:17``), or of those that differ, or of all. Raises ReplayError.

    Taps of the same cards come along, since a journey and pass-back hang on them.
    """
    if asked.config is not None:
        raise ReplayError("a golden case stands for itself: give --set instead of --config")
    if folder.exists() and any(folder.iterdir()):
        raise ReplayError(f"{folder} is not empty: name a folder for the case")
    lines = [line for path in files_of(asked.paths) for line, _ in read(path, lambda skipped: None)]
    wanted = set(taps) or {one.tap for one in run(asked).differences if one.tap}
    chosen = _chosen(lines, wanted)
    folder.mkdir(parents=True, exist_ok=True)
    tokens = _Tokens()
    _write(folder, tokens.replaced(_numbered(chosen)))
    denied = tuple(bytes.fromhex(tokens.of(token.hex())) for token in asked.denied)
    case = Case(folder, asked.tps, tuple(asked.changes), denied, ())
    _write(folder, tokens.replaced(_numbered([*chosen, *_what_followed(case, chosen)])))
    case = replace(case, expected=tuple(plain(one) for one in run(case.asked).differences))
    content = {**asdict(case), "denied": [token.hex() for token in denied]}
    del content["folder"]
    (folder / CASE_NAME).write_text(json.dumps(content, indent=1) + "\n")
    return case


def load(folder: Path) -> Case:
    """A case that was saved. Raises ReplayError."""
    try:
        content = json.loads((folder / CASE_NAME).read_text())
        denied = tuple(bytes.fromhex(token) for token in content["denied"])
        return Case(folder, content["tps"], tuple(content["changes"]), denied, tuple(content["expected"]))
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise ReplayError(f"{folder} holds no golden case ({type(exc).__name__}): save it anew") from exc


def check(case: Case) -> list[str]:
    """In what a replay of it is not as expected, in words; nothing where it is."""
    found = [plain(one) for one in run(case.asked).differences]
    lacking = [f"expected and not found: {one}" for one in case.expected if one not in found]
    return [*lacking, *(f"found and not expected: {one}" for one in found if one not in case.expected)]


def plain(difference: Difference) -> Fields:
    """As JSON has it."""
    content = {**asdict(difference), "aspect": difference.aspect.value, "at": iso_micros(difference.at)}
    found: Fields = json.loads(json.dumps(content))
    return found


def _chosen(lines: Sequence[AnyLine], wanted: set[str]) -> list[AnyLine]:
    """The configuration, the taps, and what was sent and answered for them."""
    taps = [line for line in lines if isinstance(line, Tap)]
    named = [tap for tap in taps if not wanted or tap_name(tap.model_dump()) in wanted]
    if missing := wanted - {tap_name(tap.model_dump()) for tap in named}:
        raise ReplayError(f"no such tap in the log: {', '.join(sorted(missing))}; names are like VAL00042:3:17")
    cards = {tap.card.token for tap in named} - {None}
    named = [tap for tap in taps if tap in named or tap.card.token in cards]
    if not 0 < len(named) <= TAPS_MAX:
        raise ReplayError(f"that would be a case of {len(named)} taps, and {TAPS_MAX} are the most: name some by --tap")
    uuids = {tap.decided.uuid for tap in named if tap.decided is not None and tap.decided.uuid is not None}
    for line in lines:  # whatever follows one of theirs, in the order in which it was sent
        if isinstance(line, Sent) and line.request is not None and uuids & set(_texts(line.request.fields)):
            uuids.add(line.uuid)
    about = [line for line in lines if isinstance(line, Probed) or getattr(line, "uuid", None) in uuids]
    about += [line for line in lines if isinstance(line, Begin) and line.why == "reload"]
    orders = [line for line in lines if isinstance(line, Ordered)] if _whole(taps, named) else []
    begin = next(line for line in lines if isinstance(line, Begin))
    rest = sorted([*named, *about, *orders], key=lambda line: (line.at, line.n))
    last = [line for line in lines if isinstance(line, End)][-1:] if _whole(taps, named) else []
    return [begin, *rest, *last]


def _whole(taps: Sequence[Tap], named: Sequence[Tap]) -> bool:
    """Orders by hand name journeys by their number, which only the whole log has."""
    return len(taps) == len(named)


def _what_followed(case: Case, chosen: Sequence[AnyLine]) -> Iterator[AnyLine]:
    """The mails and ended journeys that these taps alone lead to, told of at the end."""
    last = chosen[-1]
    stamp = {"v": 1, "life": last.life, "n": last.n, "at": last.at, "wall": last.wall, "mono": last.mono}
    for difference in run(case.asked).differences:
        if difference.aspect is Aspect.JOURNEY:
            yield Attended.model_validate({**stamp, "event": "attended", "done": difference.now})
        elif difference.aspect is Aspect.MAIL:
            for subject, times in difference.now.items():
                for _ in range(times):
                    fields = {**stamp, "event": "mailed", "message_id": "<golden>", "subject": subject}
                    yield Mailed.model_validate({**fields, "created_at": last.at})


def _numbered(lines: Iterable[AnyLine]) -> Iterator[Fields]:
    """Of one life, one after another, without what says where they come from."""
    for number, line in enumerate((line for line in lines if not isinstance(line, Link)), start=1):
        fields = line.model_dump(exclude_defaults=True) | {"v": 1, "event": line.event, "life": _LIFE, "n": number}
        if isinstance(line, Begin):
            fields |= {"why": "reload" if line.why == "reload" else "start", "config": _bare(line.config)}
        if isinstance(line, Ordered):
            fields["who"] = "operator"
        if isinstance(line, Tap) and line.card.masked is not None:
            fields["card"] = {**fields["card"], "masked": _MASKED}
        yield fields


def _bare(config: Mapping[str, Any]) -> Fields:
    """What decides of a configuration. Whether there was a TTK does; which, not."""
    bare = {name: value for name, value in config.items() if name not in _PRIVATE}
    sfey = {**config.get("sfey", {}), "base_url": "https://tps.example"}
    for name in ("ca_file", "client_cert_file", "client_key_file", "afc_token_file", "registration_root_file"):
        sfey.pop(name, None)
    if sfey.get("afc_base_url"):
        sfey["afc_base_url"] = "https://afc.example"
    keys = config.get("keys", {})
    ttk = keys.get("ttk_file") or keys.get("exchange_key_file")
    lanes = [{**lane, "port": "/dev/golden"} for lane in config.get("lanes", ())]
    return {**bare, "sfey": sfey, "keys": {"ttk_file": "ttk"} if ttk else {}, "lanes": lanes}


class _Tokens:
    """Stand-ins for tokens and digests, by the order in which they come."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def of(self, token: str) -> str:
        """The same for the same."""
        low = token.lower()
        made = self._known.get(low)
        if made is None:
            made = f"a{hashlib.sha256(f'golden {len(self._known)}'.encode()).hexdigest()[1:]}"
            self._known[low] = made
        return made.upper() if token != low else made

    def replaced(self, lines: Iterable[Fields]) -> Iterator[str]:
        """Lines of JSON."""
        for line in lines:
            yield _TOKEN.sub(lambda found: self.of(found[0]), json.dumps(line, separators=(",", ":")))


def _write(folder: Path, lines: Iterable[str]) -> None:
    (folder / LOG_NAME).write_text("".join(f"{line}\n" for line in lines))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value
