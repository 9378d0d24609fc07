"""Microseconds of each system call of a launch: `python -m bench.timed calls|phases DIR ROUNDS`, JSON per launch.

The children are forks that walk their steps in Python with a clock around each; what Python itself takes is not in it.
Beside the calls ("call NAME") there are the parent's phases ("phase NAME").
"""

import ctypes
import json
import mmap
import os
import shutil
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from bench.launching import PARENT, container, sandbox
from orchestr.runtime import cgroups, launch, namespaces, overlay, plan, syscalls
from orchestr.runtime.forked import Forked
from orchestr.runtime.steps import Result, Step
from orchestr.runtime.syscalls import NAMES, NR

CALLS = tuple(NR)
_SIZE = 8 * len(CALLS)


class Timed(Forked):
    """Adds the time of each call to a page shared with the children; but for execve, which does not return."""

    def __init__(self) -> None:
        super().__init__()
        self.spent = mmap.mmap(-1, max(_SIZE, mmap.PAGESIZE), mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)

    def _walk(self, steps: Sequence[Step], results: list[int], sibling: int) -> None:
        zeros, raw, clock, index = (0,) * 6, syscalls.raw, time.perf_counter, 0
        while index < len(steps):
            _, _, nr, args, slot, tolerate, done, missing = steps[index]
            real = [results[arg[0]] if type(arg) is Result else arg for arg in args]
            at = 8 * CALLS.index(NAMES[nr])
            began = clock()
            result = raw(nr, *real, *zeros[len(real) :])
            code = ctypes.get_errno()
            (sofar,) = struct.unpack_from("d", self.spent, at)
            struct.pack_into("d", self.spent, at, sofar + clock() - began)
            if result >= 0:
                if slot >= 0:
                    results[slot] = result
                index += done
            elif code in tolerate:
                index += missing
            else:
                self._tell(sibling, index, code, 0)
                os._exit(125)
            index += 1

    def taken(self) -> dict[str, float]:
        found = dict(zip(CALLS, struct.unpack_from(f"{len(CALLS)}d", self.spent), strict=True))
        self.spent[:_SIZE] = bytes(_SIZE)
        return {f"call {name}": seconds * 1e6 for name, seconds in found.items() if seconds}


def phases(taken: Counter[str]) -> None:
    """Clocks around the parent's work."""
    for owner, name, label in (
        (cgroups, "create", "cgroup with limits"),
        (namespaces, "make", "namespaces of the pod"),
        (overlay, "make", "overlay"),
        (launch, "build", "plan, and what the parent opens"),
        (launch, "start", "plan and children"),
    ):
        setattr(owner, name, clocked(getattr(owner, name), taken, f"phase {label}"))


def clocked(function: Callable[..., Any], taken: Counter[str], label: str) -> Callable[..., Any]:
    def timed(*args: Any, **options: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*args, **options)
        finally:
            taken[label] += (time.perf_counter() - began) * 1e6

    return timed


def main(folder: str, rounds: int, *, calls: bool) -> None:
    """With `calls` the children are forks in Python, else machine code as ever: then only phases are told."""
    taken: Counter[str] = Counter()
    phases(taken)
    walker = Timed()
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for number in range(rounds):
        if calls:
            seat = plan.Seat()
            seat.walker = walker
            plan._free[:] = [seat]
        pod, spec = sandbox(number), container(folder, number, log=False)
        cgroups.create(pod.cgroup, {})
        ns = namespaces.make(pod)
        walker.taken()  # the namespaces' children are no part of it
        launched = launch.launch(spec, pod, ns, (null, null, null))
        os.waitpid(launched.pid, 0)
        os.close(launched.pidfd)
        ns.close()
        cgroups.remove(pod.cgroup)
        shutil.rmtree(spec.rootfs.upper)
        print(json.dumps(walker.taken() if calls else dict(taken)), flush=True)
        taken.clear()
    cgroups.remove(PARENT)


if __name__ == "__main__":
    main(sys.argv[2], int(sys.argv[3]), calls=sys.argv[1] == "calls")
