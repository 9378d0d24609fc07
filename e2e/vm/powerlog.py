"""The log of a disk's writes that QEMU's blklogwrites keeps, in the format of Linux's dm-log-writes.

A super block, then for each write an entry and its data, each at a multiple of the sector size. QEMU brings the
number of entries in the super block up to date when a flush completes: it says where the last flush was.
https://docs.kernel.org/admin-guide/device-mapper/log-writes.html
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

SECTOR: Final = 512  # bytes
MAGIC: Final = 0x6A736677736872
SUPER, ENTRY = struct.Struct("<QQQI"), struct.Struct("<QQQQ")
FLUSH, DISCARD = 1, 4


class Entry(NamedTuple):
    sector: int
    sectors: int
    flags: int
    place: int  # of the data in the log, bytes


def entries(log: BinaryIO) -> Iterator[Entry]:
    """Those up to the last completed flush. ValueError when it is no such log."""
    magic, version, count, sector = SUPER.unpack(log.read(SUPER.size))
    if (magic, version, sector) != (MAGIC, 1, SECTOR):
        raise ValueError(f"not a log of writes: magic {magic:#x}, version {version}, sector size {sector}")
    place = SECTOR
    for _ in range(count):
        log.seek(place)
        at, sectors, flags, _length = ENTRY.unpack(log.read(ENTRY.size))
        if not sectors and not flags:
            return  # counted already when the power went, and not written any more
        place += SECTOR
        yield Entry(at, sectors, flags, place)
        if not flags & DISCARD:
            place += sectors * SECTOR


def replay(log: Path, disk: Path) -> int:
    """Writes onto `disk`, as it was when the log began, what was safe at the last flush. How many writes that were."""
    written = 0
    with open(log, "rb") as source, open(disk, "r+b") as target:
        for entry in entries(source):
            if entry.flags & DISCARD:
                data = bytes(entry.sectors * SECTOR)
            else:
                data = os.pread(source.fileno(), entry.sectors * SECTOR, entry.place)
            os.pwrite(target.fileno(), data, entry.sector * SECTOR)
            written += 1
    return written
