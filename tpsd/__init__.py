"""tpsd: the daemon between contactless card validators and Sfey's Transit Payment System."""

__version__ = "0.1.0"
