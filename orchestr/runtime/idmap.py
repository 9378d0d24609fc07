"""Ids of a user namespace and those of the machine: OCI `uidMappings`, `gidMappings`, and /proc/PID/uid_map.

A range is (container, host, size), as in user_namespaces(7); ids go to 2^32 - 2, for 2^32 - 1 means "unchanged" to the
kernel. Ranges of users and groups are independent, and id 0 need not be in one.
"""

import os
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, Self

from orchestr.runtime.seam import RuntimeFailure

ROOM: Final = 2**32 - 1  # ids are below
LIMIT: Final = 340  # lines that the kernel takes
OVERFLOW: Final = 65534
Range = tuple[int, int, int]


class Mappings(NamedTuple):
    uids: tuple[Range, ...]
    gids: tuple[Range, ...]

    @classmethod
    def shifted(cls, base: int, count: int) -> Self:
        """The same for users and groups, from id 0."""
        ranges = ((0, base, count),)
        return cls(ranges, ranges)

    def host_uid(self, id: int) -> int:
        """RuntimeFailure when it has none."""
        return _host(self.uids, id, "uid")

    def host_gid(self, id: int) -> int:
        return _host(self.gids, id, "gid")

    def owner(self) -> tuple[int, int]:
        """The (uid, gid) inside of who prepares the container: root, or the first there is."""
        return tuple(  # type: ignore[return-value]
            0 if any(first == 0 for first, _, _ in ranges) else ranges[0][0] for ranges in self
        )


HOST: Final = Mappings.shifted(0, ROOM)


def _host(ranges: Iterable[Range], id: int, what: str) -> int:
    for first, host, size in ranges:
        if first <= id < first + size:
            return host + id - first
    raise RuntimeFailure(f"cannot use {what} {id}: not in the container's mappings (map it)", reason="StartError")


def parse(linux: Mapping[str, Any]) -> Mappings:
    """`linux.uidMappings` and `gidMappings`, both there. RuntimeFailure with the JSON pointer."""
    uids, gids = (_ranges(linux, key) for key in ("uidMappings", "gidMappings"))
    return Mappings(uids, gids)


def _ranges(linux: Mapping[str, Any], key: str) -> tuple[Range, ...]:
    found: list[Range] = []
    for index, item in enumerate(linux.get(key) or ()):
        pointer = f"/linux/{key}/{index}"
        first, host, size = (int(item[name]) for name in ("containerID", "hostID", "size"))
        if size < 1 or min(first, host) < 0 or max(first, host) + size > ROOM:
            raise _wrong(pointer, f"{first} {host} {size} is no range of ids below {ROOM}")
        for other in found:
            if _overlap(first, size, other[0], other[2]) or _overlap(host, size, other[1], other[2]):
                raise _wrong(pointer, "it overlaps another range")
        found.append((first, host, size))
    if not found:
        raise _wrong(f"/linux/{key}", "a new user namespace needs at least one range")
    if len(found) > LIMIT:
        raise _wrong(f"/linux/{key}", f"more than {LIMIT} ranges")
    return tuple(found)


def _overlap(a: int, size_a: int, b: int, size_b: int) -> bool:
    return a < b + size_b and b < a + size_a


def _wrong(pointer: str, cause: str) -> RuntimeFailure:
    return RuntimeFailure(f"cannot use {pointer}: {cause} (see user_namespaces(7))", reason="StartError")


def own() -> Mappings:
    """Every id of this process's user namespace to itself: for a new one without mappings, as crun has it."""
    uids, gids = of(os.getpid())
    return Mappings(*(tuple((first, first, size) for first, _, size in ranges) for ranges in (uids, gids)))


def of(pid: int) -> Mappings:
    """Of a process's user namespace, to the ids of this one. OSError when it has ended."""
    uids, gids = (_read(f"/proc/{pid}/{name}") for name in ("uid_map", "gid_map"))
    return Mappings(uids, gids)


def _read(path: str) -> tuple[Range, ...]:
    with open(path) as file:
        rows = [tuple(int(word) for word in line.split()) for line in file]
    return tuple((first, host, size) for first, host, size in rows)


def write(pid: int, mappings: Mappings) -> None:
    """In one write each, as the kernel wants it. OSError."""
    for name, ranges in (("uid_map", mappings.uids), ("gid_map", mappings.gids)):
        text = "\n".join(f"{first} {host} {size}" for first, host, size in ranges)
        fd = os.open(f"/proc/{pid}/{name}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)
