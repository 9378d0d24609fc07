"""inotify(7) for trio: wake up when something in a directory changed. One instance per trio run, many directories.

`fs.inotify.max_user_instances` is 128 by default, so that an instance per follower would not do.
"""

import ctypes
import os
import struct
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import trio

_libc = ctypes.CDLL(None, use_errno=True)
_NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC
_MASK = 0x2 | 0x80 | 0x100 | 0x200 | 0x400  # MODIFY, MOVED_TO, CREATE, DELETE, DELETE_SELF
_EVENT = struct.Struct("iIII")


class Changes:
    """Something happened since the last `wait`. Bursts are one."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()
        self._event = trio.Event()


class _Inotify:
    def __init__(self) -> None:
        self._fd = _checked(_libc.inotify_init1(_NONBLOCK_CLOEXEC), "inotify_init1")
        self._watchers: dict[int, set[Changes]] = defaultdict(set)

    def add(self, directory: str, changes: Changes) -> int:
        number = _checked(_libc.inotify_add_watch(self._fd, os.fsencode(directory), _MASK), f"watch {directory}")
        self._watchers[number].add(changes)
        return number

    def remove(self, number: int, changes: Changes) -> None:
        self._watchers[number].discard(changes)
        if not self._watchers[number]:
            del self._watchers[number]
            _libc.inotify_rm_watch(self._fd, number)  # EINVAL when the directory went first: fine

    async def run(self) -> None:
        try:
            while True:
                await trio.lowlevel.wait_readable(self._fd)
                self._deliver(os.read(self._fd, 1 << 16))
        finally:
            trio.lowlevel.notify_closing(self._fd)
            os.close(self._fd)

    def _deliver(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            number, _, _, length = _EVENT.unpack_from(data, at)
            at += _EVENT.size + length
            # -1: the queue overflowed, anybody may have missed something
            for changes in self._watchers.get(number, ()) if number >= 0 else self._everybody():
                changes.set()

    def _everybody(self) -> list[Changes]:
        return [changes for group in self._watchers.values() for changes in group]


def _checked(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"cannot {what}: {os.strerror(code)} (raise fs.inotify limits if it is one of them)")
    return result


_instance: trio.lowlevel.RunVar[_Inotify] = trio.lowlevel.RunVar("inotify")


def _of_this_run() -> _Inotify:
    try:
        return _instance.get()
    except LookupError:
        inotify = _Inotify()
        _instance.set(inotify)
        trio.lowlevel.spawn_system_task(inotify.run)
        return inotify


@contextmanager
def watch(directory: str) -> Iterator[Changes]:
    """Changes in the directory. OSError when it is not there or a limit of the kernel is reached."""
    inotify, changes = _of_this_run(), Changes()
    number = inotify.add(directory, changes)
    try:
        yield changes
    finally:
        inotify.remove(number, changes)
