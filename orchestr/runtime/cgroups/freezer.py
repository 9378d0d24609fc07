"""Stopping and going on, and killing, all that is in a cgroup and below it."""

import os
import select
import time
from contextlib import suppress
from typing import Final

from orchestr.runtime.cgroups import files, tree
from orchestr.runtime.cgroups.layout import layout
from orchestr.runtime.seam import RuntimeFailure
from orchestr.runtime.signals import SIGKILL

PATIENCE: Final = 10.0  # seconds until a freeze is given up, as in runc


def freeze(path: str, patience: float = PATIENCE) -> None:
    """Returns when all is frozen; otherwise thaws again and raises RuntimeFailure."""
    unified, legacy = _files(path)
    if unified:
        files.must_write(f"{unified}/cgroup.freeze", "1")
        done = _wait_v2(unified, patience)
    elif legacy:
        done = _freeze_v1(legacy, patience)
    else:
        raise RuntimeFailure(f"cannot freeze cgroup {path}: there is no freezer (is the controller mounted?)")
    if not done:
        thaw(path)
        raise RuntimeFailure(f"cannot freeze cgroup {path}: timeout of {patience:g} s reached (is a process stuck?)")


def _files(path: str) -> tuple[str, str]:
    """Directories of the v2 and of the v1 freezer, "" where there is none."""
    if not path:
        return "", ""
    found = layout()
    unified = f"{found.v2}/{path}" if found.v2 else ""
    legacy = f"{found.v1['freezer']}/{path}" if "freezer" in found.v1 else ""
    return (
        unified if unified and os.path.exists(f"{unified}/cgroup.freeze") else "",
        legacy if legacy and os.path.exists(f"{legacy}/freezer.state") else "",
    )


def _wait_v2(directory: str, patience: float) -> bool:
    """cgroup.events is told by POLLPRI when it changes (cgroups(7))."""
    deadline = time.monotonic() + patience
    fd = os.open(f"{directory}/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
    try:
        poll = select.poll()
        poll.register(fd, select.POLLPRI)
        while b"frozen 1" not in os.pread(fd, 4096, 0):
            if (left := deadline - time.monotonic()) <= 0:
                return False
            poll.poll(left * 1000)
        return True
    finally:
        os.close(fd)


def _freeze_v1(directory: str, patience: float) -> bool:
    """A fork on the run can leave it FREEZING for ever: writing again goes over all tasks again."""
    deadline, pause = time.monotonic() + patience, 0.00005
    while time.monotonic() < deadline:
        files.must_write(f"{directory}/freezer.state", "FROZEN")
        if files.read(f"{directory}/freezer.state").strip() == "FROZEN":
            return True
        time.sleep(pause)  # there is no event
        pause = min(pause * 2, 0.01)
    return False


def thaw(path: str) -> None:
    """Of both freezers, whoever froze it."""
    unified, legacy = _files(path)
    if unified:
        files.must_write(f"{unified}/cgroup.freeze", "0")
    if legacy and files.read(f"{legacy}/freezer.state").strip() != "THAWED":
        files.must_write(f"{legacy}/freezer.state", "THAWED")


def frozen(path: str) -> bool:
    unified, legacy = _files(path)
    if unified and files.read(f"{unified}/cgroup.freeze").strip() == "1":
        return True
    return bool(legacy) and "FRO" in files.read(f"{legacy}/freezer.state")


def kill_all(path: str) -> None:
    """SIGKILL to everything in it and below, forks on the run included."""
    if not path:
        return
    found = layout()
    try:
        if not found.v2:
            raise FileNotFoundError
        files.write(f"{found.v2}/{path}/cgroup.kill", "1")  # Linux 5.14; frozen ones die, too
    except OSError:
        _kill_one_by_one(path)
        return
    if "freezer" in found.v1 and "FRO" in files.read(f"{found.v1['freezer']}/{path}/freezer.state"):
        thaw(path)  # frozen by v1, a process does not even die


def _kill_one_by_one(path: str) -> None:
    with suppress(RuntimeFailure, OSError):  # none may be there; then forks on the run are met next time round
        freeze(path, 1.0)
    for pid in tree.processes(path):
        with suppress(ProcessLookupError):
            os.kill(pid, SIGKILL)
    with suppress(RuntimeFailure, OSError):
        thaw(path)
