"""The terminal of a process in the foreground: what is typed here goes there, what it writes comes here."""

import os
import select
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

_CHUNK: Final = 64 * 1024
_IN, _OUT, _END = select.POLLIN, select.POLLOUT, select.POLLIN | select.POLLHUP


def relay(master: int, pidfd: int) -> None:
    """Until the process behind `pidfd` has ended and all it wrote has been passed on. Closes `master`."""
    os.set_blocking(master, False)
    follow_size(master)
    try:
        with raw(0):
            _Relay(master, pidfd).run()
    finally:
        os.close(master)


class _Relay:
    def __init__(self, master: int, pidfd: int) -> None:
        self.master, self.pidfd = master, pidfd
        self.typed = b""  # not yet taken by the terminal
        self.open = True  # our stdin
        self.poll = select.poll()

    def run(self) -> None:
        self.poll.register(self.pidfd, _IN)
        while True:
            self._watch()
            ready = dict(self.poll.poll())
            if self.typed and ready.get(self.master, 0) & _OUT:
                self._push()
            if ready.get(self.master, 0) & _END:
                self._pull()
            if self.open and ready.get(0, 0):
                self._read()
            if self.pidfd in ready:
                while self._pull():
                    pass
                return

    def _watch(self) -> None:
        """Input is read only when the last has been taken: a process that does not read holds nobody up."""
        self.poll.register(self.master, _IN | (_OUT if self.typed else 0))
        if self.open and not self.typed:
            self.poll.register(0, _IN)
        else:
            with suppress(KeyError):
                self.poll.unregister(0)

    def _push(self) -> None:
        try:
            self.typed = self.typed[os.write(self.master, self.typed) :]
        except BlockingIOError:
            return
        except OSError:
            self.typed = b""  # nobody has the other end open

    def _pull(self) -> bool:
        """False when there is nothing now: EIO when no process has the other end open."""
        try:
            data = os.read(self.master, _CHUNK)
        except OSError:
            return False
        while data:
            data = data[os.write(1, data) :]
        return True

    def _read(self) -> None:
        try:
            self.typed = os.read(0, _CHUNK)
        except OSError:
            self.typed = b""
        self.open = bool(self.typed)


@contextmanager
def raw(fd: int) -> Iterator[None]:
    """Keys reach the container's terminal, which makes of them what its process wants. Nothing when it is none."""
    if not os.isatty(fd):
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(fd)
    tty.setraw(fd, termios.TCSANOW)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSANOW, before)


def follow_size(master: int) -> None:
    """The container's terminal has the size of ours, now and whenever that changes."""
    from orchestr.runtime.signals import system

    terminal = next((fd for fd in range(3) if os.isatty(fd)), -1)
    if terminal < 0:
        return
    _copy_size(terminal, master)

    def resized(number: int, frame: Any) -> None:
        _copy_size(terminal, master)

    system.signal(system.SIGWINCH, resized)


def _copy_size(terminal: int, master: int) -> None:
    import fcntl
    import termios

    with suppress(OSError):
        fcntl.ioctl(master, termios.TIOCSWINSZ, fcntl.ioctl(terminal, termios.TIOCGWINSZ, bytes(8)))
