"""Which files of a tree are opened, whoever does it: inotify(7) on all its directories. O_PATH does not count."""

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_IN_OPEN, _IN_ISDIR = 0x20, 0x40000000


@contextmanager
def opened(tree: Path) -> Iterator[set[str]]:
    """Names relative to the tree; complete once the block is left. Directories do not count."""
    libc, names = ctypes.CDLL(None, use_errno=True), set[str]()
    fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    watches = {}
    try:
        for directory, _, _ in os.walk(tree):
            watch = libc.inotify_add_watch(fd, os.fsencode(directory), _IN_OPEN)
            assert watch > 0, os.strerror(ctypes.get_errno())
            watches[watch] = os.path.relpath(directory, tree)
        yield names
        names.update(_names(fd, watches))
    finally:
        os.close(fd)


def _names(fd: int, watches: dict[int, str]) -> Iterator[str]:
    while True:
        try:
            data = os.read(fd, 1 << 20)
        except BlockingIOError:
            return
        while data:
            watch, mask, _, length = struct.unpack_from("iIII", data)
            name = data[16 : 16 + length].rstrip(b"\0").decode()
            data = data[16 + length :]
            if not mask & _IN_ISDIR and name:
                yield os.path.normpath(f"{watches[watch]}/{name}")
