"""Bugs that leave card data behind, or show it."""

from __future__ import annotations

from typing import Final

from tests.planted.bug import Bug

CARD_DATA: Final = (
    Bug(
        "what was deleted stays in the file",
        "tpsd/store/opening.py",
        '("secure_delete", "ON", 1)',
        '("secure_delete", "OFF", 0)',
        ("tests/power/test_erased.py",),
    ),
    Bug(
        "an epoch key's file is unlinked as it stands",
        "tpsd/store/epochs.py",
        "                _overwrite(path)\n                path.unlink()\n",
        "                path.unlink()\n",
        ("tests/power/test_found.py",),
    ),
    Bug(
        "an epoch's key stays on the shelf when its rows have gone",
        "tpsd/store/rotation.py",
        "        gone = [number for number in await self._at_shelf(self._keys.on_shelf) if number not in live]",
        "        gone = list[int]()",
        ("tests/store/test_sqlite_upkeep.py", "tests/store/test_contract_house.py"),
    ),
    Bug(
        "card data at rest stays beyond its days",
        "tpsd/store/housekeeping.py",
        "    for owner in owners:\n",
        "    for owner in owners[:0]:\n",
        ("tests/store/test_contract_house.py", "tests/store/test_contract_card_data.py"),
    ),
    Bug(
        "a body opens under another transaction's name",
        "tpsd/store/seal.py",
        '    return f"{purpose} {owner}"',
        "    return purpose",
        ("tests/unit/test_seal.py",),
    ),
    Bug(
        "a card number prints itself",
        "tpsd/domain/card.py",
        "        return self.masked\n",
        "        return self._value\n",
        ("tests/unit/test_card.py",),
    ),
)
