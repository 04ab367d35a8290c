"""What the process gives up so that card data in its memory stays there (design 5): no core, no debugger, no umask."""

from __future__ import annotations

import ctypes
import os
import resource

_PR_SET_DUMPABLE = 4  # prctl(2)


def harden() -> None:
    """No core file is written, other processes of the user cannot attach, new files are private."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    os.umask(0o077)
