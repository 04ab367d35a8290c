"""How much work and memory something takes: counted where it can be, in processor time where it cannot.

Processor time is this thread's own, so that a busy machine does not lengthen it; what is compared are sizes far apart.
"""

from __future__ import annotations

import gc
import sys
import time
import tracemalloc
from collections.abc import Callable
from types import FrameType
from typing import Any

ROUNDS = 3


def steps(call: Callable[[], object]) -> int:
    """Lines of Python that run; what runs in C counts as the line that calls it."""
    counted = 0

    def trace(_frame: FrameType, event: str, _given: Any) -> Any:
        nonlocal counted
        counted += event == "line"
        return trace

    before = sys.gettrace()
    gc.disable()  # or the ends of what others left behind count as well
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
        gc.enable()
    return counted


def seconds(call: Callable[[], object]) -> float:
    """Processor time, the least of some rounds, without what the collector of garbage takes when it likes."""
    found = []
    gc.disable()
    try:
        for _ in range(ROUNDS):
            began = time.thread_time()
            call()
            found.append(time.thread_time() - began)
    finally:
        gc.enable()
    return min(found)


def peak_bytes(call: Callable[[], object]) -> int:
    """The most memory that Python's allocator held at once for it, beyond what was there before."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        call()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak - before
