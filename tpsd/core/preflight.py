"""Whether a lane may open: what its files, its certificate, its mode and TPS's answer say against it.

A check is a function of facts that returns findings: what is wrong, where, and what to do. How grave one is stands
in ``TABLE``. Being offline closes no deferred lane: a vehicle that starts in a tunnel takes taps (design 2).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from tpsd.core.codes import SYSTEM_CODES
from tpsd.domain.identity import Identity, IdentityState
from tpsd.domain.outcome import CredentialRefused, Exchange
from tpsd.domain.preflight import CertificateFacts, Expected, FileFacts, TerminalSaid
from tpsd.domain.time import DAY, MINUTE, SECOND, Micros, iso_millis

EXPIRES_SOON_US: Final = 30 * DAY
"""Long enough to order a certificate and bring it to every vehicle."""

CLOCK_APART_US: Final = 2 * MINUTE
"""A ``Date`` is cut to the second and was some moments on its way; more than this dates fares wrongly."""

AGAIN_FIRST_SECONDS: Final = 5.0
AGAIN_LONGEST_SECONDS: Final = 60.0
"""A lane that failed is looked at again: whoever mends it stands beside it and should not wait longer than that."""

assert CLOCK_APART_US > 2 * SECOND  # what ``core.trust`` takes for agreement is no finding here


class Check(Enum):
    """What was looked at."""

    FILE = "file"
    FILE_OPEN = "file mode"
    FILE_OPEN_IN_TEST = "file mode in test"
    PAIR = "certificate and key"
    CHAIN = "certificate chain"
    NAME = "certificate name"
    VALID = "certificate dates"
    EXPIRES = "certificate expiry"
    MODE = "mode"
    REACHED = "TPS reached"
    TAKEN = "certificate taken"
    TERMINAL = "terminal"
    COMPANY = "company"
    LOCATION = "location"
    CLOCK = "clock"
    UNTOLD = "terminal's facts"
    IDENTITY = "registered identity"


class Gravity(Enum):
    """What a finding does."""

    CLOSES = "failed"  # the lane stays closed
    WARNS = "warning"  # it opens, and health says so
    NOTES = "note"  # it opens; only who asks is told


TABLE: Final[Mapping[Check, tuple[Gravity, Gravity]]] = {
    Check.FILE: (Gravity.CLOSES, Gravity.CLOSES),
    Check.FILE_OPEN: (Gravity.CLOSES, Gravity.CLOSES),
    Check.FILE_OPEN_IN_TEST: (Gravity.WARNS, Gravity.WARNS),
    Check.PAIR: (Gravity.CLOSES, Gravity.CLOSES),
    Check.CHAIN: (Gravity.CLOSES, Gravity.CLOSES),
    Check.NAME: (Gravity.CLOSES, Gravity.CLOSES),
    Check.VALID: (Gravity.CLOSES, Gravity.CLOSES),
    Check.EXPIRES: (Gravity.WARNS, Gravity.WARNS),
    Check.MODE: (Gravity.CLOSES, Gravity.CLOSES),
    Check.REACHED: (Gravity.NOTES, Gravity.CLOSES),
    Check.TAKEN: (Gravity.CLOSES, Gravity.CLOSES),
    Check.TERMINAL: (Gravity.CLOSES, Gravity.CLOSES),
    Check.COMPANY: (Gravity.CLOSES, Gravity.CLOSES),
    Check.LOCATION: (Gravity.CLOSES, Gravity.CLOSES),
    Check.CLOCK: (Gravity.WARNS, Gravity.CLOSES),
    Check.UNTOLD: (Gravity.NOTES, Gravity.NOTES),
    Check.IDENTITY: (Gravity.WARNS, Gravity.WARNS),
}
"""How grave each is for a deferred lane, and for a realtime one, whose verdict is TPS's answer."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: ``what`` says where too, ``remedy`` what to do."""

    check: Check
    what: str
    remedy: str

    def gravity(self, *, realtime: bool) -> Gravity:
        """What it does to a lane."""
        return TABLE[self.check][realtime]


def closing(findings: Iterable[Finding], *, realtime: bool) -> list[Finding]:
    """Those that keep the lane closed."""
    return [one for one in findings if one.gravity(realtime=realtime) is Gravity.CLOSES]


def reason(findings: Sequence[Finding]) -> str:
    """Why a lane is closed, on one line; ``findings`` are those that close it."""
    more = f" (and {len(findings) - 1} more: tpsd preflight)" if len(findings) > 1 else ""
    return f"preflight: {findings[0].what}{more}"


def was_heard(findings: Iterable[Finding]) -> bool:
    """Whether TPS gave an answer, whatever it was."""
    return all(one.check is not Check.REACHED for one in findings)


def again_seconds(failures: int) -> float:
    """To the next look after so many in vain: 5 s, doubling to 60 s."""
    return min(AGAIN_FIRST_SECONDS * 2.0 ** min(max(failures - 1, 0), 8), AGAIN_LONGEST_SECONDS)


# --- checks -------------------------------------------------------------------------------------------------------


def of_files(files: Iterable[FileFacts], *, production: bool) -> Iterator[Finding]:
    """Whether they can be read, and no key by others."""
    for file in files:
        if file.unread:
            yield Finding(
                Check.FILE,
                f"{file.setting}: {file.path} cannot be read ({file.unread})",
                "put the file there, readable for the daemon's user",
            )
        elif file.secret and file.exposed:
            yield Finding(
                Check.FILE_OPEN if production else Check.FILE_OPEN_IN_TEST,
                f"{file.setting}: {file.path} is open to other users",
                f"chmod 600 {file.path}",
            )


def of_certificate(seen: CertificateFacts, terminal: str | None, now: Micros | None) -> Iterator[Finding]:
    """Whether it is this terminal's and valid at ``now`` (the trusted wall time, None while nobody knows it)."""
    if seen.unfit:
        yield Finding(Check.PAIR, seen.unfit, "write certificate and key of the same terminal, both in PEM")
        return
    if seen.broken:
        yield Finding(
            Check.CHAIN, f"{seen.path}: {seen.broken}", "put the certificate first, then the one that signed it, and on"
        )
    if seen.own and terminal is not None and ":" in seen.common_name and seen.common_name != terminal:
        yield Finding(
            Check.NAME,
            f"{seen.path} is the certificate of {seen.common_name}, and the lane's terminal is {terminal}",
            "give the lane its own terminal's certificate, or correct terminal_type and terminal_sn",
        )
    if now is not None:
        yield from _of_dates(seen, now)


def _of_dates(seen: CertificateFacts, now: Micros) -> Iterator[Finding]:
    if now < seen.begins:
        yield Finding(
            Check.VALID, f"{seen.path} is not valid before {_day(seen.begins)}", "see whether the clock is right"
        )
    elif now > seen.ends:
        yield Finding(Check.VALID, f"{seen.path} has expired on {_day(seen.ends)}", "have Sfey issue a new one")
    elif seen.ends - now < EXPIRES_SOON_US:
        days = (seen.ends - now) // DAY
        yield Finding(
            Check.EXPIRES, f"{seen.path} expires on {_day(seen.ends)}, in {days} days", "have Sfey issue a new one now"
        )


def of_mode(expected: Expected, certificate: CertificateFacts | None) -> Iterator[Finding]:
    """Whether production speaks with production alone; the finding names everything that disagrees."""
    if not expected.production:
        return
    disagree = []
    if _is_of_test(expected.host):
        disagree.append(f"the host {expected.host}")
    if certificate is not None:
        names = (("subject", certificate.common_name), ("issuer", certificate.issuer))
        disagree += [f"the certificate's {what} {name!r}" for what, name in names if _is_of_test(name)]
    if disagree:
        yield Finding(
            Check.MODE,
            f"mode is production, and {' and '.join(disagree)} {'is' if len(disagree) == 1 else 'are'} a test's",
            'set mode = "test", or the host and the certificate of production',
        )
    if expected.clear:
        yield Finding(
            Check.MODE,
            "mode is production, and the lane's card data would go to TPS unencrypted (mode 00)",
            'set [keys] ttk_file, or tokens = "none" where the reader encrypts',
        )


def of_answer(said: TerminalSaid, expected: Expected) -> Iterator[Finding]:
    """Whether TPS knows the terminal as the configuration does."""
    code = said.system_code
    if code is not None and code in _BLAMED:
        check, remedy = _BLAMED[code]
        named = SYSTEM_CODES[code].name
        yield Finding(check, f"TPS says {code} {named} of terminal {expected.terminal}", remedy)
        return
    if said.http >= 500:
        yield _unreached(f"TPS answers HTTP {said.http}")
        return
    if not 200 <= said.http < 300:
        yield Finding(
            Check.UNTOLD,
            f"TPS answers HTTP {said.http} to the question about terminal {expected.terminal}",
            "correct [sfey.wire] terminal_path, which is our assumption; taps show what TPS thinks of it",
        )
        return
    if said.company_id not in (None, expected.company_id):
        yield Finding(
            Check.COMPANY,
            f"terminal {expected.terminal} belongs to company {said.company_id} at TPS, and operator.company_id is"
            f" {expected.company_id}",
            "correct operator.company_id, or have Sfey move the terminal",
        )
    if said.stock_location_id not in (None, expected.stock_location_id):
        yield Finding(
            Check.LOCATION,
            f"terminal {expected.terminal} is at location {said.stock_location_id} at TPS, and"
            f" operator.stock_location_id is {expected.stock_location_id}",
            "correct operator.stock_location_id, or have Sfey move the terminal",
        )
    untold = [
        what
        for what, told in (("its company", said.company_id), ("its location", said.stock_location_id))
        if told is None
    ]
    if untold:
        yield Finding(
            Check.UNTOLD,
            f"TPS knows terminal {expected.terminal} and does not say {' and '.join(untold)}",
            "nothing is to be done, unless [sfey.wire] terminal.… names the wrong places",
        )


def of_silence(exchange: Exchange) -> Iterator[Finding]:
    """What an exchange says that brought no answer about the terminal."""
    cause = getattr(exchange, "cause", "protocol")
    if not isinstance(exchange, CredentialRefused):
        yield _unreached(f"TPS gives no answer ({cause})")
    elif cause == "tls.own":
        yield Finding(
            Check.TAKEN,
            "the certificate is not in force",
            "once its files are good they are taken up within two minutes",
        )
    else:
        yield Finding(
            Check.TAKEN,
            f"TPS refuses the certificate ({cause})",
            "see that it belongs to this terminal, is registered at Sfey and not revoked",
        )


def of_clock(date: Micros | None, now: Micros | None) -> Iterator[Finding]:
    """Whether TPS's ``Date`` and the trusted wall time agree; None where one of them is not known."""
    if date is None or now is None or abs(date - now) <= CLOCK_APART_US:
        return
    apart = abs(date - now) // SECOND
    yield Finding(
        Check.CLOCK,
        f"the clock shows {iso_millis(now)[:19]}Z, and TPS says {iso_millis(date)[:19]}Z, {apart} s apart",
        "set the clock or mend its time service",
    )


def of_identity(kept: Identity | None, expected: Expected, now: Micros | None) -> Iterator[Finding]:
    """Whether what a registration gave is still this lane's; ``now`` as in ``of_certificate``."""
    if kept is None or kept.state is not IdentityState.ACTIVE:
        return
    again = f"tpsd terminal register {kept.lane} --anew"
    if expected.terminal not in (None, kept.terminal):
        yield Finding(
            Check.IDENTITY,
            f"the lane was registered as {kept.terminal}, and its terminal is {expected.terminal}",
            f"put that one back, or {again}",
        )
    if kept.company_id not in (None, expected.company_id):
        yield Finding(
            Check.IDENTITY,
            f"{kept.terminal} was registered for company {kept.company_id}, and operator.company_id is"
            f" {expected.company_id}",
            f"correct operator.company_id, or {again}",
        )
    if now is not None and kept.ends is not None and kept.ends - now < EXPIRES_SOON_US:
        yield Finding(Check.IDENTITY, f"the identity of {kept.terminal} ends on {_day(kept.ends)}", again)


def unasked() -> Finding:
    """TPS cannot be asked about a terminal that nobody knows."""
    return Finding(
        Check.UNTOLD,
        "the terminal is not known before its validator has spoken",
        "set terminal_type and terminal_sn, or ask again while the daemon runs",
    )


def _unreached(what: str) -> Finding:
    return Finding(Check.REACHED, what, "see the network, [sfey] base_url, ca_file and the certificate")


_BLAMED: Final[Mapping[int, tuple[Check, str]]] = {
    2: (Check.TERMINAL, "have Sfey set up the terminal for authorisation"),
    10: (Check.LOCATION, "correct operator.stock_location_id, or have Sfey move the terminal"),
    11: (Check.COMPANY, "correct operator.company_id"),
    22: (Check.TERMINAL, "have Sfey enter the terminal, or correct terminal_type and terminal_sn"),
    41: (Check.TERMINAL, "have Sfey enter the terminal, or correct terminal_sn"),
    42: (Check.TERMINAL, "have Sfey enter the terminal's type, or correct terminal_type"),
}
"""The system codes of sfey.md 4 that blame the terminal's own set-up."""

_TEST_WORDS: Final = frozenset({"test", "testing", "dev", "demo", "sandbox", "simulated", "staging", "uat", "qa"})
"""How people mark what is no production; Sfey's own names for its TEST environment are not public."""

_BETWEEN_WORDS: Final = re.compile(r"[^a-z0-9]+")


def _is_of_test(name: str) -> bool:
    return not _TEST_WORDS.isdisjoint(_BETWEEN_WORDS.split(name.lower()))


def _day(at: Micros) -> str:
    return iso_millis(at)[:10]
