"""What people do to a journal that no daemon has open; like ``tpsd.app``, it names the concrete parts."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from schemas.config import Configuration
from tpsd import config as settings
from tpsd.config.keys import read_hex_key
from tpsd.domain.audit import AuditDraft
from tpsd.domain.upkeep import Finding, Restored
from tpsd.errors import RefusedError
from tpsd.store import checking, restoring
from tpsd.store.epochs import KeyFolder
from tpsd.store.restoring import Keyring
from tpsd.store.seal import KEY_BYTES
from tpsd.store.viewing import JournalView


async def check_journal(config: Configuration) -> list[Finding]:
    """Everything that is wrong with the journal of this configuration; it is not changed. Raises JournalError."""
    keys = _epochs(config.keys.epoch_dir)
    view = JournalView(settings.store_path(config))
    try:
        return await view.read(lambda connection: checking.examine(connection, keys))
    finally:
        view.close()


def restore_journal(config: Configuration, source: Path, by: AuditDraft, *, force: bool = False) -> Restored:
    """Put a backup in the place of this configuration's journal. Raises TpsdError; then nothing was changed."""
    keys, private = config.keys, config.mode == "production"
    kek = read_hex_key(keys.kek_file, KEY_BYTES, "the key-encryption key", private=private)
    if not keys.epoch_dir.is_dir():
        raise RefusedError(
            f"{keys.epoch_dir} is not there, and without the epoch keys no card data of the backup can be opened: "
            "put the folder back, or make an empty one to go on without"
        )
    return restoring.restore(
        source, settings.store_path(config), Keyring(kek, KeyFolder(keys.epoch_dir)), by, force=force
    )


def _epochs(folder: Path) -> Collection[int]:
    return KeyFolder(folder).numbers() if folder.is_dir() else ()
