"""OCI linux.maskedPaths and linux.readonlyPaths: steps after all mounts. What is not there is passed over."""

import errno
import os
import stat
from collections.abc import Sequence
from typing import Final

from orchestr.runtime import syscalls as sc
from orchestr.runtime import targets
from orchestr.runtime.devices import DEVICES, host_node
from orchestr.runtime.mountcontext import Context, attach, change, clone, stage
from orchestr.runtime.plan import Result
from orchestr.runtime.seam import RuntimeFailure

_ABSENT: Final = (errno.ENOENT, errno.ENOTDIR)
_EMPTY: Final = sc.MOUNT_ATTR_RDONLY | sc.MOUNT_ATTR_NOSUID | sc.MOUNT_ATTR_NODEV | sc.MOUNT_ATTR_NOEXEC


def mask(context: Context, paths: Sequence[str]) -> None:
    """Hides paths: the host's /dev/null, checked (CVE-2025-31133), over files; one empty tmpfs over all directories."""
    kinds = {path: _kind(context, path) for path in map(_absolute, paths)}
    empty = -1
    if any(kind != "file" and kind != "" for kind in kinds.values()):
        empty = context.own(sc.new_mount(b"tmpfs", ((b"size", b"4k"), (b"mode", b"555")), _EMPTY))
        stage(context, empty, "the empty directory")
    for path, kind in kinds.items():
        if kind in ("directory", "unknown"):
            _directory(context, path, empty, skip=2 if kind == "unknown" else 0)
        if kind in ("file", "unknown"):
            _file(context, path)


def _absolute(path: str) -> str:
    if not path.startswith("/") or "\0" in path:
        raise RuntimeFailure(f"cannot mask or protect path {path!r}: not absolute (write it from the container's /)")
    return path


def _base(context: Context, path: str) -> tuple[int | Result, str]:
    """The mount to look in and the rest of the path. /proc and /sys are looked in themselves: whoever shares the root
    may have moved the directory that they are mounted on, and what is not found is not masked.
    """
    kernel, slash, rest = path[1:].partition("/")
    found = context.kernel.get(f"/{kernel}")
    return (context.root, path) if found is None or not slash else (found, rest)


def _kind(context: Context, path: str) -> str:
    """The container's own proc and sysfs show the names that the host's show, so one need not be looked for there."""
    if _base(context, path)[0] is context.root:
        return "unknown"
    try:
        return "directory" if stat.S_ISDIR(os.stat(path).st_mode) else "file"
    except OSError:
        return ""


def _directory(context: Context, path: str, empty: int, *, skip: int) -> None:
    """`skip`: steps after it, for when it was a directory."""
    b = context.builder
    flags = sc.O_PATH | os.O_DIRECTORY
    base, name = _base(context, path)
    target = targets.open_existing(b, base, name, "open", flags=flags, tolerate=_ABSENT, missing=2, where=path)
    cover = clone(b, empty, b"", "the empty directory", path)
    b.add("mask", path, "move_mount", cover, b"", target, b"", sc.MOVE_MOUNT_EMPTY, done=skip)


def _file(context: Context, path: str) -> None:
    b = context.builder
    null = context.own(sc.open_tree(host_node("null", DEVICES["null"]), ""))
    base, name = _base(context, path)
    target = targets.open_existing(b, base, name, "open", tolerate=_ABSENT, missing=1, where=path)
    b.add("mask", path, "move_mount", null, b"", target, b"", sc.MOVE_MOUNT_EMPTY)


def read_only(context: Context, paths: Sequence[str]) -> None:
    """Binds paths of the container over themselves, read-only."""
    attr = sc.mount_attr(sc.MOUNT_ATTR_RDONLY)
    for path in dict.fromkeys(map(_absolute, paths)):
        if not _kind(context, path):
            continue
        b = context.builder
        base, name = _base(context, path)
        target = targets.open_existing(b, base, name, "open", tolerate=_ABSENT, missing=3, where=path)
        cover = clone(b, target, b"", "what is to be read-only", path, recursive=True)
        change(b, cover, attr, "make read-only", path, recursive=True)
        attach(b, cover, target, "read-only copy", path)
