"""What differs between two stacks of layers, as overlayfs would show them: added, changed, deleted.

Contents count, and type, mode, owner, links and attributes; times do not. Of a directory that is gone only itself is
told.
"""

import filecmp
import os
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_ATTRIBUTES = ("user.", "security.capability")


class Change(NamedTuple):
    kind: str  # A, C or D, as Docker has them
    path: str


def differences(before: Sequence[str], after: Sequence[str]) -> Iterator[Change]:
    """Of layer directories, top first."""
    yield from _compare(list(before), list(after), "")


def _compare(before: list[str], after: list[str], path: str) -> Iterator[Change]:
    old, new = _entries(before), _entries(after)
    for name in sorted({*old, *new}):
        here, was, now = f"{path}/{name}", old.get(name, []), new.get(name, [])
        if was == now:
            continue
        if not now:
            yield Change("D", here)
            continue
        if not was or _differ(was[0], now[0]):
            yield Change("C" if was else "A", here)
        if _is_folder(now[0]):
            yield from _compare(was if was and _is_folder(was[0]) else [], now, here)


def _entries(folders: Sequence[str]) -> dict[str, list[str]]:
    """By name, the paths that make up the entry: one, or those of the directories that are merged, top first."""
    found: dict[str, list[str]] = {}
    closed: set[str] = set()
    for folder in folders:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name in closed:
                    continue
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    found.setdefault(entry.name, []).append(entry.path)
                    if _opaque(entry.path):
                        closed.add(entry.name)
                    continue
                closed.add(entry.name)
                if entry.name not in found and not (stat.S_ISCHR(status.st_mode) and status.st_rdev == 0):
                    found[entry.name] = [entry.path]
    return found


def _opaque(folder: str) -> bool:
    try:
        return os.getxattr(folder, "trusted.overlay.opaque", follow_symlinks=False) == b"y"
    except OSError:
        return False


def _is_folder(path: str) -> bool:
    return stat.S_ISDIR(os.lstat(path).st_mode)


def _differ(before: str, after: str) -> bool:
    old, new = os.lstat(before), os.lstat(after)
    if (old.st_mode, old.st_uid, old.st_gid, old.st_rdev) != (new.st_mode, new.st_uid, new.st_gid, new.st_rdev):
        return True
    if stat.S_ISLNK(old.st_mode):
        return os.readlink(before) != os.readlink(after)
    if _attributes(before) != _attributes(after):
        return True
    return stat.S_ISREG(old.st_mode) and not filecmp.cmp(before, after, shallow=False)


def _attributes(path: str) -> dict[str, bytes]:
    names = [name for name in os.listxattr(path, follow_symlinks=False) if name.startswith(_ATTRIBUTES)]
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in names}
