"""What one exchange with TPS came to, before (Exchange) and after (Outcome) the table of sfey.md 4 is applied."""

from __future__ import annotations

from dataclasses import dataclass

# --- what was seen on the wire ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """A readable or unreadable HTTP answer, reduced to what decides; never its text (design 5).

    ``readable`` is False when the body was not the JSON object the contract promises. ``retry_after`` in seconds.
    """

    http: int
    approved: bool | None = None
    action_code: str | None = None
    system_code: int | None = None
    amount: int | None = None
    retry_after: int | None = None
    readable: bool = True


@dataclass(frozen=True, slots=True)
class NoConnection:
    """No connection was made, so no byte of the request left. ``cause``: ``connect``, ``dns``, ``tls.server`` …"""

    cause: str


@dataclass(frozen=True, slots=True)
class CredentialRefused:
    """TPS's TLS layer sent an alert against our certificate. ``cause``: ``tls.client``."""

    cause: str


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Bytes may have left and nothing readable came back. ``cause``: ``timeout``, ``closed``, ``crash`` …"""

    cause: str


Exchange = Answer | NoConnection | CredentialRefused | NoAnswer


# --- what it means ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcome:
    """The common part: ``cause`` is the short code kept on rows and shown in mails (``action.116``, ``http.503``).

    ``clean``: money cannot have moved in this attempt (design 2). ``loud``: TPS contradicted its own contract.
    ``http``: the status of the answer behind it, None when there was none.
    """

    cause: str
    clean: bool
    loud: bool = False
    http: int | None = None


@dataclass(frozen=True, slots=True)
class Approved(Outcome):
    """Charged or held. ``amount`` in minor units where TPS said one (a partial approval, 002)."""

    amount: int | None = None


@dataclass(frozen=True, slots=True)
class Declined(Outcome):
    """The issuer said no; final. ``wants_pin`` for the soft decline."""

    wants_pin: bool = False


@dataclass(frozen=True, slots=True)
class TapRefused(Outcome):
    """TPS blames this transaction; final."""


@dataclass(frozen=True, slots=True)
class TerminalRefused(Outcome):
    """TPS, or something before it, blames the terminal or its set-up. ``judged``: TPS's application itself said so."""

    judged: bool = False


@dataclass(frozen=True, slots=True)
class TryAgain(Outcome):
    """Resend on the next rung, not before ``retry_after`` seconds."""

    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class NotSent(Outcome):
    """No byte left."""


@dataclass(frozen=True, slots=True)
class Unknown(Outcome):
    """Money may have moved and nobody said so: only the same bytes under the same UUID may follow."""
