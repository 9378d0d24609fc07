"""What every launch holds while it lasts: descriptors, buffers, the pipe, two lists of steps; released at the end."""

import fcntl
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from orchestr.runtime import cgroups, exefile, idmap, process
from orchestr.runtime.idmap import Mappings
from orchestr.runtime.plan import Builder, LaunchError, Plan, Result, launch_error, run
from orchestr.runtime.process import Keep, Terminal
from orchestr.runtime.signals import blocked
from orchestr.runtime.users import User

if TYPE_CHECKING:
    from _socket import socket
    from types import TracebackType

    from orchestr.runtime.listener import Listener

Stdio = tuple[int, int, int]
Tell = Callable[[int, int], None]  # gets a seccomp listener's descriptor, closed afterwards, and the process's pid


class Launched(NamedTuple):
    pid: int
    pidfd: int
    console: int  # the pty's master, -1 without a terminal


class Spawn:
    """A context manager; `run` carries the steps out."""

    def __init__(self, name: str, stdio: Stdio, *, tty: bool, plain: bool = False, preserve: int = 0) -> None:
        self.name, self.tty, self.plain, self.preserve = name, tty, plain, preserve
        self.keep, self.fds = Keep(), list[int]()
        self.outside, self.inside = Builder(), Builder()
        self.tasks: tuple[int, ...] = ()  # of v1 cgroups
        self.born_in = -1  # v2 cgroup
        self._read, write = os.pipe2(os.O_CLOEXEC)
        # The child moves these to 0-4, so they must not be there already.
        self._high = process.HIGH + preserve
        self.pipe = fcntl.fcntl(write, fcntl.F_DUPFD_CLOEXEC, self._high)
        os.close(write)
        self._go = -1
        self.listener: Listener | None = None
        self._ends = _pair() if tty else None
        self.stdio = tuple(self.raised(fd) for fd in stdio)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: "TracebackType | None"
    ) -> None:
        for fd in (*self.fds, self._read, self.pipe):
            if fd >= 0:
                os.close(fd)
        for end in self._ends or ():
            end.close()
        if self.listener:
            self.listener.close()

    def own(self, fd: int) -> int:
        self.fds.append(fd)
        return fd

    def raised(self, fd: int) -> int:
        return self.own(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, self._high))

    def pause(self) -> None:
        """The process waits here until `run`'s `paused` has returned; then with memory of its own only."""
        read, self._go = os.pipe2(os.O_CLOEXEC)
        self.fds += (read, self._go)
        process.pause(self.inside, self.pipe, (read, self._go))

    def listen(self, tell: Tell) -> int:
        """The filter to be loaded has a listener: `tell` gets it. The socket that the child is to send it through."""
        from orchestr.runtime.listener import Listener

        self.listener = Listener(tell)
        return self.raised(self.listener.theirs.fileno())

    def cgroup(self, path: str, init: int = 0, below: Mapping[str, str] | None = None) -> None:
        """The child will be born in, or move itself to, this cgroup; "" for none."""
        if path:
            self.tasks, self.born_in = cgroups.entrance(path, init, below)
            self.fds += [fd for fd in (*self.tasks, self.born_in) if fd >= 0]

    def give_stdio(self, user: User, ids: Mappings | int) -> None:
        """A FIFO or pipe is given to the user, so that /dev/stdout can be opened again, as nginx's images do.

        `ids` are the container's mappings, or a process that has them.
        """
        for fd in self.stdio:
            if stat.S_ISFIFO(os.fstat(fd).st_mode):
                ids = idmap.of(ids) if isinstance(ids, int) else ids
                with suppress(OSError):
                    os.fchown(fd, ids.host_uid(user.uid), ids.host_gid(user.gid))

    def terminal(
        self, root: int | Result, proc: Mapping[str, Any], user: User, *, console: bool
    ) -> tuple[int | Result, ...]:
        """The three streams: a pty's slave when there is a terminal, else stdio as given."""
        if self._ends is None:
            return self.stdio
        size = proc.get("consoleSize") or {}
        rows, columns = int(size.get("height", 0)), int(size.get("width", 0))
        # Only its number matters: the child puts the pty's master there.
        tty = Terminal(self.raised(self._ends[1].fileno()), self.raised(self._ends[1].fileno()), console, self.plain)
        slave = process.terminal(self.inside, root, self.keep, tty, user, (rows, columns))
        return (slave, slave, slave)

    def run(
        self, flags: int, *, waits: bool = False, paused: Callable[[int], None] | None = None, alone: bool = False
    ) -> Launched:
        """Returns when the command runs, or with a gate waits to; LaunchError with the step that failed.

        `alone`: the child must not share this process's memory, as it need not when it `waits` or pauses.
        """

        turns = iter(self._turns(paused))
        hiding = exefile.steps(self.keep, self.fds) if exefile.wanted else ()
        outside, inside = (*hiding, *self.outside.steps), tuple(self.inside.steps)
        alone = alone or paused is not None or self.listener is not None or exefile.wanted
        plan = Plan(self.name, outside, flags, inside, self.inside.slots, waits=waits or alone)
        with blocked():
            pipe = self._read, self.pipe
            self._read = self.pipe = -1
            outcome = run(plan, pipe, cgroup=self.born_in, paused=lambda pid: next(turns)(pid))
        if outcome.failed:
            raise launch_error(plan.name, *outcome.failed)
        pidfd = os.pidfd_open(outcome.pid)
        try:
            return Launched(outcome.pid, pidfd, _receive(self._ends[0]) if self._ends else -1)
        except BaseException:
            os.kill(outcome.pid, 9)
            os.waitpid(outcome.pid, 0)
            os.close(pidfd)
            raise

    def _turns(self, paused: Callable[[int], None] | None) -> Iterator[Callable[[int], None]]:
        """What to do each time that the child reports."""

        def go_on(pid: int) -> None:
            if paused:
                paused(pid)
            os.write(self._go, b"g")

        if self._go >= 0:
            yield go_on
        if self.listener:
            yield self.listener.hand_on


def _pair() -> "tuple[socket, socket]":
    import _socket  # the module `socket` costs a command 3 ms, this one a quarter

    return _socket.socketpair()


def _receive(end: "socket") -> int:
    """The pty's master that the child sent; checked to be one, for an exec takes it from the container's tree."""
    import _socket
    import array

    _, control, _, _ = end.recvmsg(1, _socket.CMSG_SPACE(4), _socket.MSG_CMSG_CLOEXEC | _socket.MSG_DONTWAIT)
    (fd,) = array.array("i", control[0][2])
    device = os.fstat(fd).st_rdev
    if (os.major(device), os.minor(device)) != (5, 2):
        os.close(fd)
        raise LaunchError("cannot open a terminal: /dev/pts/ptmx of the container is not a pty", reason="StartError")
    os.set_blocking(fd, True)
    return fd
