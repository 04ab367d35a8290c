"""The request of a tap that was taken before the time was known: made once, when it is (design 4 and 7)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from tpsd.core.intake import Setting
from tpsd.core.notices import cause_key
from tpsd.core.operations import Refusal
from tpsd.core.rebuilding import KeptTap, request_of
from tpsd.domain.notice import NoticeDraft, NoticeKind

CAUSE: Final = "seal"
"""The cause of a row whose request cannot be made: as at a claim, what is kept of its card does not open."""


@dataclass(frozen=True, slots=True)
class Bodiless:
    """A row that waits for its body. ``terminal`` is ``type:serial``; ``kept`` None: its card data does not open."""

    uuid: str
    terminal: str
    kept: KeptTap | None


@dataclass(frozen=True, slots=True)
class Body:
    """What every send of a row will carry."""

    uuid: str
    path: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a row gets no body, for its notices."""

    uuid: str
    words: str

    @property
    def notices(self) -> tuple[NoticeDraft, ...]:
        """A failed tap is told of like any other, and an engineer should look at it."""
        kinds = (NoticeKind.PERMANENTLY_FAILED, NoticeKind.ALARM)
        return tuple(NoticeDraft(kind, cause_key(kind, CAUSE), self.words) for kind in kinds)


def complete(waiting: Bodiless, setting: Setting) -> Body | Failure:
    """The body under the row's own UUID, for the terminal it was taken for, with the tap's corrected time."""
    if waiting.kept is None:
        return Failure(waiting.uuid, "its sealed card data did not open, so its request cannot be made")
    terminal_type, _, terminal_sn = waiting.terminal.partition(":")
    made = request_of(waiting.kept, terminal_sn, terminal_type, setting, UUID(waiting.uuid))
    if isinstance(made, Refusal):
        return Failure(waiting.uuid, made.words)
    return Body(waiting.uuid, made.path, made.body)
