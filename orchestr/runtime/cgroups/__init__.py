"""cgroups of pods and containers, v1 and v2 alike. A cgroup is named by its path below each hierarchy's root.

Limits are OCI LinuxResources (runtime-spec config-linux.md); what is written where is decided in the file of each
controller, as (file, value) pairs. Creating and removing is idempotent.
"""

import errno
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

from orchestr.runtime.cgroups import cpu, cpuset, devices, files, io, memory, pids
from orchestr.runtime.cgroups.layout import Layout, detect
from orchestr.runtime.cgroups.memory import Oom
from orchestr.runtime.seam import RuntimeFailure, Stats
from orchestr.runtime.signals import SIGKILL

_ALWAYS: Final = ("cpu", "cpuacct", "memory", "pids")  # v1 hierarchies that every container is in, for its statistics
_layout: Layout | None = None


class Entrance(NamedTuple):
    """How a new process gets in: v1 `tasks` files to write "0" to, and a v2 directory to be born in (-1: none)."""

    files: tuple[int, ...]
    directory: int


def layout() -> Layout:
    """Of this machine, found once."""
    global _layout
    if _layout is None:
        _layout = detect()
    return _layout


def use(other: Layout | None) -> None:
    """Another tree than the machine's; None goes back."""
    global _layout
    _layout = other


def _v1(found: Layout, controllers: Iterable[str]) -> list[str]:
    """Mount points, each once: cpu and cpuacct often share one."""
    return list(dict.fromkeys(found.v1[name] for name in controllers if found.controller(name) == 1))


def _controllers(found: Layout, resources: Mapping[str, Any]) -> list[str]:
    names = list(_ALWAYS)
    if not found.v2:
        names += ["devices", "freezer"]
    if cpuset.wanted(resources.get("cpu") or {}):
        names.append("cpuset")
    if resources.get("blockIO"):
        names.append("blkio")
    return names


def _places(path: str) -> list[str]:
    """Where the cgroup may have a directory; the unified tree first."""
    found = layout()
    return [f"{base}/{path}" for base in dict.fromkeys((*([found.v2] if found.v2 else ()), *found.v1.values()))]


def directories(path: str) -> Iterator[str]:
    """Those of the cgroup that exist."""
    return filter(os.path.isdir, _places(path))


def create(path: str, resources: Mapping[str, Any]) -> None:
    """Makes the cgroup with its parents and sets its limits; removes it again when one is refused."""
    if not path or path.startswith("/") or ".." in path.split("/"):
        raise RuntimeFailure(f"cannot use cgroup {path!r}: not a relative path without '..'")
    found = layout()
    try:
        for base in _v1(found, _controllers(found, resources)):
            _make(base, path, base == found.v1.get("cpuset"))
        if found.v2:
            _make_v2(found, path)
        update(path, resources)
    except OSError as error:
        with suppress(OSError):
            remove(path)
        raise RuntimeFailure(
            f"cannot make cgroup {error.filename or path}: {error.strerror} (root is needed; is there a limit?)"
        ) from error
    except RuntimeFailure:
        with suppress(OSError):
            remove(path)
        raise


def _make(base: str, path: str, is_cpuset: bool) -> None:
    try:
        os.mkdir(f"{base}/{path}")
        made = True
    except FileExistsError:
        made = True
    except FileNotFoundError:
        made = False
    if is_cpuset or not made:
        at = base
        for name in path.split("/"):
            parent, at = at, f"{at}/{name}"
            with suppress(FileExistsError):
                os.mkdir(at)
            if is_cpuset:
                cpuset.inherit_v1(parent, at)


def _make_v2(found: Layout, path: str) -> None:
    wanted = " ".join(f"+{name}" for name in ("cpu", "cpuset", "io", "memory", "pids") if name in found.v2_controllers)
    if not wanted:
        _make(found.v2, path, False)
        return
    at = found.v2
    for name in path.split("/"):
        if any(word[1:] not in files.read(f"{at}/cgroup.subtree_control").split() for word in wanted.split()):
            files.write(f"{at}/cgroup.subtree_control", wanted)
        at = f"{at}/{name}"
        with suppress(FileExistsError):
            os.mkdir(at)
    if "memory" in found.v2_controllers:
        files.write(f"{at}/memory.oom.group", "1")  # one process out of memory ends the whole container


def update(path: str, resources: Mapping[str, Any]) -> None:
    """Sets what `resources` names; the rest stays. RuntimeFailure names the file."""
    found = layout()
    for controller, pairs in _pairs(found, resources):
        if not found.controller(controller):
            if pairs:
                raise RuntimeFailure(
                    f"cannot limit {controller}: no such cgroup controller here (enable it in the kernel)"
                )
            continue
        directory = found.path(controller, path)
        for file, value in _raising_first(directory, pairs):
            files.write(f"{directory}/{file}", value)
    _devices(found, path, resources.get("devices") or ())
    for file, value in (resources.get("unified") or {}).items():
        if not found.v2_controllers or "/" in file:
            raise RuntimeFailure(f"cannot set {file}: not supported on cgroup v1 (use the limits by name)")
        files.write(f"{found.v2}/{path}/{file}", str(value))


def _pairs(found: Layout, resources: Mapping[str, Any]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    processors, block = resources.get("cpu") or {}, resources.get("blockIO") or {}
    is_v2 = found.controller
    yield "cpu", list(cpu.v2(processors) if is_v2("cpu") == 2 else cpu.v1(processors))
    yield "cpuset", list(cpuset.both(processors))
    bytes_ = resources.get("memory") or {}
    yield "memory", list(memory.v2(bytes_) if is_v2("memory") == 2 else memory.v1(bytes_))
    yield "pids", list(pids.both(resources.get("pids") or {}))
    if is_v2("io") == 2:
        yield "io", list(io.v2(block))
    else:
        yield "blkio", list(io.v1(block))
    if resources.get("hugepageLimits"):
        raise RuntimeFailure("cannot limit huge pages: not supported (leave hugepageLimits out)")


def _raising_first(directory: str, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """v1 wants memory <= memory+swap at every moment: when memory is raised above it, memory+swap goes first."""
    names = dict(pairs)
    limit, both = "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"
    if limit not in names or both not in names:
        return pairs
    present = files.number(f"{directory}/{both}")
    if present is not None and (int(names[both]) < 0 or int(names[both]) > present):
        return sorted(pairs, key=lambda pair: pair[0] != both)
    return pairs


def _devices(found: Layout, path: str, items: Any) -> None:
    if not items:
        return
    if found.v2:
        try:
            devices.attach(f"{found.v2}/{path}", devices.rules(items))
            return
        except OSError as error:
            if "devices" not in found.v1:
                raise RuntimeFailure(
                    f"cannot filter devices of {path}: {error.strerror} (the kernel needs CONFIG_CGROUP_BPF)"
                ) from error
    if "devices" in found.v1:
        _make(found.v1["devices"], path, False)
        for file, value in devices.v1(items):
            files.write(f"{found.v1['devices']}/{path}/{file}", value)


def entrance(path: str) -> Entrance:
    """Opens it; the caller closes the descriptors."""
    found = layout()
    flags = os.O_WRONLY | os.O_CLOEXEC
    v1 = list[int]()
    for place in _places(path)[1 if found.v2 else 0 :]:
        with suppress(FileNotFoundError):
            v1.append(os.open(f"{place}/tasks", flags))
    directory = os.open(f"{found.v2}/{path}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) if found.v2 else -1
    return Entrance(tuple(v1), directory)


def add(path: str, pid: int) -> None:
    """Moves a living process in."""
    for directory in directories(path):
        files.write(f"{directory}/cgroup.procs", str(pid))


def mounts(path: str) -> tuple[tuple[str, str], ...]:
    """(name below /sys/fs/cgroup, directory) to show the container; one with name "" is the whole, on v2."""
    found = layout()
    if found.v2_controllers:
        return (("", f"{found.v2}/{path}"),)
    v1 = dict.fromkeys(found.v1[name] for name in _ALWAYS if name in found.v1)
    return tuple((base.rsplit("/", 1)[1], f"{base}/{path}") for base in v1)


def processes(path: str) -> list[int]:
    """Pids of the cgroup and those below it."""
    found = set[int]()
    base = next(directories(path), None)
    for directory in _tree(base) if base else ():
        found.update(int(line) for line in files.read(f"{directory}/cgroup.procs").split())
    return sorted(found)


def _tree(directory: str) -> Iterator[str]:
    """Deepest first, the directory itself last."""
    with suppress(FileNotFoundError):
        for entry in os.scandir(directory):
            if entry.is_dir(follow_symlinks=False):
                yield from _tree(entry.path)
        yield directory


def kill_all(path: str) -> None:
    """SIGKILL to everything in it and below, forks on the run included."""
    found = layout()
    kill = f"{found.v2}/{path}/cgroup.kill"
    if found.v2 and os.path.exists(kill):
        files.write(kill, "1")
        return
    freeze(path)
    for pid in processes(path):
        with suppress(ProcessLookupError):
            os.kill(pid, SIGKILL)
    thaw(path)


def freeze(path: str) -> None:
    _freezer(path, "1", "FROZEN")


def thaw(path: str) -> None:
    _freezer(path, "0", "THAWED")


def frozen(path: str) -> bool:
    found = layout()
    if found.v2:
        return files.read(f"{found.v2}/{path}/cgroup.freeze").strip() == "1"
    return "freezer" in found.v1 and "FRO" in files.read(f"{found.v1['freezer']}/{path}/freezer.state")


def _freezer(path: str, v2: str, v1: str) -> None:
    found = layout()
    with suppress(RuntimeFailure):
        if found.v2 and os.path.exists(f"{found.v2}/{path}/cgroup.freeze"):
            files.write(f"{found.v2}/{path}/cgroup.freeze", v2)
        elif "freezer" in found.v1:
            files.write(f"{found.v1['freezer']}/{path}/freezer.state", v1)


def stats(path: str) -> Stats:
    """FileNotFoundError when the cgroup is gone."""
    found = layout()
    if next(directories(path), None) is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    used, peak = 0, memory.Oom(0, None, None)
    working = tasks = 0
    if found.controller("memory"):
        at = found.path("memory", path)
        is_v2 = found.controller("memory") == 2
        working = memory.working_set_v2(at) if is_v2 else memory.working_set_v1(at)
        peak = memory.oom_v2(at) if is_v2 else memory.oom_v1(at)
    if found.controller("cpu") == 2:
        used = cpu.used_v2(found.path("cpu", path))
    elif found.controller("cpuacct"):
        used = cpu.used_v1(found.path("cpuacct", path))
    if found.controller("pids"):
        tasks = pids.current(found.path("pids", path))
    return Stats(cpu_ns=used, memory_bytes=working, memory_peak_bytes=peak.peak or 0, pids=tasks)


def oom(path: str) -> Oom:
    """Out-of-memory kills so far, with limit and peak; (0, None, None) without the memory controller."""
    found = layout()
    if not found.controller("memory"):
        return Oom(0, None, None)
    at = found.path("memory", path)
    return memory.oom_v2(at) if found.controller("memory") == 2 else memory.oom_v1(at)


def oom_fd(path: str) -> int:
    """A descriptor to poll; after it fires ask `oom`. The caller closes it.

    v1: an eventfd (POLLIN, read 8 bytes), which fires on removal too. v2: memory.events (POLLPRI, read again from 0).
    -1 without the memory controller.
    """
    found = layout()
    if not found.controller("memory"):
        return -1
    at = found.path("memory", path)
    if found.controller("memory") == 2:
        return os.open(f"{at}/memory.events", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    control = os.open(f"{at}/memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
    try:
        files.write(f"{at}/cgroup.event_control", f"{event} {control}")
    except RuntimeFailure:
        os.close(event)
        raise
    finally:
        os.close(control)
    return event


def _removed(directory: str) -> bool:
    """False when something is in it."""
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def remove(path: str, patience: float = 2.0) -> None:
    """With those below. Waits up to `patience` seconds for killed processes to be gone; OSError EBUSY after that."""
    deadline = 0.0
    for base in _places(path):
        if _removed(base):  # mostly: then nobody need look for what is below
            continue
        for directory in _tree(base):
            pause = 0.0005
            while True:
                try:
                    os.rmdir(directory)
                except FileNotFoundError:
                    pass
                except OSError as error:
                    deadline = deadline or time.monotonic() + patience
                    if error.errno != errno.EBUSY or time.monotonic() > deadline:
                        raise
                    time.sleep(pause)  # a zombie leaves its cgroup only when it has wholly exited; there is no event
                    pause = min(pause * 2, 0.02)
                    continue
                break
