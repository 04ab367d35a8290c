"""Epoch keys as files: made before the first body under them commits, destroyed after the last row has gone.

The folder is never the journal's own and holds nothing else; each file is a key wrapped by the key-encryption key,
with a check behind it that says whether the file is whole.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from tpsd.errors import SealError
from tpsd.store.seal import KEY_BYTES, WRAPPED_BYTES, Entropy, unwrap, wrap

_FILE = re.compile(r"^epoch-(\d{8})\.key$")
CHECK_BYTES = 4
_FILE_MODE = 0o600
_FOLDER_MODE = 0o700


class KeyShelf(Protocol):
    """Where wrapped epoch keys stand: a folder, a table, or a test's simulated disk."""

    @property
    def shared(self) -> bool:
        """Whether other daemons put keys there too."""

    def put(self, number: int, wrapped: bytes) -> None:
        """Durable when it returns. Raises SealError if that number exists."""

    def get(self, number: int) -> bytes:
        """Raises SealError if it is missing."""

    def destroy(self, number: int) -> None:
        """Gone, durably, when it returns; a missing one is no error."""

    def numbers(self) -> list[int]:
        """All that stand there, ascending."""


class KeyFolder:
    """The shelf as a folder of mode 0700 with one file an epoch."""

    shared = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            _make(folder)
        except OSError as exc:
            raise SealError(f"epoch folder {folder}: {exc.strerror}; tpsd must be able to make and write it") from exc

    def put(self, number: int, wrapped: bytes) -> None:
        """Write the key's file with O_EXCL, then sync file and folder."""
        path = self._path(number)
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _FILE_MODE)
        except FileExistsError as exc:
            raise SealError(f"{path} exists already: epoch numbers are never used twice") from exc
        except OSError as exc:
            raise SealError(f"{path}: {exc.strerror}") from exc
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(wrapped)
                file.flush()
                os.fsync(file.fileno())
            self._sync_folder()
        except OSError as exc:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            raise SealError(f"{path} cannot be written: {exc.strerror}") from exc

    def get(self, number: int) -> bytes:
        """The wrapped key."""
        try:
            return self._path(number).read_bytes()
        except OSError as exc:
            raise SealError(f"epoch key {self._path(number)} cannot be read: {exc.strerror}") from exc

    def destroy(self, number: int) -> None:
        """Overwrite, sync, unlink, sync the folder. What raw flash still holds is wrapped by the key-encryption key."""
        path = self._path(number)
        try:
            with suppress(FileNotFoundError):
                _overwrite(path)
                path.unlink()
            self._sync_folder()
        except OSError as exc:
            raise SealError(f"{path} cannot be destroyed: {exc.strerror}") from exc

    def numbers(self) -> list[int]:
        """The epochs that have a file."""
        try:
            return sorted(int(found[1]) for entry in self._folder.iterdir() if (found := _FILE.match(entry.name)))
        except OSError as exc:
            raise SealError(f"epoch folder {self._folder} cannot be read: {exc.strerror}") from exc

    def _path(self, number: int) -> Path:
        return self._folder / f"epoch-{number:08d}.key"

    def _sync_folder(self) -> None:
        sync_names(self._folder)


def _make(folder: Path) -> None:
    """A folder whose own name is durable too: keys in one that a power cut takes away would be lost with it."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    for made in missing or [folder]:  # it may have been made by a process that was killed before it came this far
        with suppress(PermissionError):  # who may not even look into its parent did not make it
            sync_names(made.parent)


def sync_names(folder: Path) -> None:
    """What was made and removed in a folder is so on the disk when this returns. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _overwrite(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        left = os.fstat(descriptor).st_size
        while left:
            left -= os.write(descriptor, bytes(left))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class EpochKeys:
    """The live epochs' keys in memory, opened from a shelf with the key-encryption key."""

    def __init__(self, shelf: KeyShelf, kek: bytes, journal_id: str, entropy: Entropy = os.urandom) -> None:
        self._shelf = shelf
        self._kek = kek
        self._journal_id = journal_id
        self._entropy = entropy
        self._keys: dict[int, bytes] = {}
        self.current = 0

    @property
    def shared(self) -> bool:
        """Whether the shelf is in a database, where other daemons put keys too."""
        return self._shelf.shared

    def make(self, number: int) -> None:
        """A new key, durable on the shelf when this returns; the caller then commits the epoch's row."""
        key = self._entropy(KEY_BYTES)
        wrapped = wrap(self._kek, key, self._label(number), self._entropy)
        self._shelf.put(number, wrapped + _check(wrapped))
        self._keys[number] = key

    def open(self, number: int) -> None:
        """Load one key. Raises SealError if it is missing or the key-encryption key is another."""
        self._keys[number] = unwrap(self._kek, self._shelf.get(number)[:WRAPPED_BYTES], self._label(number))

    def key(self, number: int) -> bytes:
        """The key of a live epoch. Raises SealError for any other."""
        if self.lacks(number):
            self.open(number)  # another daemon began it
        try:
            return self._keys[number]
        except KeyError:
            raise SealError(f"epoch {number} is not open: its key was destroyed or never loaded") from None

    def lacks(self, number: int) -> bool:
        """Whether the key must come from the shelf first."""
        return self.shared and number not in self._keys

    def destroy(self, number: int) -> None:
        """Forget the key here and on the shelf. Only after a commit that found none of its rows left.

        Raises SealError for the current epoch's key and for one that another journal made.
        """
        if number == self.current:
            raise SealError(f"epoch {number} is the current one and cannot be destroyed")
        if number not in self._keys and number in self._shelf.numbers():
            stored = self._shelf.get(number)
            if _is_whole(stored):
                unwrap(self._kek, stored[:WRAPPED_BYTES], self._label(number))
        self._keys.pop(number, None)
        self._shelf.destroy(number)

    def keep(self, numbers: Collection[int]) -> None:
        """Forget the other keys here: who keeps the house has destroyed them on the shelf."""
        for number in set(self._keys) - set(numbers):  # one that another thread puts in meanwhile stays
            self._keys.pop(number, None)

    def on_shelf(self) -> list[int]:
        """All numbers that have a key on the shelf."""
        return self._shelf.numbers()

    def _label(self, number: int) -> str:
        return f"epoch {number} of journal {self._journal_id}"


def _is_whole(stored: bytes) -> bool:
    """Not what a crash leaves of a key being made or being destroyed: a part of it, zeros, garbage."""
    wrapped = stored[:WRAPPED_BYTES]
    return len(wrapped) == WRAPPED_BYTES and stored[WRAPPED_BYTES:] == _check(wrapped)


def _check(wrapped: bytes) -> bytes:
    """What tells a whole file from a torn one without the key, which may be another journal's."""
    return zlib.crc32(wrapped).to_bytes(CHECK_BYTES, "big")
