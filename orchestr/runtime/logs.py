"""Reading a container's log directory; the format and its writer are in supervisor/logfile.py.

`read` gives what is there now, `follow` goes on until the container has ended and everything was read. Both merge
stdout and stderr by time, at the grain of the writer's chunks. A line carries the time of the chunk that its first byte
came in. A piece without newline is `partial`: the end of a log, or a part of a line longer than LONGEST; the pieces
put together are the bytes that the container wrote. When rotation removes files faster than they are read, the lines
in them are skipped.
"""

import heapq
import os
from collections import deque
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import NamedTuple

import trio

from orchestr.runtime.inotify import watch
from orchestr.runtime.supervisor.logfile import END, ENTRY, STREAMS, path, segments

LONGEST = 256 << 10  # bytes of one piece
_BLOCK = 256 << 10  # bytes read at a time
_BATCH = 10_000  # lines per turn of a follower


class Line(NamedTuple):
    time_ns: int  # unix time
    stream: str  # "stdout" or "stderr"
    data: bytes  # without its newline
    partial: bool = False  # no newline follows


class _Position(NamedTuple):
    segment: int
    offset: int


class _Cursor:
    """One stream, read forwards. Keeps the open segment: rotation does not take it away."""

    def __init__(self, directory: str, stream: str) -> None:
        self._directory, self._stream = directory, stream
        self._segment = 0
        self._raw = self._index = -1
        self._offset = 0
        self._entries: deque[tuple[int, int]] = deque()  # not used up yet: (offset, time)
        self._time = 0
        self._pending = b""
        self._pending_time = 0

    def seek(self, position: _Position) -> None:
        if self._open(position.segment):
            self._offset = position.offset

    def _open(self, segment: int) -> bool:
        try:
            raw = os.open(path(self._directory, self._stream, segment), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        self.close()
        self._raw, self._segment, self._offset = raw, segment, 0
        self._entries.clear()
        try:
            self._index = os.open(path(self._directory, self._stream, segment, "idx"), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self._index = -1  # rotated away just now: its lines get the last time known
        return True

    def lines(self) -> Iterator[Line]:
        """Whole lines up to the present end. What has no newline yet is kept back."""
        while True:
            if self._raw >= 0 and (block := os.pread(self._raw, _BLOCK, self._offset)):
                yield from self._split(block)
            elif not self._more():
                return

    def _more(self) -> bool:
        """Whether there is something to read beyond what looked like the end of this segment."""
        newer = [number for number in _numbers(self._directory, self._stream) if number > self._segment]
        if newer and self._raw >= 0 and os.pread(self._raw, 1, self._offset):
            return True  # written between the look at the end and the look at the directory
        return any(self._open(number) for number in newer)

    def _split(self, block: bytes) -> Iterator[Line]:
        self._read_index()
        at = self._offset
        self._offset += len(block)
        *whole, rest = block.split(b"\n")
        for data in whole:
            time_ns = self._at(at)
            at += len(data) + 1
            if self._pending:
                data, time_ns, self._pending = self._pending + data, self._pending_time, b""
            yield Line(time_ns, self._stream, data)
        if rest:
            if not self._pending:
                self._pending_time = self._at(at)
            self._pending += rest
        if len(self._pending) >= LONGEST:
            yield from self.rest()

    def rest(self) -> Iterator[Line]:
        """What has no newline, as a partial line."""
        if self._pending:
            yield Line(self._pending_time, self._stream, self._pending, partial=True)
            self._pending = b""

    def _read_index(self) -> None:
        """New entries: they are written before the bytes they are for."""
        while self._index >= 0 and (data := os.read(self._index, ENTRY.size * 4096)):
            whole = len(data) - len(data) % ENTRY.size
            self._entries.extend(ENTRY.iter_unpack(data[:whole]))
            if whole < len(data):
                os.lseek(self._index, whole - len(data), os.SEEK_CUR)
                return

    def _at(self, offset: int) -> int:
        while self._entries and self._entries[0][0] <= offset:
            self._time = self._entries.popleft()[1]
        return self._time

    def close(self) -> None:
        for fd in (self._raw, self._index):
            if fd >= 0:
                os.close(fd)
        self._raw = self._index = -1


def _numbers(directory: str, stream: str) -> list[int]:
    """Segments, oldest first; none when the directory is gone."""
    try:
        return segments(os.listdir(directory), stream)
    except FileNotFoundError:
        return []


class _Reader:
    """The chosen streams of one directory."""

    def __init__(self, directory: str, tail: int | None, since_ns: int | None, stream: str | None) -> None:
        self._directory = directory
        self._since = since_ns or 0
        self._merged: Iterator[Line] | None = None
        self.cursors = []
        for name in STREAMS if stream is None else (stream,):
            cursor = _Cursor(directory, name)
            self.cursors.append(cursor)
            if tail is not None:
                cursor.seek(_before_end(directory, name, tail))
            elif since_ns:
                cursor.seek(_since(directory, name, since_ns))

    def now(self, *, rest: bool) -> Iterator[Line]:
        """To the present end; with `rest` also what has no newline."""
        streams = [self._stream(cursor, rest) for cursor in self.cursors]
        merged = streams[0] if len(streams) == 1 else heapq.merge(*streams, key=lambda line: line.time_ns)
        return (line for line in merged if line.time_ns >= self._since) if self._since else merged

    def _stream(self, cursor: _Cursor, rest: bool) -> Iterator[Line]:
        yield from cursor.lines()
        if rest:
            yield from cursor.rest()

    def batch(self) -> list[Line]:
        """The next lines; empty when there are none at present."""
        fresh = self._merged is None
        self._merged = self._merged or self.now(rest=False)
        lines = list(islice(self._merged, _BATCH))
        if len(lines) < _BATCH:
            self._merged = None
        return lines if lines or fresh else self.batch()

    def ended(self) -> bool:
        return os.path.exists(f"{self._directory}/{END}") or not os.path.isdir(self._directory)

    def close(self) -> None:
        for cursor in self.cursors:
            cursor.close()


def _before_end(directory: str, stream: str, lines: int) -> _Position:
    """Where the last `lines` lines of a stream begin (a last line without newline counts)."""
    newlines = -1  # the one that ends the last line does not begin one
    for segment in reversed(_numbers(directory, stream)):
        with open(path(directory, stream, segment), "rb") as file:
            end = file.seek(0, os.SEEK_END)
            if newlines == -1 and end:
                newlines = 0 if os.pread(file.fileno(), 1, end - 1) != b"\n" else -1
            while end:
                start = max(end - _BLOCK, 0)
                block = os.pread(file.fileno(), end - start, start)
                count = block.count(b"\n")
                if newlines + count >= lines:
                    return _Position(segment, start + _nth_last(block, lines - newlines) + 1)
                newlines, end = newlines + count, start
    return _Position(next(iter(_numbers(directory, stream)), 0), 0)


def _nth_last(block: bytes, n: int) -> int:
    at = len(block)
    for _ in range(n):
        at = block.rindex(b"\n", 0, at)
    return at


def _since(directory: str, stream: str, since_ns: int) -> _Position:
    """The last segment that began before; its first lines are then passed over one by one."""
    numbers = _numbers(directory, stream)
    chosen = numbers[0] if numbers else 0
    for number in numbers:
        with open(path(directory, stream, number, "idx"), "rb") as file:
            first = file.read(ENTRY.size)
        if len(first) == ENTRY.size and ENTRY.unpack(first)[1] > since_ns:
            break
        chosen = number
    return _Position(chosen, 0)


def read(
    directory: str, *, tail: int | None = None, since_ns: int | None = None, stream: str | None = None
) -> Iterator[Line]:
    """What is there now, oldest first; the last `tail` lines of it, those that came at `since_ns` or later.

    FileNotFoundError when the directory is not there.
    """
    os.stat(directory)
    reader = _Reader(directory, tail, since_ns, stream)
    try:
        lines = reader.now(rest=True)
        yield from lines if tail is None else deque(lines, maxlen=tail)
    finally:
        reader.close()


async def follow(
    directory: str, *, tail: int | None = None, since_ns: int | None = None, stream: str | None = None
) -> AsyncIterator[Line]:
    """Like `read`, and then what comes, across rotation, until the container has ended or its directory is removed.

    Use with contextlib.aclosing when it may be left before its end: it holds descriptors.
    """
    with watch(directory) as changes:  # before the first look: nothing can slip between
        reader = await trio.to_thread.run_sync(_Reader, directory, tail, since_ns, stream)
        try:
            if tail is not None:
                for line in deque(reader.now(rest=False), maxlen=tail):
                    yield line
            while True:
                ended = reader.ended()  # first this, then the rest: nothing comes after the mark
                lines = await trio.to_thread.run_sync(reader.batch)
                for line in lines:
                    yield line
                if lines:
                    continue
                if ended:
                    break
                await changes.wait()
            for line in reader.now(rest=True):
                yield line
        finally:
            reader.close()
