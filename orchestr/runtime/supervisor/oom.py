"""Out of memory: the whole container goes, not the one process that the kernel picked, and it is told with numbers."""

import os
import re
import select
from contextlib import suppress
from typing import Final

from orchestr.runtime import cgroups
from orchestr.runtime.seam import OomKill
from orchestr.runtime.supervisor.loop import Loop

# mm/oom_kill.c, one line per victim: "oom-kill:constraint=...,oom_memcg=/a,task_memcg=/a/b,task=python3,pid=41,uid=0"
_LINE: Final = re.compile(rb"oom-kill:.*task_memcg=(?P<cgroup>[^,]+),task=(?P<task>.*),pid=(?P<pid>\d+),uid=")
_LOOKS, _PAUSE = 20, 0.005  # looks, and seconds between two
_EVENTS = select.EPOLLPRI | select.EPOLLIN


class KernelLog:
    """Victims by /dev/kmsg, from now on. Where it cannot be read nobody is named."""

    def __init__(self) -> None:
        self._fd = -1
        self._victims: dict[str, str] = {}
        with suppress(OSError):
            self._fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self._fd, 0, os.SEEK_END)

    def victim(self, cgroup: str) -> str | None:
        """Of the container's cgroup or one below it; each is told once."""
        while self._fd >= 0 and (line := self._next()) is not None:
            if found := _LINE.search(line):
                task = found["task"].decode(errors="replace")
                self._victims[found["cgroup"].decode(errors="replace")] = f"{task} pid {found['pid'].decode()}"
        for path in list(self._victims):
            if f"{path}/".startswith(f"/{cgroup}/"):
                return self._victims.pop(path)
        return None

    def _next(self) -> bytes | None:
        try:
            return os.read(self._fd, 8192)
        except BrokenPipeError:
            return b""  # the ring overran us: go on with what is there
        except OSError:
            return None


class Watch:
    """Kills the container's other processes when one was killed for memory."""

    __slots__ = ("_cgroup", "_fd", "_log", "_loop")

    def __init__(self, loop: Loop, cgroup: str, log: KernelLog) -> None:
        self._loop, self._cgroup, self._log = loop, cgroup, log
        self._fd = cgroups.oom_fd(cgroup)  # -1 when there is no memory controller
        if self._fd >= 0:
            loop.add(self._fd, _EVENTS, self._event)

    def _event(self, _events: int) -> None:
        with suppress(OSError):
            os.lseek(self._fd, 0, os.SEEK_SET)  # cgroup v2's memory.events; not for v1's eventfd
        with suppress(BlockingIOError):
            os.read(self._fd, 4096)
        self._look(_LOOKS)

    def _look(self, again: int) -> None:
        """v1 tells just before the kernel kills, and all cgroups below the one with the limit: the count decides."""
        if self._fd < 0:
            return
        if cgroups.oom(self._cgroup).kills:
            cgroups.kill_all(self._cgroup)
        elif again:
            self._loop.later(_PAUSE, lambda: self._look(again - 1))

    def close(self) -> OomKill | None:
        """At the container's end: what happened, None when memory was not the cause."""
        if self._fd >= 0:
            self._loop.remove(self._fd)
            os.close(self._fd)
            self._fd = -1
        return happened(self._cgroup, self._log)


def happened(cgroup: str, log: KernelLog) -> OomKill | None:
    """What the cgroup says of out-of-memory kills; None when there were none, or it is gone."""
    with suppress(OSError):
        if (found := cgroups.oom(cgroup)).kills:
            return OomKill(found.limit, found.peak, log.victim(cgroup))
    return None
