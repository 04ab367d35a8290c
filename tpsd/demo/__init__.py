"""The demonstration: TPS, validators, a reader and a mail server around the real daemon, on loopback, in half a minute.

``run`` plays it and judges it by the simulators' own ledgers. Printing is the command line's business.
"""

from tpsd.demo.play import DemoResult, run

__all__ = ["DemoResult", "run"]
