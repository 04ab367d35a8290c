"""What a port's name means: a serial device's path, or ``socket://host:port``."""

from __future__ import annotations

from urllib.parse import urlsplit

from tpsd.link.network import NetworkPort
from tpsd.link.serial import SerialPort

NETWORK = "socket://"


def port_named(name: str, baud: int) -> SerialPort | NetworkPort:
    """The port, neither claimed nor opened; ``baud`` bits a second where it is serial. Raises ValueError."""
    if not name.startswith(NETWORK):
        return SerialPort(name, baud)
    parts = urlsplit(name)
    if parts.hostname is None or parts.port is None:
        raise ValueError(f"{name} names no host or no port")
    return NetworkPort(name, parts.hostname, parts.port)
