"""What a container writes from now on, byte by byte: for who looks at it live. The format is in supervisor/logfile.py.

The log is read, not the pipe: any number may look at once, and a slow one holds up neither the container nor another.
When rotation removes files faster than they are read, the bytes in them are skipped; but of a log that is held nothing
is removed before who reads the `whole` of it has (supervisor/loghold.py).
"""

import os
from collections.abc import AsyncIterator

import trio

from orchestr.runtime.inotify import watch
from orchestr.runtime.supervisor import loghold
from orchestr.runtime.supervisor.logfile import END, path, segments

_BLOCK = 64 << 10  # bytes of one piece
_LINE = 4096  # bytes of a line without its newline that are worth seeing again


class _Bytes:
    """One stream, from its beginning or its end. Keeps the open segment: rotation does not take it away."""

    def __init__(self, directory: str, stream: str, *, whole: bool, line: bool) -> None:
        self._directory, self._stream = directory, stream
        self._fd, self._segment, self._offset = -1, 0, 0
        self._hold = loghold.Reading(directory, stream) if whole else None
        numbers = [] if whole else self._numbers()
        if numbers and self._open(numbers[-1]):
            self._offset = os.fstat(self._fd).st_size
            self._offset -= self._unended() if line else 0

    def _unended(self) -> int:
        """Bytes behind the last newline: a prompt, in a terminal."""
        start = max(self._offset - _LINE, 0)
        block = os.pread(self._fd, self._offset - start, start)
        return len(block) - 1 - block.rfind(b"\n")

    def _numbers(self) -> list[int]:
        try:
            return segments(os.listdir(self._directory), self._stream)
        except FileNotFoundError:
            return []

    def _open(self, segment: int) -> bool:
        try:
            fd = os.open(path(self._directory, self._stream, segment), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        self._close()
        self._fd, self._segment, self._offset = fd, segment, 0
        if self._hold:
            self._hold.at(segment)
        return True

    def next(self) -> bytes:
        """What comes next; b"" when there is nothing at present."""
        while True:
            if data := self._read():
                return data
            newer = [number for number in self._numbers() if number > self._segment]
            if data := self._read():  # written between the look at the end and the look at the directory
                return data
            if not any(self._open(number) for number in newer):
                return b""

    def _read(self) -> bytes:
        data = os.pread(self._fd, _BLOCK, self._offset) if self._fd >= 0 else b""
        self._offset += len(data)
        return data

    def ended(self) -> bool:
        return os.path.exists(f"{self._directory}/{END}") or not os.path.isdir(self._directory)

    def close(self) -> None:
        self._close()
        if self._hold:
            self._hold.end()

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


async def tail(directory: str, stream: str, *, whole: bool = False, line: bool = False) -> AsyncIterator[bytes]:
    """Pieces of `stdout` or `stderr` until the container has ended or its directory is removed.

    `whole`: from the beginning; `line`: also what was written since the last newline. Use with contextlib.aclosing.
    OSError when the directory is not there.
    """
    with watch(directory) as changes:  # before the first look: nothing can slip between
        reader = _Bytes(directory, stream, whole=whole, line=line)
        try:
            while True:
                ended = reader.ended()
                if data := reader.next():
                    yield data
                elif ended:  # looked at first: nothing comes after the mark
                    return
                else:
                    await changes.wait()
                await trio.lowlevel.checkpoint()
        finally:
            reader.close()
