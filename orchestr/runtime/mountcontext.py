"""What the mounts of one launch share, and the steps that they have in common."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from orchestr.runtime import syscalls as sc
from orchestr.runtime import targets
from orchestr.runtime.idmap import HOST, Mappings
from orchestr.runtime.plan import Builder, Result

# Of the machine, in the child's copy of its mounts, which is left at the end: a directory and a file that it has.
_STAGE, _STAGE_FILE = b"/dev", b"/proc/version"


class Context:
    """The mounts so far and where they go."""

    __slots__ = (
        "builder",
        "bundle",
        "cgroup_mounts",
        "cgroup_v2",
        "fds",
        "ids",
        "kernel",
        "label",
        "late",
        "made",
        "private",
        "root",
        "root_path",
        "userns",
    )

    def __init__(
        self,
        builder: Builder,
        root: int,
        userns: int,
        fds: list[int],
        cgroup_mounts: tuple[tuple[str, str], ...] = (),
        *,
        cgroup_v2: str = "",
        bundle: str = "",
        root_path: str = "",
        ids: Mappings = HOST,
        private: bool = True,
        label: str = "",
    ) -> None:
        self.builder = builder
        self.root: int | Result = root  # descriptor of the container's root mount, or of what was mounted on it
        self.userns = userns  # of the container, -1 when the host's ids are used
        self.fds = fds  # everything opened here; the caller closes it after the launch
        self.cgroup_mounts = cgroup_mounts  # (name below /sys/fs/cgroup, host directory); one named "" is v2
        self.cgroup_v2 = cgroup_v2  # host directory of the container's cgroup in the unified tree, "" for none
        self.bundle = bundle  # OCI bundle that sources are relative to; "" for the agent
        self.root_path = root_path  # the root on the host: what is bound from there is bound inside
        self.ids = ids
        self.private = private  # whether the child has a copy of the machine's mounts, which it may attach to
        self.label = label  # SELinux context of new filesystems
        self.made: list[tuple[str, int]] = []  # (destination, descriptor of a bind that can be looked into, or -1)
        self.kernel: dict[str, int | Result] = {}  # /proc, /sys: what was mounted there
        self.late: list[tuple[str, int | Result]] = []  # to become read-only when all is mounted

    def own(self, fd: int) -> int:
        self.fds.append(fd)
        return fd

    @contextmanager
    def look(self, destination: str) -> Iterator[int]:
        """An O_PATH descriptor of what the container will have there as far as can be seen from here; else -1."""
        base, rest, best = self.root if isinstance(self.root, int) else -1, destination, ""
        for path, fd in self.made:
            if (destination == path or destination.startswith(f"{path}/")) and len(path) >= len(best):
                base, rest, best = fd, destination[len(path) :], path
        fd = -1
        if base >= 0:
            try:
                fd = sc.openat2(base, rest.strip("/") or ".", sc.O_PATH)
            except OSError:
                fd = -1
        try:
            yield fd
        finally:
            if fd >= 0:
                os.close(fd)


def attach(b: Builder, mount: int | Result, target: int | Result, what: str, where: str) -> None:
    b.add(f"attach {what}", where, "move_mount", mount, b"", target, b"", sc.MOVE_MOUNT_EMPTY)


def stage(context: Context, mount: int, what: str, *, directory: bool = True) -> None:
    """Attaches a mount where only the child sees it, so that it can be cloned: a detached one cannot before 6.15."""
    if context.private:
        context.builder.add(
            f"stage {what}", "", "move_mount", mount, b"", sc.AT_FDCWD, _STAGE if directory else _STAGE_FILE, 0x04
        )


def clone(b: Builder, at: int | Result, name: bytes, what: str, where: str, *, recursive: bool = False) -> Result:
    """The child's clone of a mount in its own namespace."""
    flags = sc.OPEN_TREE_CLONE | sc.OPEN_TREE_CLOEXEC | (0 if name else sc.AT_EMPTY_PATH)
    return b.keep(f"clone {what}", where, "open_tree", at, name, flags | (sc.AT_RECURSIVE if recursive else 0))


def change(b: Builder, mount: int | Result, attr: bytes, what: str, where: str, *, recursive: bool = False) -> None:
    flags = sc.AT_EMPTY_PATH | (sc.AT_RECURSIVE if recursive else 0)
    b.add(what, where, "mount_setattr", mount, b"", flags, attr, len(attr))


def resolve(context: Context, destination: str, what: str) -> str:
    """Where a destination that is not there yet leads: links that hang in the air are followed, within the root.

    The kernel follows all others itself. What comes back is resolved by it again, so a link that changes meanwhile
    leads no further than into the container. Only for bundles, whose callers count on it; in a pod it is an error.
    """
    names = targets.parts(destination, what)
    path = "/" + "/".join(names)
    if not context.bundle or any(path.startswith(f"{made}/") for made, _ in context.made):
        return path
    with context.look(path) as fd:
        if fd >= 0:
            return path
    done: list[str] = []
    links = 0
    while names:
        name = names.pop(0)
        if name == "..":
            done = done[:-1]
            continue
        target = _link(context, "/" + "/".join((*done, name)))
        if target is None:
            done.append(name)
            continue
        links += 1
        if links > 40:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if target.startswith("/"):
            done = []
        names = [*(part for part in target.split("/") if part not in ("", ".")), *names]
    return "/" + "/".join(done)


def _link(context: Context, path: str) -> str | None:
    """What a symbolic link in the container's root says; None for anything else."""
    if not isinstance(context.root, int):
        return None
    try:
        fd = sc.openat2(context.root, path.strip("/"), sc.O_PATH | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        return os.readlink("", dir_fd=fd)
    except OSError:
        return None
    finally:
        os.close(fd)
