"""Under which configuration taps are replayed: the log's own or another, changed as asked, and made harmless.

Of a log's configuration everything counts that decides. What it names on its machine, keys, certificates, ports and
mail servers, is replaced: replay reads none of it, and reaches nobody.
"""

from __future__ import annotations

import copy
import secrets
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import ValidationError

from schemas.config import Configuration
from schemas.taplog import Begin
from tpsd.replay.past import Past
from tpsd.replay.reading import ReplayError

KEY_BYTES: Final = 32
_STANDS_IN_TTK: Final = "01 " + "00" * 16

Values = dict[str, Any]
TPS = Literal["recorded", "simulate"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be replayed, and how. ``denied``: card tokens (hex) that a deny list holds, whatever it did then."""

    paths: Sequence[Path]
    tps: TPS = "recorded"
    config: Path | None = None
    changes: Sequence[str] = ()
    denied: Sequence[bytes] = ()
    speed: float | None = None


class Configurations:
    """Those of a log as they are replayed. ``first`` is in force when it begins. Raises ReplayError where that cannot.

    Of several each change must fit one at least, since a lane may come with a reload; one given from outside counts
    throughout.
    """

    def __init__(self, asked: Asked, past: Past, folder: Path) -> None:
        self._given = None if asked.config is None else read_toml(asked.config)
        self._asked = asked
        self._folder = folder
        heads = {head.config_digest: head for _, head in reversed(past.configs)}.values()
        for change in asked.changes:
            why = [_why_not(self._values(head), change) for head in reversed(heads)]
            if all(why):
                raise ReplayError(why[0])
        self.first = self.of(past.configs[0][1])

    def of(self, head: Begin) -> Configuration:
        """What is in force from such a line on. Raises ReplayError."""
        values = self._values(head)
        fitting = [change for change in self._asked.changes if not _why_not(values, change)]
        return harmless(changed(values, fitting), self._folder)

    def _values(self, head: Begin) -> Mapping[str, Any]:
        return head.config if self._given is None else self._given


def _why_not(values: Mapping[str, Any], change: str) -> str:
    """Why a change does not fit these values; empty where it does."""
    try:
        changed(values, [change])
    except ReplayError as exc:
        return str(exc)
    return ""


def changed(values: Mapping[str, Any], changes: Sequence[str]) -> Values:
    """The configuration's values with ``lanes.front.fare=300`` and the like applied. Raises ReplayError."""
    found = copy.deepcopy(dict(values))
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals or not key.strip():
            raise ReplayError(f"--set {change!r} is no KEY=VALUE, as in lanes.front.fare=300")
        _put(found, key.strip(), _value(text.strip()), change)
    return found


def harmless(values: Mapping[str, Any], folder: Path) -> Configuration:
    """A configuration that reads keys in ``folder`` and names nothing else of any machine. Raises ReplayError."""
    given = copy.deepcopy(dict(values))
    keys, sfey = given.setdefault("keys", {}), given.setdefault("sfey", {})
    (folder / "journal").mkdir(mode=0o700, exist_ok=True)
    kek = _key(folder / "kek.hex", secrets.token_hex(KEY_BYTES))
    encrypts = keys.get("ttk_file") or keys.get("exchange_key_file")  # one of its own, or those that TPS gives
    ttk = _key(folder / "ttk", _STANDS_IN_TTK) if encrypts else None
    keys |= {"kek_file": str(kek), "epoch_dir": str(folder / "epochs"), "token_key_file": None}
    keys["exchange_key_file"] = None
    keys["ttk_file"] = None if ttk is None else str(ttk)
    sfey |= {"base_url": _unsecured(sfey.get("base_url", "")), "ca_file": None, "afc_token_file": None}
    sfey["registration_root_file"] = None
    store = {**given.get("store", {}), "url": f"sqlite://{folder}/journal/journal.db", "password_file": None}
    given["store"] = store  # on a file, wherever the log's was: both engines keep one contract
    given["email"] = {"smtp_url": "smtp://nobody.invalid", "sender": "replay@nobody.invalid"}
    given["email"]["recipients"] = ["replay@nobody.invalid"]
    given["admin"] = {"socket": str(folder / "tpsd.sock")}
    given["feed"] = {"enabled": False}
    given["taplog"] = {}
    lanes = given.get("lanes", [])
    for number, lane in enumerate(lanes if isinstance(lanes, list) else ()):
        if isinstance(lane, dict):
            port = folder / f"port-{lane.get('name', number)}"
            lane |= {"port": str(port), "protocol": "vl1", "country": None}
    try:
        return Configuration.model_validate(given, context={"folder": folder})
    except ValidationError as exc:
        raise ReplayError(_words(exc)) from exc


def read_toml(path: Path) -> Values:
    """A configuration file's values; what they name is not looked at. Raises ReplayError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ReplayError(f"{path} cannot be read ({exc.strerror}): name a configuration file") from exc
    except ValueError as exc:
        raise ReplayError(f"{path} is no TOML: {exc}") from exc


def _key(path: Path, text: str) -> Path:
    """The same for each configuration of a log, since they are of one journal."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(text)
    return path


def _unsecured(url: str) -> str:
    """The same host without TLS: no certificate is read, and nobody is called."""
    return urlunsplit(urlsplit(url)._replace(scheme="http"))


def _value(text: str) -> Any:
    """As TOML has it; what is none is a text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _put(values: Values, key: str, value: Any, change: str) -> None:
    node: Any = values
    *parents, last = key.split(".")
    for number, part in enumerate(parents):
        if isinstance(node, list):
            node = _element(node, part, change)
        elif isinstance(node, dict):
            node = node.setdefault(part, [] if part == "lanes" and number == 0 else {})
        else:
            raise ReplayError(f"--set {change}: {part} is in nothing that has settings")
    if isinstance(node, list):
        raise ReplayError(f"--set {change}: name one of them, as in lanes.front.fare=300")
    if not isinstance(node, dict):
        raise ReplayError(f"--set {change}: {last} is in nothing that has settings")
    node[last] = value


def _element(elements: list[Any], name: str, change: str) -> Any:
    """A lane by its name, anything else by its number from 0."""
    for element in elements:
        if isinstance(element, dict) and element.get("name") == name:
            return element
    if name.isdecimal() and int(name) < len(elements):
        return elements[int(name)]
    known = ", ".join(str(one.get("name")) for one in elements if isinstance(one, dict)) or "none"
    raise ReplayError(f"--set {change}: there is no {name}; known are {known}")


def _words(exc: ValidationError) -> str:
    errors = exc.errors(include_url=False, include_input=False)
    told = [f"{'.'.join(str(part) for part in error['loc'])}: {error['msg']}" for error in errors[:5]]
    return f"the configuration is wrong: {'; '.join(told)}"
