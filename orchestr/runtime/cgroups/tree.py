"""A cgroup's directories: made with their parents, entered, listed, removed."""

import errno
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Final, NamedTuple

from orchestr.runtime.cgroups import cpuset, files
from orchestr.runtime.cgroups.layout import SYSTEMD, Layout, layout
from orchestr.runtime.seam import RuntimeFailure

_MADE: Final = "trusted.orch.made"  # xattr of a parent that `create` made: who removes the last below removes it, too
_DELEGATED: Final = ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads")  # without /sys/kernel/cgroup/delegate


class Entrance(NamedTuple):
    """How a new process gets in: v1 `tasks` files to write "0" to, and a v2 directory to be born in (-1: none)."""

    files: tuple[int, ...]
    directory: int


def checked(path: str) -> str:
    if not path or path.startswith("/") or ".." in path.split("/"):
        raise RuntimeFailure(f"cannot use cgroup {path!r}: not a relative path without '..'")
    return path


def path_of(cgroups_path: str, default: str) -> str:
    """`/linux/cgroupsPath` as a path below each hierarchy's root: absolute and relative mean the same."""
    parts = [part for part in (cgroups_path or default).split("/") if part not in ("", ".")]
    if ".." in parts or not parts:
        raise RuntimeFailure(
            f"cannot use /linux/cgroupsPath {cgroups_path!r}: "
            f"{'it leads out of where it starts' if parts else 'it names the root'} (name a cgroup below the root)"
        )
    return "/".join(parts)


def places(path: str) -> list[str]:
    """Where the cgroup may have a directory; the unified tree first. None for "": a container without a cgroup."""
    if not path:
        return []
    found = layout()
    return [f"{base}/{path}" for base in dict.fromkeys((*([found.v2] if found.v2 else ()), *found.v1.values()))]


def directories(path: str) -> Iterator[str]:
    """Those of the cgroup that exist."""
    return filter(os.path.isdir, places(path))


def make(base: str, path: str, *, is_cpuset: bool = False, mark: bool = False) -> None:
    try:
        os.mkdir(f"{base}/{path}")
        made = True
    except FileExistsError:
        made = True
    except FileNotFoundError:
        made = False
    if is_cpuset or not made:
        at, last = base, f"{base}/{path}"
        for name in path.split("/"):
            parent, at = at, f"{at}/{name}"
            _make_one(at, mark and at != last)
            if is_cpuset:
                cpuset.inherit_v1(parent, at)


def _make_one(directory: str, mark: bool) -> None:
    with suppress(FileExistsError):
        os.mkdir(directory)
        if mark:
            with suppress(OSError):  # without it the empty parent stays
                os.setxattr(directory, _MADE, b"1")


def make_v2(found: Layout, path: str, wanted: Iterable[str], *, mark: bool) -> None:
    names = [name for name in wanted if name in found.v2_controllers]
    if not names:
        make(found.v2, path, mark=mark)
        return
    at, last = found.v2, f"{found.v2}/{path}"
    for name in path.split("/"):
        _enable(at, names)
        at = f"{at}/{name}"
        _make_one(at, mark and at != last)
    if "memory" in found.v2_controllers:
        files.must_write(f"{at}/memory.oom.group", "1")  # one process out of memory ends the whole container


def _enable(directory: str, names: Iterable[str]) -> None:
    """For the children of this cgroup. What is refused is told where a limit needs it: its file will not be there."""
    present = files.read(f"{directory}/cgroup.subtree_control").split()
    missing = [f"+{name}" for name in names if name not in present]
    if not missing:
        return
    try:
        files.write(f"{directory}/cgroup.subtree_control", " ".join(missing))
    except OSError:
        for word in missing:  # all or nothing: then each by itself
            with suppress(OSError):
                files.write(f"{directory}/cgroup.subtree_control", word)


def join_late(path: str, controller: str) -> None:
    """A limit for a cgroup that was made without this controller: its directory is made, its processes move there."""
    found = layout()
    if found.controller(controller) == 2:
        at = found.v2
        for name in path.split("/"):
            _enable(at, [controller])
            at = f"{at}/{name}"
        return
    base = found.v1[controller]
    if os.path.isdir(f"{base}/{path}"):
        return
    inside = processes(path)
    make(base, path, is_cpuset=controller == "cpuset")
    for pid in inside:
        with suppress(ProcessLookupError):
            files.write(f"{base}/{path}/cgroup.procs", str(pid))


def delegate(directory: str, owner: int) -> None:
    """runtime-spec config-linux.md "Cgroup ownership": the directory, and of its files those that the kernel lists."""
    listed = files.read("/sys/kernel/cgroup/delegate").split() or _DELEGATED
    os.chown(directory, owner, -1)
    for name in listed:
        with suppress(FileNotFoundError):
            os.chown(f"{directory}/{name}", owner, -1)


def entrance(path: str, init: int = 0, below: Mapping[str, str] | None = None) -> Entrance:
    """Opens it; the caller closes the descriptors.

    `init`: a process of the container. Where that has made cgroups of its own (v2), no process may be in this one: then
    new ones get in where that process is. `below`: cgroups of the container's own to get into, by controller, "" for
    all that have it; RuntimeFailure when it is nowhere.
    """
    found, wanted = layout(), _inside(below or {})
    v1, hits = list[int](), 0
    for base in dict.fromkeys(found.v1.values()):
        at, hit = _chosen(found, base, f"{base}/{path}", wanted)
        hits += hit
        with suppress(FileNotFoundError):
            v1.append(os.open(f"{at}/tasks", os.O_WRONLY | os.O_CLOEXEC))
    directory = -1
    if found.v2:
        at, hit = _chosen(found, "", f"{found.v2}/{path}", wanted)
        hits += hit
        if init and found.pure and "" not in wanted and files.read(f"{at}/cgroup.subtree_control").strip():
            at = _of_process(found, path, init)
        directory = os.open(at, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    if wanted.get("") and not hits:
        raise _nowhere(wanted[""])
    return Entrance(tuple(v1), directory)


def _inside(below: Mapping[str, str]) -> dict[str, str]:
    """Without slashes around; "" as name of a controller is all of them."""
    for name, sub in below.items():
        if ".." in sub.split("/"):
            raise RuntimeFailure(f"cannot enter cgroup {sub}: bad sub cgroup path, `..` components are not allowed")
        if name and name not in layout().v1:
            raise RuntimeFailure(f"cannot enter cgroup {name}:{sub}: unknown controller {name} (see /proc/self/cgroup)")
    return {name: "/".join(part for part in sub.split("/") if part not in ("", ".")) for name, sub in below.items()}


def _chosen(found: Layout, base: str, at: str, wanted: Mapping[str, str]) -> tuple[str, bool]:
    """(directory, whether it is one below)."""
    named = next((sub for name, sub in wanted.items() if name and found.v1[name] == base), None)
    sub = wanted.get("", "") if named is None else named
    if sub and os.path.isdir(f"{at}/{sub}"):
        return f"{at}/{sub}", True
    if sub and named is not None:
        raise _nowhere(sub)
    return at, False


def _nowhere(sub: str) -> RuntimeFailure:
    return RuntimeFailure(f"cannot enter cgroup {sub}: adding pid to it: no such file or directory (make it first)")


def _of_process(found: Layout, path: str, pid: int) -> str:
    text = files.read(f"/proc/{pid}/cgroup")
    shown = next((line[3:] for line in text.splitlines() if line.startswith("0::")), "")
    inside = f"{shown.strip('/')}/".startswith(f"{path}/") and ".." not in shown.split("/")
    return f"{found.v2}{shown}" if inside else f"{found.v2}/{path}"


def add(path: str, pid: int) -> None:
    """Moves a living process in."""
    for directory in directories(path):
        files.must_write(f"{directory}/cgroup.procs", str(pid))


def mounts(path: str) -> tuple[tuple[str, str], ...]:
    """(name below /sys/fs/cgroup, directory) to show the container; one with name "" is the whole, on v2."""
    found = layout()
    if found.pure:
        return (("", f"{found.v2}/{path}"),)
    v1 = dict.fromkeys(base for name, base in found.v1.items() if name != SYSTEMD)
    return tuple((base.rsplit("/", 1)[1], f"{base}/{path}") for base in v1 if os.path.isdir(f"{base}/{path}"))


def directory_v2(path: str) -> str:
    """The cgroup's directory in the unified tree, "" when that is not mounted or does not have it."""
    base = layout().v2
    return f"{base}/{path}" if base and os.path.isdir(f"{base}/{path}") else ""


def processes(path: str) -> list[int]:
    """Pids of the cgroup and those below it."""
    found = set[int]()
    base = next(directories(path), None)
    for directory in walk(base) if base else ():
        found.update(_of(directory))
    return sorted(found)


def _of(directory: str) -> Iterator[int]:
    try:
        yield from map(int, files.read(f"{directory}/cgroup.procs").split())
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:  # of a threaded cgroup (v2), whose processes its domain may not show
            raise
        for thread in files.read(f"{directory}/cgroup.threads").split():
            status = files.read(f"/proc/{thread}/status")
            yield from (int(line.split()[1]) for line in status.splitlines() if line.startswith("Tgid:"))


def walk(directory: str) -> Iterator[str]:
    """Deepest first, the directory itself last."""
    with suppress(FileNotFoundError):
        for entry in os.scandir(directory):
            if entry.is_dir(follow_symlinks=False):
                yield from walk(entry.path)
        yield directory


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
    for base in places(path):
        if not _removed(base):  # mostly it is: then nobody need look for what is below
            deadline = _remove_tree(base, patience, deadline)
        _remove_made(base, path.count("/"))


def _remove_tree(base: str, patience: float, deadline: float) -> float:
    for directory in walk(base):
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
    return deadline


def _remove_made(directory: str, parents: int) -> None:
    """Parents that `create` made, as long as nothing else is in them."""
    with suppress(OSError):
        for _ in range(parents):
            directory = directory.rpartition("/")[0]
            os.getxattr(directory, _MADE)
            os.rmdir(directory)
