"""A launch's children without Python: machine code that makes them and walks their steps.

A forked child of Python pays for a copy of the page tables, again for each page that it and then its parent touch, and
for the interpreter at each step: together more than half of a launch. This code needs neither heap nor stack, so its
child can stay in the parent's memory until exec (CLONE_VM | CLONE_VFORK, as in posix_spawn(3)).

    control block, 9 words               a step, 14 words
    0  clone_args of the first child     0      number of the system call
    1  clone_args of its sibling, or 0   1-6    arguments
    2  first and                         7      bit n: argument n+1 is a slot, and its value is meant
    3  end of the first child's steps    8      slot for what is returned
    4  first and                         9      bytes to the next step after success
    5  end of the sibling's steps        10     bytes to the next step after a tolerated error
    6  slots                             11-13  tolerated errors, negative; 0 when there are fewer
    7  the step that failed
    8  its error, negative
    9  1 when some step got EACCES

`tests/runtime/walk.s` is its source; a test assembles it again and compares. On other machines, or where no memory may
be made executable, `Walker.make` gives None and Python walks (plan.py).
"""

import ctypes
import mmap
import os
import struct
from array import array
from collections.abc import Iterable, Sequence
from typing import Final, Self

from orchestr.runtime import syscalls as sc
from orchestr.runtime.steps import Failure, Result, Step

CODE: Final = bytes.fromhex(
    "5355415441554889fd488b7d00be58000000b8b30100000f054885c00f85f5000000488b5d104c8b65184c8b6d304c39e30f83ab"
    "000000488b7b08488b7310488b53184c8b53204c8b43284c8b4b308b4b3867e332f6c1017405498b7cfd00f6c1027405498b74f5"
    "00f6c1047405498b54d500f6c10874054f8b54d500f6c11074054f8b44c500488b030f05483d01f0ffff730f488b4b40498944cd"
    "0048035b48eb8b4883f8f3750848c7454801000000483b43587422483b4360741c483b4368741648895d3848894540bf7d000000"
    "b8e70000000f050f0b48035b50e94cffffff488b7d084885ff74e048c7450800000000be58000000b8b30100000f054885c078bf"
    "740431ffebc6488b5d204c8b6528e917ffffff415d415c5d5bc3"
)
WORDS: Final = 14  # of a step
STEP: Final = 8 * WORDS
CONTROL: Final = struct.Struct("10q")
_REST: Final = tuple((0,) * (6 - count) for count in range(7))
# Where a bytes object keeps its data: PyBytesObject.ob_sval. ctypes would take half a microsecond to say so.
_DATA: Final = bytes.__basicsize__ - 1


class Walker:
    """The code in executable memory, and the control block, which a forked child shares; one launch at a time."""

    shares = True  # a child may stay in the parent's memory

    def __init__(self, code: bytes) -> None:
        memory = mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        memory.write(code)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        sc.call("mprotect", address, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_EXEC)
        self._call = ctypes.PYFUNCTYPE(ctypes.c_long, ctypes.c_void_p)(address)
        self._page = mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
        self._control = ctypes.addressof(ctypes.c_char.from_buffer(self._page))
        self._words = array("q")
        self._outside = 0  # steps
        self._keep: object = memory

    @classmethod
    def make(cls) -> Self | None:
        """None where it cannot work."""
        probe = b"ab"
        if os.uname().machine != "x86_64" or ctypes.string_at(id(probe) + _DATA, 3) != b"ab\0":
            return None
        try:
            return cls(CODE)
        except OSError:  # no memory may become executable: SELinux's execmem, PR_SET_MDWE
            return None

    def start(
        self, first: bytes, second: bytes | None, outside: Sequence[Step], inside: Sequence[Step], slots: int
    ) -> int:
        """Makes the child, and with `second` its sibling, by these clone_args; the child's pid. OSError.

        All signals must be blocked. With CLONE_VM the steps must be kept until the children have exec'd or ended.
        """
        gap = (0,) * WORDS  # between the lists, so that each place names one step
        self._words = array("q", (*words(outside, slots), *gap, *words(inside, slots), *(0,) * (slots + 1)))
        self._outside = len(outside)
        at = self._words.buffer_info()[0]
        end, begin = at + STEP * len(outside), at + STEP * (len(outside) + 1)
        results = begin + STEP * len(inside)
        sibling = id(second) + _DATA if second else 0
        inside_at = (begin, results) if second else (0, 0)
        CONTROL.pack_into(self._page, 0, id(first) + _DATA, sibling, at, end, *inside_at, results, 0, 0, 0)
        pid = int(self._call(self._control))
        if pid < 0:
            raise OSError(-pid, f"{os.strerror(-pid)} (clone3(2))")
        return pid

    def failure(self) -> Failure | None:
        """Of the last launch, once its children have exec'd or ended."""
        at, code, denied = CONTROL.unpack_from(self._page)[7:]
        if not code:
            return None
        index = (at - self._words.buffer_info()[0]) // STEP
        sibling = index > self._outside
        return Failure(sibling, index - self._outside - 1 if sibling else index, -code, bool(denied))


def words(steps: Iterable[Step], unused: int) -> list[int]:
    """The steps as the code reads them; they keep the data pointed to. Results of no use go to slot `unused`."""
    found: list[int] = []
    put = found.append
    for _, _, nr, args, slot, tolerate, done, missing in steps:
        put(nr)
        slots = 0
        for place, arg in enumerate(args):
            kind = type(arg)
            if kind is int:
                put(arg)  # type: ignore[arg-type]
            elif kind is bytes:
                put(id(arg) + _DATA)
            elif kind is Result:
                slots |= 1 << place
                put(arg.slot)  # type: ignore[union-attr]
            else:
                put(int(arg) if isinstance(arg, int) else 0)
        found += _REST[len(args)]
        found += (slots, slot if slot >= 0 else unused, STEP * (1 + done), STEP * (1 + missing))
        found += [-code for code in tolerate] if tolerate else ()
        found += _REST[3 + len(tolerate)]
    return found
