"""A lane looked at before it opens: its files and its certificate, and what TPS says. Rules are in ``core.preflight``.

Everything is read anew at each look, so that what a person mended counts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from schemas.config import Configuration
from schemas.config import Lane as LaneSection
from tpsd.config import exposed, key_files, uses_fed_keys
from tpsd.core import preflight as core
from tpsd.core.preflight import Finding
from tpsd.credentials import pair_of, speaks_tls
from tpsd.domain.identity import Identity
from tpsd.domain.outcome import Exchange
from tpsd.domain.preflight import CertificateFacts, Expected, FileFacts, TerminalSaid
from tpsd.domain.time import Micros
from tpsd.lanes import credential_of
from tpsd.ports import Timepiece
from tpsd.sfey.pairs import read_pair
from tpsd.sfey.updates import Terminal

AskTerminal = Callable[[Terminal], Awaitable[TerminalSaid | Exchange]]
"""One harmless GET: what TPS knows of a terminal."""


class Preflight:
    """Looks at the lanes of ``config`` as it is at each call; ``identity`` is what a lane's registration gave."""

    def __init__(
        self,
        config: Callable[[], Configuration],
        ask: AskTerminal,
        clock: Timepiece,
        identity: Callable[[str], Identity | None] = lambda _lane: None,
    ) -> None:
        self._config = config
        self._ask = ask
        self._clock = clock
        self._identity = identity

    def at_rest(self, name: str, terminal: str | None) -> list[Finding]:
        """What this machine alone shows; reads files. ``terminal``: ``TYPE:SERIAL``, None while nobody knows it."""
        config = self._config()
        section = _section(config, name)
        if section is None:
            return []
        now = self._now()
        expected = expected_of(config, section, terminal)
        return [*at_rest(config, section, terminal, now), *core.of_identity(self._identity(name), expected, now)]

    async def asked(self, name: str, terminal: str) -> list[Finding]:
        """What TPS says of the terminal; network trouble is a finding too."""
        config = self._config()
        section = _section(config, name)
        if section is None:
            return []
        type_name, _, serial = terminal.partition(":")
        said = await self._ask(Terminal(serial, type_name, credential_of(section)))
        if not isinstance(said, TerminalSaid):
            return list(core.of_silence(said))
        expected = expected_of(config, section, terminal)
        return [*core.of_answer(said, expected), *core.of_clock(said.date, self._now())]

    def _now(self) -> Micros | None:
        return self._clock.wall() if self._clock.trusted else None


def at_rest(config: Configuration, section: LaneSection, terminal: str | None, now: Micros | None) -> list[Finding]:
    """What files, certificate and mode say of a lane; ``now`` as in ``core.of_certificate``."""
    found = list(core.of_files(_files(config, section), production=config.mode == "production"))
    certificate = None
    if not any(one.check is core.Check.FILE for one in found):
        certificate = _certificate(config, section)
    if certificate is not None:
        found += core.of_certificate(certificate, terminal, now)
    return found + list(core.of_mode(expected_of(config, section, terminal), certificate))


def key_findings(config: Configuration) -> list[Finding]:
    """Of the key files that all lanes share; a daemon that runs has read them."""
    files = {f"keys.{name}": path for name, path in key_files(config).items()}
    if config.sfey.afc_token_file is not None:
        files["sfey.afc_token_file"] = config.sfey.afc_token_file
    facts = (_file(setting, path, secret=True) for setting, path in files.items())
    return list(core.of_files(facts, production=config.mode == "production"))


def expected_of(config: Configuration, section: LaneSection, terminal: str | None) -> Expected:
    """What the configuration says of a lane whose terminal is ``terminal``."""
    return Expected(
        production=config.mode == "production",
        host=urlsplit(config.sfey.base_url).hostname or "",
        company_id=config.operator.company_id,
        stock_location_id=config.operator.stock_location_id,
        terminal=terminal,
        clear=section.tokens == "ours" and config.keys.ttk_file is None and not uses_fed_keys(config),
    )


def _section(config: Configuration, name: str) -> LaneSection | None:
    return next((lane for lane in config.lanes if lane.name == name), None)


def _files(config: Configuration, section: LaneSection) -> Iterator[FileFacts]:
    if not speaks_tls(config):
        return
    own = section.client_cert_file is not None
    where = f"lanes.{section.name}" if own else "sfey"
    certificate, key = pair_of(config, section)
    if config.sfey.ca_file is not None:
        yield _file("sfey.ca_file", config.sfey.ca_file)
    if certificate is not None:
        yield _file(f"{where}.client_cert_file", certificate)
    if key is not None:
        yield _file(f"{where}.client_key_file", key, secret=True)


def _file(setting: str, path: Path, *, secret: bool = False) -> FileFacts:
    unread = ""
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as exc:
        unread = exc.strerror or type(exc).__name__
    return FileFacts(setting, str(path), unread, secret, exposed(path))


def _certificate(config: Configuration, section: LaneSection) -> CertificateFacts | None:
    certificate, key = pair_of(config, section)
    if not speaks_tls(config) or certificate is None or key is None:
        return None
    return read_pair(certificate, key, config.sfey.ca_file, own=section.client_cert_file is not None)
