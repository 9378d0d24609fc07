"""How a process ended, also one that was never our child.

A pidfd is readable once its process is a zombie. A child's status comes from waitid(2). Of somebody else's child it
is kept by the kernel for whoever holds a pidfd opened while it lived (PIDFD_GET_INFO with PIDFD_INFO_EXIT, Linux
6.15), from the moment it was reaped; until then /proc/PID/stat shows it. Before 6.15 only the latter is there, and
when it was reaped too soon nobody can say.
"""

import fcntl
import os
import struct
from typing import NamedTuple

_PIDFD_GET_INFO = 0xC000FF0B | 64 << 16  # linux/pidfd.h: _IOWR(0xFF, 11, struct pidfd_info), first published size
_INFO_EXIT = 1 << 3
_EXIT_CODE = 60  # offset in struct pidfd_info
_CAP_SYS_PTRACE = 19  # without it /proc/PID/stat shows exit code 0 for everybody
_WALL = 0x40000000  # __WALL: whatever signal the child sends at its end


class Exit(NamedTuple):
    """`status` as wait(2) gives it; None when nobody could see it."""

    status: int | None

    @property
    def signal(self) -> int | None:
        return self.status & 0x7F or None if self.status is not None else None

    @property
    def code(self) -> int | None:
        if self.status is None:
            return None
        return 128 + self.signal if self.signal else self.status >> 8 & 0xFF


def peek_child(pidfd: int) -> Exit | None:
    """Exit of a child that stays a zombie until `reap`; None while it runs. ChildProcessError when it is no child."""
    info = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT | _WALL)
    if info is None:
        return None
    return Exit(info.si_status << 8 if info.si_code == os.CLD_EXITED else info.si_status & 0x7F)


def reap(pidfd: int) -> None:
    os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | _WALL)


def of_stranger(pidfd: int, pid: int, started: int) -> Exit:
    """Exit of a process that is over (its pidfd is readable) and was not our child."""
    kept = _kept(pidfd)
    if kept.status is None:
        kept = _zombie(pid, started)
    return kept if kept.status is not None else _kept(pidfd)  # reaped between the two looks


def _kept(pidfd: int) -> Exit:
    info = bytearray(64)
    struct.pack_into("Q", info, 0, _INFO_EXIT)
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, info, True)
    except OSError:  # ENOTTY before 6.13, ESRCH before 6.15
        return Exit(None)
    mask, status = struct.unpack_from("Q", info, 0)[0], struct.unpack_from("i", info, _EXIT_CODE)[0]
    return Exit(status if mask & _INFO_EXIT else None)


def _zombie(pid: int, started: int) -> Exit:
    fields = _stat(pid)
    if fields is None or fields[0] != "Z" or int(fields[19]) != started or not _may_ptrace():
        return Exit(None)
    return Exit(int(fields[49]))


def _may_ptrace() -> bool:
    with open("/proc/self/status") as file:
        return any(bool(int(line.split()[1], 16) >> _CAP_SYS_PTRACE & 1) for line in file if line.startswith("CapEff"))


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the third (state) on: the second is a name that may hold anything."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def start_time(pid: int) -> int:
    """Field 22 of /proc/PID/stat, ticks since boot: with the pid it names one process. 0 when there is none."""
    fields = _stat(pid)
    return int(fields[19]) if fields else 0


def boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def open_same(pid: int, started: int) -> int:
    """A pidfd of the process that had this pid and start time; -1 when it is gone."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return -1
    if started and start_time(pid) == started:
        return fd
    os.close(fd)
    return -1
