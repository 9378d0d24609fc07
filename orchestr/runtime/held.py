"""What the daemon keeps open for each running container, so that nothing is lost when the supervisor is killed.

The pidfd still tells the exit of a process that another one reaped; the FIFOs keep what nobody has copied yet; a
terminal's master keeps the terminal.
"""

import os
import select
from collections.abc import Sequence

from orchestr.runtime.supervisor import exits
from orchestr.runtime.supervisor.protocol import close


class Held:
    def __init__(self, pid: int, fds: Sequence[int]) -> None:
        self.pid, self.fds = pid, tuple(fds)
        self._started = exits.start_time(pid)

    @property
    def console(self) -> int:
        """-1 when it has no terminal."""
        return next((fd for fd in self.fds[1:] if os.isatty(fd)), -1)

    def status(self) -> int | None:
        """The wait(2) status; None while it runs and when nobody can say."""
        return ended_status(self.fds[0], self.pid, self._started)

    def close(self) -> None:
        close(self.fds)
        self.fds = ()


def ended_status(pidfd: int, pid: int, started: int) -> int | None:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return exits.of_stranger(pidfd, pid, started).status if poll.poll(0) else None
