"""A child on its way into a container has no program file: /proc/PID/exe leads nowhere that matters.

A container whose command is `#!/proc/self/exe` makes the kernel run the file of whoever executes it, and one that looks
at /proc/PID/exe of what enters it gets hold of that file (CVE-2019-5736). So the child lets go of the file: its pages
are unmapped, but for its data, which is replaced by a copy, and the kernel is told another file: a sealed one of a few
bytes, which nobody can write and nobody can run. The child needs none of those pages: it is machine code in memory of
its own (native.py). That costs 0.05 ms; running from a sealed program (sealed.py) starts Python twice, which is 9 ms.

Sources: prctl(2) PR_SET_MM_MAP, Linux 5.9 for CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN of one's own user namespace.
"""

import ctypes
import fcntl
import mmap
import os
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from orchestr.runtime import sealed
from orchestr.runtime import syscalls as sc
from orchestr.runtime.native import Walker
from orchestr.runtime.steps import Builder, Step

_SET_MM, _MM_MAP, _MM_MAP_SIZE = 35, 14, 15
_MAP: Final = struct.Struct("11QQII")  # struct prctl_mm_map
_FIELDS: Final = (
    26,
    27,
    45,
    46,
    47,
    47,
    28,
    48,
    49,
    50,
    51,
)  # of proc(5) stat: start_code ... env_end; brk as it began
_SEALS: Final = 0xF  # F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE
_MAYMOVE_FIXED: Final = 0x1 | 0x2
wanted = False


class Mapping(NamedTuple):
    start: int
    size: int
    writable: bool


def arrange() -> None:
    """Call it first in main. From now on every launch hides its child's file; where that cannot be, this program is
    started again, sealed."""
    global wanted
    wanted = not sealed.is_sealed() and possible()
    if not wanted:
        sealed.seal()


def possible() -> bool:
    """Does the kernel take another file for a living process, and are our children machine code?"""
    try:
        sc.call("prctl", _SET_MM, _MM_MAP_SIZE, bytes(8), 0, 0)
    except OSError:
        return False
    return Walker.make() is not None


def steps(keep: list[object], fds: list[int]) -> list[Step]:
    """The first steps of a child that has memory of its own. `keep` must live, `fds` be open, until it was made."""
    b = Builder()
    what, where = "hide the program", "/proc/self/exe"
    for each in _own():
        if each.writable:
            b.add(what, where, "mremap", _copy(each, keep), each.size, each.size, _MAYMOVE_FIXED, each.start)
        else:
            b.add(what, where, "munmap", each.start, each.size)
    fds.append(_nothing())
    with open("/proc/self/stat") as file:
        stat = file.read().rpartition(")")[2].split()
    addresses = [int(stat[field - 3]) for field in _FIELDS]
    addresses[5] += mmap.PAGESIZE  # brk
    told = _MAP.pack(*addresses, 0, 0, fds[-1])
    b.add(what, where, "prctl", _SET_MM, _MM_MAP, told, len(told), 0)
    return b.steps


def _own() -> Iterator[Mapping]:
    """What this process has mapped of its own program's file."""
    program = os.readlink("/proc/self/exe")
    with open("/proc/self/maps") as file:
        for line in file:
            words = line.rstrip("\n").split(maxsplit=5)
            if words[5:] == [program]:
                start, end = (int(word, 16) for word in words[0].split("-"))
                yield Mapping(start, end - start, "w" in words[1])


def _copy(mapping: Mapping, keep: list[object]) -> int:
    """The address of pages with the same content, which belong to no file."""
    pages = mmap.mmap(-1, mapping.size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    pages.write(ctypes.string_at(mapping.start, mapping.size))
    keep.append(pages)
    return ctypes.addressof(ctypes.c_char.from_buffer(pages))


def _nothing() -> int:
    """A file that no one can change, and that the kernel does not know how to run (ENOEXEC)."""
    whole = os.memfd_create("orch-oci", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.write(whole, b"no program\n")
        fcntl.fcntl(whole, fcntl.F_ADD_SEALS, _SEALS)
        return os.open(f"/proc/self/fd/{whole}", os.O_RDONLY | os.O_CLOEXEC)  # only such a one can be a program's file
    finally:
        os.close(whole)
