"""What a container without a terminal reads: a FIFO in its run directory that clients open by name to write to it.

"open"  the container holds both ends itself: it never reads an end, whoever comes and goes
"once"  it holds the reading end; the supervisor (and its client) hold a writer until the end is told, then the
        name goes, so that nobody opens it again
"""

import os
from contextlib import suppress


class Stdin:
    __slots__ = ("_reader", "writer")

    def __init__(self) -> None:
        self.writer = self._reader = -1

    def make(self, directory: str, *, once: bool) -> None:
        place = f"{directory}/stdin"
        os.mkfifo(place)
        os.chmod(place, 0o666)  # a process with any id in the container may open /dev/stdin again
        flags = os.O_RDONLY if once else os.O_RDWR
        self._reader = os.open(place, flags | os.O_NONBLOCK | os.O_CLOEXEC)  # else it waits for a writer
        os.set_blocking(self._reader, True)
        if once:
            self.reopen(directory)

    def take(self) -> int:
        """The container's descriptor; now the caller's."""
        reader, self._reader = self._reader, -1
        return reader

    def reopen(self, directory: str) -> None:
        """The writer, unless the end has been told or nobody reads."""
        with suppress(OSError):
            self.writer = os.open(f"{directory}/stdin", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def end(self, directory: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(f"{directory}/stdin")
        self.close()

    def close(self) -> None:
        for fd in (self.writer, self._reader):
            if fd >= 0:
                os.close(fd)
        self.writer = self._reader = -1
