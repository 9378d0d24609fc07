"""One stream of a container's log: bytes out of a FIFO, by splice(2), into numbered files. This is the format.

A log directory belongs to one container. Each stream (`stdout`, `stderr`) is a row of segments `stdout.1.log`,
`stdout.2.log`, ...: raw bytes as the container wrote them, at most `max_bytes` each; the row goes on when the
directory is used again; only the newest `max_files` are kept. Beside each is `stdout.1.idx`: entries of two
little-endian 64-bit numbers, (offset, unix time in ns): the bytes from offset on arrived then. What both streams have
to tell has been told when the file `end` is there.

splice(2) takes bytes out of the pipe and puts them into the file within one system call, and a call is never cut in
half by a signal: after `kill -9` at any moment each byte is in the pipe or in the file, and the file's size is where
to go on. The FIFO outlives the supervisor because the container holds both its ends (which also spares it SIGPIPE).
An index entry is written before its bytes, so that a reader never gives bytes the time of the chunk before.
"""

import errno
import fcntl
import os
import struct
import termios
import time
from contextlib import suppress

from orchestr.runtime.seam import LogSpec
from orchestr.runtime.supervisor import loghold

STREAMS = ("stdout", "stderr")
END = "end"
ENTRY = struct.Struct("<QQ")  # offset, unix time in ns
_COALESCE = (
    1_000_000  # ns: chunks of one stream that arrive within it, with nothing of the other between, share an entry
)
_LOUD = 1 << 20  # bytes: a pipe that was found full is made this large
_FLAGS = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)


class LogBlocked(Exception):
    """The disk takes no more: the container blocks as soon as its pipe is full; try again later."""


class LogHeld(LogBlocked):
    """Who must read all of it is behind: try again soon."""


def segments(names: list[str], stream: str) -> list[int]:
    """Numbers of the segments among a directory's file names, oldest first."""
    head = f"{stream}."
    found = (name[len(head) : -4] for name in names if name.startswith(head) and name.endswith(".log"))
    return sorted(int(number) for number in found if number.isdecimal())


def path(directory: str, stream: str, number: int, suffix: str = "log") -> str:
    return f"{directory}/{stream}.{number}.{suffix}"


class Latest:
    """Which stream of a container had the last entry: keeps the order of interleaved lines."""

    __slots__ = ("stream",)

    def __init__(self) -> None:
        self.stream = ""


class Writer:
    """The copying end of one stream. `fifo` is non-blocking and owned by the writer."""

    __slots__ = (
        "_entries",
        "_entry_at",
        "_entry_time",
        "_index",
        "_latest",
        "_number",
        "_offset",
        "_raw",
        "_spec",
        "_wide",
        "fifo",
        "stream",
    )

    def __init__(self, spec: LogSpec, stream: str, fifo: int, latest: Latest) -> None:
        self.stream, self.fifo = stream, fifo
        self._spec, self._latest, self._wide = spec, latest, False
        self._entry_at, self._entry_time = -1, 0
        self._raw = self._index = -1  # opened with the first byte: most containers never use stderr

    def _open(self, number: int) -> None:
        directory = self._spec.directory
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        index = os.open(path(directory, self.stream, number, "idx"), flags, 0o640)
        try:
            raw = os.open(path(directory, self.stream, number), flags, 0o640)
        except OSError:
            os.close(index)
            raise
        self._close_files()
        self._raw, self._index, self._number = raw, index, number
        self._offset, self._entry_at = os.fstat(raw).st_size, -1
        self._entries = os.fstat(index).st_size // ENTRY.size

    def pump(self) -> int:
        """Moves what the pipe holds, at most one pipe full; bytes moved, 0 when it is empty. Raises LogBlocked."""
        try:
            if self._raw < 0:
                if not self._anything():
                    return 0
                self._open(max(segments(os.listdir(self._spec.directory), self.stream), default=1))
            if self._offset >= self._spec.max_bytes:
                self._rotate()
            self._stamp()
            moved = os.splice(
                self.fifo,
                self._raw,
                min(_LOUD, self._spec.max_bytes - self._offset),
                offset_dst=self._offset,
                flags=_FLAGS,
            )
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno not in _FULL:
                raise
            text = f"cannot write the log: {os.strerror(error.errno)}"
            raise LogBlocked(f"{text} (the container blocks until there is room in {self._spec.directory})") from error
        self._offset += moved
        if moved >= 1 << 16 and not self._wide:
            self._widen()
        return moved

    def _anything(self) -> bool:
        return fcntl.ioctl(self.fifo, termios.FIONREAD, bytes(4)) != bytes(4)

    def _stamp(self) -> None:
        """Notes that what comes at this offset came now."""
        now = time.time_ns()
        if self._entry_at == self._offset:
            self._entries -= 1  # nothing came after all: the entry is written again
        elif self._entry_at >= 0 and self._latest.stream == self.stream and 0 <= now - self._entry_time < _COALESCE:
            return
        if os.pwrite(self._index, ENTRY.pack(self._offset, now), self._entries * ENTRY.size) < ENTRY.size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._entries += 1
        self._entry_at, self._entry_time, self._latest.stream = self._offset, now, self.stream

    def _rotate(self) -> None:
        oldest = self._number + 1 - self._spec.max_files
        gone = [each for each in segments(os.listdir(self._spec.directory), self.stream) if each <= oldest]
        if gone and self._spec.hold and loghold.held(self._spec.directory, self.stream, gone[-1]):
            raise LogHeld("the log waits for its reader")
        self._open(self._number + 1)
        for number in gone:
            for suffix in ("idx", "log"):
                with suppress(FileNotFoundError):
                    os.unlink(path(self._spec.directory, self.stream, number, suffix))

    def _widen(self) -> None:
        self._wide = True
        try:
            fcntl.fcntl(self.fifo, fcntl.F_SETPIPE_SZ, _LOUD)
        except OSError:
            return  # over /proc/sys/fs/pipe-user-pages-soft, or smaller than what is in it: slower, no more

    def _close_files(self) -> None:
        for fd in (self._raw, self._index):
            if fd >= 0:
                os.close(fd)

    def close(self) -> None:
        self._close_files()
        os.close(self.fifo)
        self._raw = self._index = self.fifo = -1


def make_fifo(place: str) -> None:
    """Mode 0666 in a 0700 directory: a process with any id in the container may open /dev/stdout again."""
    os.mkfifo(place)
    os.chmod(place, 0o666)  # whatever the umask


def finish(directory: str) -> None:
    """Says that nothing more comes. Left out on a full disk: a follower then waits until the container is removed."""
    try:
        os.close(os.open(f"{directory}/{END}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640))
    except OSError as error:
        if error.errno not in (*_FULL, errno.ENOENT):
            raise
