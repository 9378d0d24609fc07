"""A launch's children as forks of this process, which walk their steps in Python: where native.py cannot be."""

import ctypes
import errno
import mmap
import os
import struct
from collections.abc import Sequence
from typing import Final

from orchestr.runtime import syscalls
from orchestr.runtime.steps import Failure, Result, Step
from orchestr.runtime.syscalls import NR

_RECORD: Final = struct.Struct("iiii")  # Failure; errno 0 for none


class Forked:
    shares = False

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)

    def start(
        self, first: bytes, second: bytes | None, outside: Sequence[Step], inside: Sequence[Step], slots: int
    ) -> int:
        """As Walker.start."""
        self._tell(0, 0, 0, 0)
        pid = syscalls.call("clone3", first, len(first))
        if pid == 0:
            self._child(second, outside, inside, [0] * slots)
        return pid

    def failure(self) -> Failure | None:
        sibling, index, code, denied = _RECORD.unpack_from(self._page)
        return Failure(bool(sibling), index, code, bool(denied)) if code else None

    def _tell(self, sibling: int, index: int, code: int, denied: int) -> None:
        _RECORD.pack_into(self._page, 0, sibling, index, code, denied)

    def _child(self, second: bytes | None, outside: Sequence[Step], inside: Sequence[Step], results: list[int]) -> None:
        try:
            self._walk(outside, results, 0)
            if second:
                made = syscalls.raw(NR["clone3"], second, len(second), 0, 0, 0, 0)
                if made < 0:
                    self._tell(0, len(outside), ctypes.get_errno(), 0)
                if made != 0:
                    os._exit(0 if made > 0 else 125)
                self._walk(inside, results, 1)
        finally:
            os._exit(125)  # a bug of ours: no exception may ever return into the parent's code

    def _walk(self, steps: Sequence[Step], results: list[int], sibling: int) -> None:
        """Carries out the steps; on failure records where and exits. Returns after the last one."""
        raw, get_errno, zeros = syscalls.raw, ctypes.get_errno, (0,) * 6
        index, end, denied = 0, len(steps), 0
        while index < end:
            _, _, nr, args, slot, tolerate, done, missing = steps[index]
            real = [results[arg[0]] if type(arg) is Result else arg for arg in args]
            result = raw(nr, *real, *zeros[len(real) :])
            if result >= 0:
                if slot >= 0:
                    results[slot] = result
                index += done
            else:
                code = get_errno()
                denied |= code == errno.EACCES
                if code not in tolerate:
                    self._tell(sibling, index, code, denied)
                    raw(NR["exit_group"], 125, *zeros[1:])
                index += missing
            index += 1
