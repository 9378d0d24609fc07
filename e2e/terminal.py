"""A pseudo terminal that a test drives: types, reads, resizes."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence


class Terminal:
    """A program on a pseudo terminal of ours. Killed at the end."""

    def __init__(self, words: Sequence[str], env: Mapping[str, str], *, rows: int = 30, columns: int = 100) -> None:
        self._master, slave = pty.openpty()
        self.resize(rows, columns)
        environment = {**env, "TERM": "xterm"}
        self.process = subprocess.Popen(
            words, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        self._slave, self.text = slave, b""

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def write(self, data: bytes) -> None:
        os.write(self._master, data)

    def until(self, check: Callable[[bytes], bool], within: float = 20) -> bytes:
        """Reads until what came so far satisfies `check`."""
        end = time.monotonic() + within
        while not check(self.text):
            left = end - time.monotonic()
            assert left > 0, f"not seen, but {self.text[-500:]!r}"
            if select.select([self._master], [], [], left)[0]:
                self.text += os.read(self._master, 65536)
        return self.text

    def sees(self, *words: str, within: float = 60) -> None:
        """Reads until all of them were printed, in this order; forgets what was read."""
        self.until(
            lambda text: re.search(b".*".join(re.escape(word.encode()) for word in words), text, re.S) is not None,
            within,
        )
        self.text = b""

    def mode(self) -> int:
        """The local flags of the terminal: ECHO, ICANON."""
        return int(termios.tcgetattr(self._slave)[3])

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(20)
        os.close(self._master)
        os.close(self._slave)
