"""What COPY and ADD mean by their sources, and its digest."""

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from orchestr.images.build.patterns import Patterns, compile_, magic
from orchestr.images.build.trees import Refused, children, open_in, walk

READ = os.O_RDONLY | os.O_NONBLOCK


class Selected(NamedTuple):
    path: str  # in the source tree, "" for all of it
    kept: str  # with --parents: the directories that come along, "" else


def select(root: int, sources: Sequence[str], parents: bool = False) -> list[Selected]:
    """Refused when a source matches nothing."""
    found: list[Selected] = []
    for source in sources:
        pivot, inner = _pivot(source) if parents else ("", source)
        paths = list(_matches(root, "/".join((pivot, inner)), source))
        for path in paths:
            kept = ""
            if parents:
                base = pivot.strip("/").count("/") + 1 if pivot.strip("/") else 0
                kept = "/".join(path.split("/")[base:])
            found.append(Selected(path, kept))
    return found


def _pivot(source: str) -> tuple[str, str]:
    """Of a/b/./c only what follows the dot is kept."""
    before, dot, after = source.partition("/./")
    return (before, after) if dot else ("", source)


def _matches(root: int, pattern: str, source: str) -> Iterator[str]:
    parts: list[str] = []
    for part in pattern.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    found = [""]
    for at, part in enumerate(parts):
        if part == "**":
            found = [path for before in found for path in _below(root, before)]
        elif magic(part):
            rule = compile_(part)
            found = [f"{b}/{n}".strip("/") for b in found for n in _names(root, b) if rule.fullmatch(n)]
        else:
            found = [f"{before}/{part}".strip("/") for before in found]
            if len(found) > 1 or at == len(parts) - 1:
                found = [path for path in found if _there(root, path)]
    if not found:
        raise Refused(f"{source} is not there" if not magic(source) else f"nothing matches {source}")
    yield from found


def _names(root: int, path: str) -> list[str]:
    try:
        folder = open_in(root, path, os.O_PATH | os.O_DIRECTORY)
    except OSError:
        return []
    try:
        return children(folder)
    finally:
        os.close(folder)


def _below(root: int, path: str) -> list[str]:
    """The directory itself and all directories below it."""
    found = [path]
    try:
        folder = open_in(root, path, os.O_PATH | os.O_DIRECTORY)
    except OSError:
        return []
    try:
        found += [f"{path}/{p}".strip("/") for p, status, _, _ in walk(folder) if stat.S_ISDIR(status.st_mode)]
    finally:
        os.close(folder)
    return found


def _there(root: int, path: str) -> bool:
    try:
        os.close(open_in(root, path))
    except OSError:
        return False
    return True


def digest(root: int, selected: Sequence[Selected], exclude: Patterns) -> str:
    """Of names, kinds, rights, owners and content; times do not count."""
    total = hashlib.sha256()
    for path, kept in selected:
        total.update(f"{os.path.basename(path)}\0{kept}\0".encode("utf-8", "surrogateescape"))
        source = open_in(root, path, READ)
        try:
            status = os.stat(source)
            _count(total, "", status)
            if stat.S_ISDIR(status.st_mode):
                for name, each, folder, last in included(source, exclude):
                    _count(total, name, each)
                    if stat.S_ISLNK(each.st_mode):
                        total.update(os.fsencode(os.readlink(last, dir_fd=folder)) + b"\0")
                    elif stat.S_ISREG(each.st_mode):
                        with open(os.open(last, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder), "rb") as file:
                            total.update(hashlib.file_digest(file, "sha256").digest())
            elif stat.S_ISREG(status.st_mode):
                with open(os.dup(source), "rb") as file:
                    total.update(hashlib.file_digest(file, "sha256").digest())
        finally:
            os.close(source)
    return total.hexdigest()


def _count(total: "hashlib._Hash", name: str, status: os.stat_result) -> None:
    line = f"{name}\0{status.st_mode:o} {status.st_uid} {status.st_gid}\0"
    total.update(line.encode("utf-8", "surrogateescape"))


def included(source: int, exclude: Patterns) -> Iterator[tuple[str, os.stat_result, int, str]]:
    """`walk` without what is excluded; what is an exception is told without the directories above it."""
    for path, status, folder, name in walk(source):
        if not exclude.match(path):
            yield path, status, folder, name
