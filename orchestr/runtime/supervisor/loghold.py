"""A log of which nothing may be lost: rotation waits for its reader, and with a full pipe so does the container.

The file `stdout.hold` beside the segments of a stream says so. It is made with the log; whoever reads all of it holds a
lock on it and keeps the number of the segment that he is in written there; with him it goes. When nobody has come
within PATIENCE, or he is gone without a word (the lock is free, the file is old), it means nothing any more.
"""

import fcntl
import os
import time
from contextlib import suppress

PATIENCE = 60.0  # seconds


def make(directory: str, stream: str) -> None:
    os.close(os.open(_path(directory, stream), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640))


def _path(directory: str, stream: str) -> str:
    return f"{directory}/{stream}.hold"


def held(directory: str, stream: str, segment: int) -> bool:
    """Whether this segment is still to be read."""
    try:
        fd = os.open(_path(directory, stream), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        if segment < int(os.read(fd, 20) or b"0"):
            return False
        if 0 <= time.time() - os.fstat(fd).st_mtime < PATIENCE:
            return True
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


class Reading:
    """The reader's side of one stream. Does nothing where no log is held."""

    def __init__(self, directory: str, stream: str) -> None:
        self._path, self._fd = _path(directory, stream), -1
        with suppress(FileNotFoundError):
            self._fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
            fcntl.flock(self._fd, fcntl.LOCK_SH)

    def at(self, segment: int) -> None:
        """All before this one was read."""
        if self._fd >= 0:
            os.pwrite(self._fd, b"%020d" % segment, 0)

    def end(self) -> None:
        if self._fd >= 0:
            with suppress(FileNotFoundError):
                os.unlink(self._path)
            os.close(self._fd)
            self._fd = -1
