"""Exec from the daemon's side: pipes made here, the process started by the supervisor, its end told by it.

When the supervisor goes away in the meantime, the pidfd tells the end instead.
"""

import os
import signal as signals
from contextlib import suppress

import trio

from orchestr.runtime.held import ended_status
from orchestr.runtime.link import Link
from orchestr.runtime.seam import ExecSpec, RuntimeFailure
from orchestr.runtime.supervisor import exits
from orchestr.runtime.supervisor.protocol import close
from orchestr.runtime.terminal import set_size


class _End:
    """How one exec ended: `status` as wait(2) gives it, valid when `event` is set."""

    def __init__(self) -> None:
        self.event = trio.Event()
        self.status: int | None = None
        self.lost = False  # the supervisor went first
        self.claimed = False  # somebody waits for it


class Session:
    """An ExecSession. Ends with its daemon: the supervisor kills what it started for a connection that is gone."""

    def __init__(self, pid: int, pidfd: int, stdio: tuple[int, int, int], end: _End) -> None:
        self.pid = pid
        self.stdin, self.stdout, self.stderr = stdio
        self._pidfd, self._end, self._started = pidfd, end, exits.start_time(pid)

    async def wait(self) -> int:
        """RuntimeFailure when nobody saw the end."""
        await self._end.event.wait()
        if self._end.lost and self._end.status is None:
            await trio.lowlevel.wait_readable(self._pidfd)
            self._end.status = ended_status(self._pidfd, self.pid, self._started)
        self._close()
        code = exits.Exit(self._end.status).code
        if code is None:
            raise RuntimeFailure(
                "cannot tell how the command ended: it ended while no supervisor was running", reason="ExitUnknown"
            )
        return code

    async def resize(self, rows: int, columns: int) -> None:
        await trio.lowlevel.checkpoint()
        if self.stderr < 0:
            set_size(self.stdout, rows, columns)

    async def kill(self, signal: int) -> None:
        await trio.lowlevel.checkpoint()
        if self._pidfd >= 0:
            with suppress(ProcessLookupError):
                signals.pidfd_send_signal(self._pidfd, signal)

    def _close(self) -> None:
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1

    def __del__(self) -> None:
        self._close()  # a caller that was cancelled does not wait


class Sessions:
    """Execs under way, by the supervisor's number."""

    def __init__(self) -> None:
        self._ends: dict[int, _End] = {}

    async def start(self, link: Link, spec: ExecSpec) -> Session:
        ours, theirs = ((-1, -1, -1), ()) if spec.tty else _pipes()
        try:
            with trio.CancelScope(shield=True):  # milliseconds; a process that nobody knows of must not be
                reply = await link.call("exec", _args(spec), theirs)
        except BaseException:
            close(ours)
            raise
        finally:
            close(theirs)
        end = self._claim(reply.ok["exec"])
        pidfd, *console = reply.fds
        stdio = (-1, console[0], -1) if console else ours
        return Session(reply.ok["pid"], pidfd, stdio, end)

    def _claim(self, number: int) -> _End:
        end = self._ends.setdefault(number, _End())
        end.claimed = True
        if end.event.is_set():  # it ended before the reply was looked at
            del self._ends[number]
        return end

    def ended(self, number: int, status: int | None) -> None:
        end = self._ends.setdefault(number, _End())
        end.status = status
        end.event.set()
        if end.claimed:
            del self._ends[number]

    def lost(self) -> None:
        """The supervisor is gone; the next one counts anew."""
        for end in self._ends.values():
            end.lost = not end.event.is_set()
            end.event.set()
        self._ends.clear()


def _args(spec: ExecSpec) -> dict[str, object]:
    return {**spec._asdict(), "env": dict(spec.env) if spec.env is not None else None}


def _pipes() -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """(stdin, stdout, stderr) of ours and of the process."""
    in_read, in_write = os.pipe2(os.O_CLOEXEC)
    out_read, out_write = os.pipe2(os.O_CLOEXEC)
    err_read, err_write = os.pipe2(os.O_CLOEXEC)
    return (in_write, out_read, err_read), (in_read, out_write, err_write)
