"""The tap log: what came in and went out, line by line and without card data (``schemas.taplog``), for replay.

Writing it never waits and never fails: a bounded queue, one thread, and lost lines that are counted.
"""

from tpsd.taplog.recorder import TapLog

__all__ = ["TapLog"]
