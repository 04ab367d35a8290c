"""The exceptions tpsd raises for people to read: each names what is wrong, where, and what to do.

Refusals inside the pipeline are values (``tpsd.domain.outcome``), never these.
"""


class TpsdError(Exception):
    """Anything tpsd stops for; its text is shown to a person as it is and never holds card data."""


class ConfigError(TpsdError):
    """The configuration, or a file it names, cannot be used."""


class JournalError(TpsdError):
    """The journal cannot be opened or used; nothing was changed."""


class JournalUnavailableError(JournalError):
    """The journal could not commit (disk full, disk error): nothing was acknowledged, the validator keeps its tap."""


class SealError(TpsdError):
    """Sealed data could not be opened, or a key file is missing, damaged or wrapped by another key."""


class ShelfError(SealError):
    """The place of the epoch keys does not answer: they may be there all the same."""


class PortError(TpsdError):
    """A serial port or socket cannot be opened."""


class MailError(TpsdError):
    """A mail was not accepted by the SMTP server."""


class RefusedError(TpsdError):
    """What a person asked for may not be done; nothing was changed. The text says why, and what to do instead."""


class NotFoundError(TpsdError):
    """A tap, cause or journey that was asked for does not exist."""
