"""What a disk is asked and answers, and what it keeps: operations, faults, files and folders."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from tests.power.luck import Write

SMALL, LARGE = 512, 4096
"""The sector sizes, in bytes, of disks that are sold."""


class Op(Enum):
    """What a program may ask of a disk."""

    LOOK = "look"
    READ = "read"
    CREATE = "create"
    WRITE = "write"
    TRUNCATE = "truncate"
    SYNC = "sync"
    UNLINK = "unlink"
    MAKE_FOLDER = "make folder"
    SYNC_FOLDER = "sync folder"


LOOKING = frozenset({Op.LOOK, Op.READ})
"""What leaves the disk as it is: a cut there is the cut at the operation before."""


class Fault(Enum):
    """What a watch may answer."""

    EIO = errno.EIO
    ENOSPC = errno.ENOSPC
    SHORT = -1  # a write takes the first half of its bytes and says so; elsewhere it is EIO


Watch = Callable[[Op, str], Fault | None]


@dataclass(eq=False, slots=True)
class File:
    """An open file. ``now``: what programs read; ``durable``: what is on the disk; ``dirty``: what is between."""

    path: str
    now: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    dirty: list[Write | int] = field(default_factory=list)  # what was written, and sizes it was truncated to

    def copy(self) -> File:
        """Another file that is the same."""
        return File(self.path, bytearray(self.now), bytearray(self.durable), list(self.dirty))


class Folder:
    """A folder has nothing but its names."""


Node = File | Folder


def parent(path: str) -> str:
    """The folder a path is in."""
    return path.rpartition("/")[0] or "/"
