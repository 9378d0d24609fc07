"""The size of a terminal, by either of its ends."""

import fcntl
import struct
import termios
from contextlib import suppress


def set_size(fd: int, rows: int, columns: int) -> None:
    """Its programs get SIGWINCH. Nothing happens when the terminal is gone."""
    with suppress(OSError):
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
