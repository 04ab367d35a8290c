"""Sealing of card data (design 5): each body under its own key, that key under the key of its epoch.

AES-256-GCM throughout (NIST SP 800-38D, 96-bit random nonces; each data key seals once, each epoch key wraps about
a day of taps, far below the 2^32 bound for random nonces). PCI DSS 3.3.2 and 3.5.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tpsd.errors import SealError

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
WRAPPED_BYTES = NONCE_BYTES + KEY_BYTES + TAG_BYTES

Entropy = Callable[[int], bytes]
"""Where keys and nonces come from: ``os.urandom``, or a seeded source in a simulated world."""


POOL_BYTES = 4096  # about 30 sealed parts: a tap needs six small draws, and each system call costs as much as a seal


class Pool:
    """Entropy drawn in blocks; every byte is given out once. Not for a process that forks."""

    def __init__(self, source: Entropy = os.urandom) -> None:
        self._source = source
        self._block = b""
        self._at = 0
        self._lock = threading.Lock()

    def __call__(self, size: int) -> bytes:
        """``size`` fresh bytes."""
        with self._lock:
            if self._at + size > len(self._block):
                self._block, self._at = self._source(max(size, POOL_BYTES)), 0
            drawn = self._block[self._at : self._at + size]
            self._at += size
            return drawn


@dataclass(frozen=True, slots=True)
class Sealed:
    """What the journal keeps: useless without the epoch's key."""

    epoch: int
    wrapped_key: bytes = field(repr=False)
    nonce: bytes = field(repr=False)
    data: bytes = field(repr=False)


def wrap(key: bytes, secret: bytes, label: str, entropy: Entropy = os.urandom) -> bytes:
    """``secret`` under ``key``, bound to ``label``: nonce and ciphertext in one."""
    nonce = entropy(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, secret, label.encode())


def unwrap(key: bytes, wrapped: bytes, label: str) -> bytes:
    """The inverse of ``wrap``. Raises SealError if the key or the label is another, or a bit was changed."""
    try:
        return AESGCM(key).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], label.encode())
    except (InvalidTag, ValueError) as exc:
        raise SealError(f"{label} does not open: another key wrapped it, or it is damaged") from exc


def seal(epoch: int, epoch_key: bytes, owner: str, purpose: str, plain: bytes, entropy: Entropy = os.urandom) -> Sealed:
    """Seal ``plain`` under a key of its own; owner and purpose are authenticated with it."""
    key, nonce = entropy(KEY_BYTES), entropy(NONCE_BYTES)
    label = _label(owner, purpose)
    return Sealed(epoch, wrap(epoch_key, key, label, entropy), nonce, AESGCM(key).encrypt(nonce, plain, label.encode()))


def unseal(epoch_key: bytes, owner: str, purpose: str, sealed: Sealed) -> bytes:
    """The plaintext. Raises SealError."""
    label = _label(owner, purpose)
    key = unwrap(epoch_key, sealed.wrapped_key, label)
    try:
        return AESGCM(key).decrypt(sealed.nonce, sealed.data, label.encode())
    except (InvalidTag, ValueError) as exc:
        raise SealError(f"{label} does not open: it is damaged") from exc


def rewrap(old_key: bytes, new_key: bytes, owner: str, purpose: str, wrapped_key: bytes, entropy: Entropy) -> bytes:
    """The data key of one row, wrapped anew under another epoch's key; the data itself is not touched."""
    label = _label(owner, purpose)
    return wrap(new_key, unwrap(old_key, wrapped_key, label), label, entropy)


def keyed_digest(key: bytes, content: bytes) -> bytes:
    """HMAC-SHA256, 32 bytes: a plain digest would let anyone test card numbers (PCI DSS 3.5.1.1)."""
    return hmac.digest(key, content, hashlib.sha256)


def _label(owner: str, purpose: str) -> str:
    return f"{purpose} {owner}"
