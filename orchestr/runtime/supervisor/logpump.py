"""A container's log while the supervisor holds it: FIFOs, their writers, and the console in front of them."""

import os
import select
from collections.abc import Callable
from contextlib import suppress

from orchestr.runtime.seam import LogSpec
from orchestr.runtime.supervisor import logfile, loghold
from orchestr.runtime.supervisor.loop import Loop

_RETRY = 1.0  # seconds between two tries while the disk is full
SOON = 0.01  # while a reader is behind
_CONSOLE = 1 << 16  # bytes taken from a terminal at a time


class LogPump:
    """Copies until `drain`. `say` gets "" or why the log is held up, each time that changes."""

    __slots__ = (
        "_blocked", "_console", "_directory", "_latest", "_loop", "_say", "_spec", "_told", "_writers", "behind",
    )  # fmt: skip

    def __init__(self, loop: Loop, spec: LogSpec, directory: str, say: Callable[[str], None]) -> None:
        """Opens the FIFOs in `directory`, the container's run directory; makes the missing ones."""
        self._loop, self._spec, self._directory, self._say = loop, spec, directory, say
        self._blocked, self._console, self._latest = False, -1, logfile.Latest()
        self._told = ""  # what was said last
        self.behind = False  # whether it is a reader that it waits for
        self._writers: list[logfile.Writer] = []
        os.makedirs(spec.directory, mode=0o750, exist_ok=True)
        with suppress(FileNotFoundError):
            os.unlink(f"{spec.directory}/{logfile.END}")
        for stream in logfile.STREAMS:
            place = f"{directory}/{stream}"
            if not os.path.exists(place):
                logfile.make_fifo(place)
            fifo = os.open(place, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            self._writers.append(logfile.Writer(spec, stream, fifo, self._latest))
            if spec.hold:
                loghold.make(spec.directory, stream)

    def ends(self) -> tuple[int, int]:
        """New blocking descriptors for the container's stdout and stderr; the caller closes them."""
        flags = os.O_RDWR | os.O_CLOEXEC  # both ends, so that the pipe lives as long as the container
        return (
            os.open(f"{self._directory}/{logfile.STREAMS[0]}", flags),
            os.open(f"{self._directory}/{logfile.STREAMS[1]}", flags),
        )

    @property
    def fifos(self) -> tuple[int, ...]:
        return tuple(writer.fifo for writer in self._writers)

    def watch(self) -> None:
        """Starts copying."""
        for writer in self._writers:
            self._loop.add(writer.fifo, select.EPOLLIN, lambda _events, writer=writer: self._readable(writer))  # type: ignore[misc]

    def watch_console(self, console: int) -> None:
        """Copies from the master of the container's terminal too; it stays the caller's."""
        os.set_blocking(console, False)
        self._console = console
        self._loop.add(console, select.EPOLLIN, self._typed)

    def _readable(self, writer: logfile.Writer) -> None:
        try:
            writer.pump()
        except logfile.LogBlocked as blocked:
            self._hold(blocked)

    def _typed(self, _events: int) -> None:
        self._take()
        self._readable(self._writers[0])

    def _take(self) -> bool:
        """Terminal to FIFO, again by splice(2): nothing is lost on the way when the supervisor is killed."""
        try:
            os.splice(self._console, self._writers[0].fifo, _CONSOLE, flags=os.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            return False
        except OSError:  # EIO: nobody holds the slave any more
            self._loop.remove(self._console)
            self._console = -1
            return False
        return True

    def _watched(self) -> list[int]:
        return [fd for fd in (*self.fifos, self._console) if fd >= 0]

    def _hold(self, why: logfile.LogBlocked) -> None:
        """Leaves everything in the pipes for a while."""
        if self._blocked:
            return
        self._blocked = True
        for fd in self._watched():
            self._loop.modify(fd, 0)
        self._later(why)

    def _later(self, why: logfile.LogBlocked) -> None:
        self.behind = isinstance(why, logfile.LogHeld)
        self._tell("" if self.behind else str(why))
        self._loop.later(SOON if self.behind else _RETRY, self._retry)

    def _tell(self, why: str) -> None:
        if why != self._told:
            self._told = why
            self._say(why)

    def _retry(self) -> None:
        if not self._writers:
            return
        try:
            for writer in self._writers:
                writer.pump()
        except logfile.LogBlocked as blocked:
            self._later(blocked)
            return
        self._blocked = False
        for fd in self._watched():
            self._loop.modify(fd, select.EPOLLIN)
        self._tell("")

    def drain(self) -> bool:
        """Takes the rest after the container's end and closes the log; False when the disk takes no more just now."""
        try:
            for writer in self._writers:
                while writer.pump() or (self._console >= 0 and self._take()):
                    pass
        except logfile.LogBlocked as blocked:
            self._hold(blocked)
            return False
        logfile.finish(self._spec.directory)
        return True

    def close(self) -> None:
        if self._console >= 0:
            self._loop.remove(self._console)
        for writer in self._writers:
            self._loop.remove(writer.fifo)
            writer.close()
        self._writers, self._console = [], -1
        for stream in logfile.STREAMS:
            with suppress(FileNotFoundError):
                os.unlink(f"{self._directory}/{stream}")
