"""The descriptor of a seccomp filter with SCMP_ACT_NOTIFY, from the process that loads it to who is to answer.

The kernel gives it to the loading process (seccomp(2), SECCOMP_FILTER_FLAG_NEW_LISTENER), from whose next call on
somebody may have to answer. So that process makes two calls only, which such a filter may not notify of: sendmsg to
us, write to wake us. It does not wait for us; we pass the descriptor on while it goes on.
"""

import _socket  # the module `socket` costs a command 3 ms
import array
import os
from collections.abc import Callable

from orchestr.runtime.plan import Builder
from orchestr.runtime.process import Keep, message
from orchestr.runtime.signals import unblocked


class Listener:
    """One launch's."""

    def __init__(self, tell: Callable[[int, int], None]) -> None:
        self._tell = tell
        self._ours, self.theirs = _socket.socketpair()

    def close(self) -> None:
        self._ours.close()
        self.theirs.close()

    def steps(self, b: Builder, keep: Keep, load: Callable[[], None], end: int, pipe: int) -> None:
        """Around the step that loads the filter. `end` is the child's number of `theirs`, the last that it has open."""
        b.add("free the listener's number", "the process", "close_range", end + 1, 2**32 - 1, 0)
        load()
        b.add("send the seccomp listener", "the process", "sendmsg", end, message(keep, end + 1), 0)
        b.add("report the seccomp listener", "the process", "write", pipe, b"l", 1)

    def hand_on(self, pid: int) -> None:
        """Once the child has reported. What `tell` raises."""
        space = _socket.CMSG_SPACE(4)
        _, control, _, _ = self._ours.recvmsg(1, space, _socket.MSG_CMSG_CLOEXEC | _socket.MSG_DONTWAIT)
        (fd,) = array.array("i", control[0][2])
        try:
            with unblocked():
                self._tell(fd, pid)
        finally:
            os.close(fd)
