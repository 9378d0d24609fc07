"""A process that exchanges two names of a directory as fast as it can: what a hostile neighbour of a launch would do.

    with swapping(shared / "data", shared / "trap") as racer:
        for _ in range(50): launch()
    assert racer.swaps > 1000   # it did race

As a program: `racing.py A B`. It exchanges until its stdin ends, and prints how often it did.
"""

import ctypes
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_AT_FDCWD, _EXCHANGE = -100, 2


class Racer:
    swaps = 0  # known once the race is over


@contextmanager
def swapping(one: Path, other: Path) -> Iterator[Racer]:
    """Both must exist. Whichever way they were left, they are back in place at the end."""
    first, racer = os.lstat(one).st_ino, Racer()
    process = subprocess.Popen(
        [sys.executable, "-I", __file__, str(one), str(other)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"racing\n"
        yield racer
    finally:
        out, _ = process.communicate()  # closes its stdin
        racer.swaps = int(out)
        if os.lstat(one).st_ino != first:
            _exchange(one, other)


def _exchange(one: Path, other: Path) -> None:
    rename = ctypes.CDLL(None, use_errno=True).renameat2
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE):
        raise OSError(ctypes.get_errno(), "renameat2")


def main(one: str, other: str) -> None:
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    rename, names = ctypes.CDLL(None).renameat2, (os.fsencode(one), os.fsencode(other))
    print("racing", flush=True)
    count = 0
    while not over.is_set():
        for _ in range(100):
            count += not rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _EXCHANGE)
    print(count)


if __name__ == "__main__":
    main(*sys.argv[1:])
