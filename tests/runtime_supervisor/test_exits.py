import os
import signal

import pytest

from orchestr.runtime.supervisor import exits
from orchestr.runtime.supervisor.exits import Exit


def child(code: int | None) -> tuple[int, int]:
    """A child that ends at once with `code`, or waits to be killed."""
    pid = os.fork()
    if pid == 0:
        if code is None:
            signal.pause()
        os._exit(code or 0)
    return pid, os.pidfd_open(pid)


@pytest.mark.parametrize(("status", "code", "number"), [(0, 0, None), (7 << 8, 7, None), (9, 137, 9), (0x8B, 139, 11)])
def test_a_wait_status_reads_as_code_and_signal(status: int, code: int, number: int | None) -> None:
    assert (Exit(status).code, Exit(status).signal) == (code, number)


def test_what_nobody_saw_is_unknown() -> None:
    assert (Exit(None).code, Exit(None).signal) == (None, None)


@pytest.mark.parametrize(("code", "status"), [(3, 3 << 8), (None, 9)])
def test_a_child_is_peeked_at_before_it_is_reaped(code: int | None, status: int) -> None:
    pid, pidfd = child(code)
    started = exits.start_time(pid)
    if code is None:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT)
    assert exits.peek_child(pidfd) == Exit(status)
    assert exits.of_stranger(pidfd, pid, started) == Exit(status), "a zombie shows its status"
    exits.reap(pidfd)
    assert exits.start_time(pid) == 0
    if tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 15):
        assert exits.of_stranger(pidfd, pid, started) == Exit(status), "and the kernel keeps it for the pidfd"
    os.close(pidfd)


def test_another_process_with_the_same_pid_is_not_taken() -> None:
    assert exits.open_same(os.getpid(), exits.start_time(os.getpid()) + 1) == -1
    assert exits.open_same(os.getpid(), 0) == -1
    fd = exits.open_same(os.getpid(), exits.start_time(os.getpid()))
    assert fd >= 0
    os.close(fd)
