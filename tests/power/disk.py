"""A disk in memory whose power can go: what was synced stays, and about everything else luck decides.

The contract, for whoever builds a simulated world on it:

- Nothing here knows SQLite, keys, threads or time. The same calls and the same seeds give the same bytes.
- Programs see what they wrote at once. On the disk it is only after ``sync`` (a file's content and size) and
  ``sync_folder`` (which names a folder holds); a file may be synced and yet have no name after a cut.
- ``after_power_cut(luck)`` is the disk that a machine finds when it comes back: of each sector written and not
  synced, one of its contents since the last sync, or a part of one, or garbage, over the *whole* sector, so that
  synced bytes beside the written ones can go too; un-synced sizes, names and folders likewise.
- ``after_kill()`` is the disk that the next process of the same boot finds: everything that was written, with what
  was not synced still at risk. Both leave the disk they are asked of as it was.
- ``watch`` is called before every operation and may answer with a fault. Operations fail with OSError, as a kernel's
  do; a failed sync loses, by luck, some of what it should have written, and the next sync knows nothing of it.
- ``capacity`` bytes fit on it, where it is set; a write beyond them is short, and the next one raises ENOSPC.
- ``honest = False`` is a disk that says "synced" and did nothing.
- ``raw()`` is every byte a thief would find, what has no name any more included, for a while.

The journal runs on it with ``vfs = DiskVfs("…")``, ``vfs.disk = disk``, a ``KeyFolder(DiskPath(disk, "/…"))`` within
``keys_on_disks()``, and ``SqliteJournal.open(path, …, inline=True, vfs=vfs.name)``; ``tests.power.life`` does so.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Iterator
from random import Random

from tests.power.files import SMALL, Fault, File, Folder, Node, Op, Watch, parent
from tests.power.luck import Fates, Write

FREED_MAX = 256  # pieces of what has no name any more, the latest: their sectors are used again


class Disk:
    """See the module. Paths are absolute and of plain names; "/" is always there."""

    def __init__(self, sector: int = SMALL, seed: int = 0, *, honest: bool = True) -> None:
        self.sector = sector
        self.honest = honest
        self.capacity: int | None = None
        self.watch: Watch | None = None
        self._luck = Random(seed)
        self._seen: dict[str, Node] = {"/": Folder()}
        self._kept: dict[str, Node] = dict(self._seen)
        self._renamed: dict[str, list[Node | None]] = {}  # what a name has stood for since its folder was synced
        self._freed: deque[tuple[str, bytes]] = deque(maxlen=FREED_MAX)

    # --- names ---

    def exists(self, path: str) -> bool:
        """Whether anything has this name."""
        self._turn(Op.LOOK, path)
        return path in self._seen

    def is_folder(self, path: str) -> bool:
        """Whether a folder has this name."""
        self._turn(Op.LOOK, path)
        return isinstance(self._seen.get(path), Folder)

    def names(self, folder: str) -> list[str]:
        """The paths in a folder, sorted."""
        self._turn(Op.LOOK, folder)
        self._folder(folder)
        return sorted(path for path in self._seen if path != "/" and parent(path) == folder)

    def open(self, path: str) -> File:
        """An existing file."""
        self._turn(Op.LOOK, path)
        node = self._seen.get(path)
        if not isinstance(node, File):
            raise _error(errno.EISDIR if node else errno.ENOENT, path)
        return node

    def create(self, path: str) -> File:
        """A new and empty file; raises EEXIST for a name that is taken."""
        file = File(path)
        self._add(Op.CREATE, path, file)
        return file

    def make_folder(self, path: str) -> None:
        """A new folder."""
        self._add(Op.MAKE_FOLDER, path, Folder())

    def unlink(self, path: str) -> None:
        """Take a file's name away."""
        self._turn(Op.UNLINK, path)
        if not isinstance(self._seen.get(path), File):
            raise _error(errno.ENOENT, path)
        self._name(path, None)

    def sync_folder(self, path: str) -> None:
        """The names in this folder are on the disk when it returns."""
        self._turn(Op.SYNC_FOLDER, path)
        self._folder(path)
        if self.honest:
            for name in [name for name in self._renamed if parent(name) == path]:
                self._settle(name, self._seen.get(name))

    # --- contents ---

    def read(self, file: File, amount: int, offset: int) -> bytes:
        """Up to ``amount`` bytes."""
        self._turn(Op.READ, file.path)
        return bytes(file.now[offset : offset + amount])

    def write(self, file: File, data: bytes, offset: int) -> int:
        """How many bytes were taken, from the first on: fewer than all where there was no room for more."""
        if self._turn(Op.WRITE, file.path):
            data = data[: len(data) // 2]
        if offset + len(data) > len(file.now) and self.capacity is not None:
            room = self.capacity - self.used + len(file.now) - offset
            if room <= 0:
                raise _error(errno.ENOSPC, file.path)
            data = data[:room]
        self._put(file, data, offset)
        return len(data)

    def truncate(self, file: File, size: int) -> None:
        """Make it shorter; making it longer is writing's business."""
        self._turn(Op.TRUNCATE, file.path)
        if size < len(file.now):
            del file.now[size:]
            file.dirty.append(size)

    def sync(self, file: File) -> None:
        """What was written is on the disk when it returns."""
        try:
            self._turn(Op.SYNC, file.path)
        except OSError:
            self._half_sync(file)
            raise
        if self.honest:
            self._flush(file)

    @property
    def used(self) -> int:
        """Bytes in files that have a name."""
        return sum(len(node.now) for node in self._seen.values() if isinstance(node, File))

    def fill(self, left: int = 0) -> None:
        """Somebody else's file takes all but ``left`` bytes."""
        self.capacity = self.used + left

    # --- what is left of it ---

    def after_power_cut(self, luck: Random | None = None) -> Disk:
        """The disk as the next boot finds it; without luck there is nothing on it that was not synced."""
        fates = Fates(luck, self.sector)
        after = self._same()
        nodes: dict[int, Node] = {}
        for path in sorted({*self._kept, *self._renamed}):
            node = fates.one_of([self._kept.get(path), *self._renamed.get(path, [])])
            if node is not None and (path == "/" or isinstance(after._seen.get(parent(path)), Folder)):
                after._seen[path] = nodes[id(node)] = self._survivor(node, path, fates)
        after._kept = dict(after._seen)
        after._freed += [
            (node.path, bytes(node.durable)) for node in self._files() if id(node) not in nodes and node.durable
        ]
        return after

    def after_kill(self) -> Disk:
        """The disk as the next process finds it."""
        after = self._same()
        twins: dict[int, Node] = {}

        def twin(node: Node) -> Node:
            return twins.setdefault(id(node), node.copy() if isinstance(node, File) else node)

        after._seen = {path: twin(node) for path, node in self._seen.items()}
        after._kept = {path: twin(node) for path, node in self._kept.items()}
        after._renamed = {
            path: [None if node is None else twin(node) for node in nodes] for path, nodes in self._renamed.items()
        }
        return after

    def raw(self) -> Iterator[tuple[str, bytes]]:
        """Everything on the disk's sectors, by the name it has or had."""
        yield from ((file.path, bytes(file.durable)) for file in self._files())
        yield from self._freed

    # --- within ---

    def _turn(self, op: Op, path: str) -> bool:
        """Whether a write falls short; raises what else the watch wants."""
        fault = self.watch(op, path) if self.watch is not None else None
        if fault is None:
            return False
        if fault is Fault.SHORT and op is Op.WRITE:
            return True
        raise _error(errno.EIO if fault is Fault.SHORT else fault.value, path)

    def _add(self, op: Op, path: str, node: Node) -> None:
        self._turn(op, path)
        self._folder(parent(path))
        if path in self._seen:
            raise _error(errno.EEXIST, path)
        self._name(path, node)

    def _folder(self, path: str) -> None:
        if not isinstance(self._seen.get(path), Folder):
            raise _error(errno.ENOENT, path)

    def _name(self, path: str, node: Node | None) -> None:
        if node is None:
            del self._seen[path]
        else:
            self._seen[path] = node
        self._renamed.setdefault(path, []).append(node)

    def _settle(self, path: str, node: Node | None) -> None:
        gone = {id(one): one for one in (self._kept.pop(path, None), *self._renamed.pop(path)) if one is not node}
        self._freed += [(path, bytes(one.durable)) for one in gone.values() if isinstance(one, File) and one.durable]
        if node is not None:
            self._kept[path] = node

    def _put(self, file: File, data: bytes, offset: int) -> None:
        now, size = file.now, self.sector
        if offset > len(now):
            now.extend(bytes(offset - len(now)))
        end = offset + len(data)
        now[offset:end] = data
        start = offset - offset % size
        file.dirty.append(Write(start, bytes(now[start : end + -end % size]), offset - start, end - start))

    def _flush(self, file: File) -> None:
        shortest = min((one for one in file.dirty if isinstance(one, int)), default=len(file.durable))
        if shortest < len(file.durable):
            self._freed.append((file.path, bytes(file.durable[shortest:])))
            del file.durable[shortest:]
        file.durable.extend(bytes(len(file.now) - len(file.durable)))
        for one in file.dirty:
            if isinstance(one, Write):
                end = min(one.start + len(one.image), len(file.now))
                file.durable[one.start : end] = file.now[one.start : end]
        file.dirty.clear()

    def _half_sync(self, file: File) -> None:
        """The kernel forgets that the sectors of a failed sync were ever written, and reads them from its memory."""
        file.dirty = [one for one in file.dirty if isinstance(one, int) or self._luck.random() < 0.5]

    def _survivor(self, node: Node, path: str, fates: Fates) -> Node:
        if isinstance(node, Folder):
            return node
        content = fates.content(node.durable, node.dirty, len(node.now))
        return File(path, content, bytearray(content))

    def _same(self) -> Disk:
        after = Disk(self.sector, honest=self.honest)
        after._luck.setstate(self._luck.getstate())
        after.capacity = self.capacity
        after._freed = self._freed.copy()
        return after

    def _files(self) -> list[File]:
        named = [*self._seen.values(), *self._kept.values()]
        found = [*named, *(node for nodes in self._renamed.values() for node in nodes)]
        return list({id(node): node for node in found if isinstance(node, File)}.values())


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)
