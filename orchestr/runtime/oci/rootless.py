"""orch-oci for an ordinary user: the command makes itself root of a user namespace of its own, and goes on as always.

The namespace has the user as 0 and, where /etc/subuid and /etc/subgid grant some and newuidmap(1) is there, the user's
subordinate ids from 1 on. The container's own user namespace is made below it; host ids of the bundle's mappings are
those of the machine, and are looked up in it. A later command on the container joins the same namespace, by the
container's process. Sources: user_namespaces(7), subuid(5), newuidmap(1), ioctl_ns(2).
"""

import fcntl
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, NoReturn

from orchestr.runtime import syscalls as sc
from orchestr.runtime.seam import RuntimeFailure

_NS_GET_PARENT: Final = 0xB702
ENTERED: Final = "entered"  # value of --rootless for the second run
_LIMIT: Final = 32  # lines of /proc/PID/uid_map that are of use here; the kernel takes 340


class Range(NamedTuple):
    """`size` ids: from `inside` on in the namespace, from `outside` on in its parent."""

    inside: int
    outside: int
    size: int


class Maps(NamedTuple):
    uids: tuple[Range, ...]
    gids: tuple[Range, ...]


def entered(common: Mapping[str, Sequence[str]]) -> Maps | None:
    """The maps of our namespace when this is the command that `enter` ran; None for everybody else."""
    if ENTERED not in common.get("rootless", ()):
        return None
    return Maps(_own("uid_map"), _own("gid_map"))


def enter(root: str) -> NoReturn:
    """Runs this command again as root of a new user and mount namespace. RuntimeFailure.

    Again, and not just on: what a process keeps from others (undumpable) is opened to whoever owns the namespace that
    it was executed in, and for containers that wait to be started that must be the user (proc(5), ptrace(2)).
    """
    try:
        _unshare(sc.CLONE_NEWUSER, _granted())
        _again(root)
    except OSError as error:
        raise RuntimeFailure(
            f"cannot become root of a user namespace: {error.strerror} (may ordinary users make them here? see"
            " user.max_user_namespaces, kernel.unprivileged_userns_clone)"
        ) from error


def _again(root: str) -> NoReturn:
    sc.call("setresgid", 0, 0, 0)
    sc.call("setresuid", 0, 0, 0)
    sc.call("unshare", sc.CLONE_NEWNS)  # mounts of our own, and so the right to run from a sealed program (sealed.py)
    attr = sc.mount_attr(0, 0, sc.MS_SLAVE)
    sc.call("mount_setattr", sc.AT_FDCWD, b"/", sc.AT_RECURSIVE, attr, len(attr))
    front = sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 1]
    os.execv(sys.executable, [*front, "--rootless", ENTERED, "--root", root, *sys.argv[1:]])


def join(root: str, pid: int) -> None:
    """Runs this command again in the namespace that the user namespace of container process `pid` was made in.

    Returns when that is ours, or there is no such process. RuntimeFailure.
    """
    if not pid:
        return
    try:
        own = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # it has ended: there is nothing to be root of
    except OSError as error:
        raise RuntimeFailure(f"cannot reach container process {pid}: {error.strerror} (is it yours?)") from error
    try:
        parent = fcntl.ioctl(own, _NS_GET_PARENT)
        try:
            if os.fstat(parent).st_ino == os.stat("/proc/self/ns/user").st_ino:
                return
            sc.call("setns", parent, sc.CLONE_NEWUSER)
        finally:
            os.close(parent)
        _again(root)
    except OSError as error:
        raise RuntimeFailure(f"cannot reach container process {pid}: {error.strerror} (is it yours?)") from error
    finally:
        os.close(own)


def translated(config: Mapping[str, Any], maps: Maps) -> dict[str, Any]:
    """The bundle's configuration with the machine's ids in its mappings as ids of our namespace. RuntimeFailure."""
    linux = config.get("linux") or {}
    if not any(item.get("type") == "user" for item in linux.get("namespaces") or ()):
        raise RuntimeFailure(
            "cannot use /linux/namespaces: an ordinary user's container needs a user namespace (see spec --rootless)"
        )
    changed = {
        key: [
            part
            for index, entry in enumerate(linux.get(key) or ())
            for part in _looked_up(entry, ranges, f"/linux/{key}/{index}")
        ]
        for key, ranges in (("uidMappings", maps.uids), ("gidMappings", maps.gids))
    }
    return {**config, "linux": {**linux, **{key: found for key, found in changed.items() if found}}}


def _looked_up(entry: Mapping[str, Any], ranges: Sequence[Range], where: str) -> Iterable[dict[str, int]]:
    """The parts of a mapping, one for each range that it lies in."""
    host, container, left = int(entry["hostID"]), int(entry["containerID"]), int(entry["size"])
    while left:
        home = next((r for r in ranges if r.outside <= host < r.outside + r.size), None)
        if home is None:
            raise RuntimeFailure(
                f"cannot map {where}/hostID: {host} is none of this user's ids (have /etc/subuid and /etc/subgid grant"
                " it, and newuidmap installed)"
            )
        count = min(left, home.outside + home.size - host)
        yield {"containerID": container, "hostID": home.inside + host - home.outside, "size": count}
        host, container, left = host + count, container + count, left - count


def _granted() -> Maps:
    """What this user may map: itself, and its subordinate ids when both helpers are there."""
    uid, gid = os.geteuid(), os.getegid()
    import shutil

    helpers = shutil.which("newuidmap") and shutil.which("newgidmap")
    ids = [subordinate(path, uid) if helpers else [] for path in ("/etc/subuid", "/etc/subgid")]
    if not all(ids):
        return Maps((Range(0, uid, 1),), (Range(0, gid, 1),))
    return Maps(_after(uid, ids[0]), _after(gid, ids[1]))


def _after(own: int, granted: Sequence[tuple[int, int]]) -> tuple[Range, ...]:
    found, at = [Range(0, own, 1)], 1
    for start, count in granted[: _LIMIT - 1]:
        found.append(Range(at, start, count))
        at += count
    return tuple(found)


def subordinate(path: str, uid: int) -> list[tuple[int, int]]:
    """(first, count) of each line of subuid(5) or subgid(5) that is this user's, by name or by number."""
    names = {str(uid).encode()}
    try:
        import pwd

        names.add(pwd.getpwuid(uid).pw_name.encode())
    except KeyError:
        pass  # a number alone
    try:
        with open(path, "rb") as file:
            fields = [line.strip().split(b":") for line in file]
    except OSError:
        return []
    return [
        (int(parts[1]), int(parts[2]))
        for parts in fields
        if len(parts) == 3 and parts[0] in names and parts[1].isdigit() and parts[2].isdigit() and int(parts[2])
    ]


def _unshare(flag: int, maps: Maps) -> None:
    """The new namespace is mapped from outside: newuidmap(1) wants to see a process that is not its own."""
    alone = all(len(ranges) == 1 for ranges in maps)
    if alone:
        sc.call("unshare", flag)
        _write("/proc/self/setgroups", "deny")
        for name, (only,) in (("uid_map", maps.uids), ("gid_map", maps.gids)):
            _write(f"/proc/self/{name}", f"{only.inside} {only.outside} {only.size}")
        return
    ready, go = os.pipe2(os.O_CLOEXEC)
    pid, helper = os.getpid(), os.fork()
    if helper == 0:
        os.close(go)
        os._exit(_map_from_outside(pid, maps) if os.read(ready, 1) else 1)
    os.close(ready)
    try:
        sc.call("unshare", flag)
        os.write(go, b"1")
    finally:
        os.close(go)
        status = os.waitpid(helper, 0)[1]
    if status:
        raise RuntimeFailure(
            "cannot map this user's subordinate ids: newuidmap or newgidmap failed (its words are above)"
        )


def _map_from_outside(pid: int, maps: Maps) -> int:
    """Runs the helpers, which may map what /etc/subuid grants; an exit code."""
    import subprocess

    for program, ranges in (("newuidmap", maps.uids), ("newgidmap", maps.gids)):
        words = [str(number) for each in ranges for number in each]
        if subprocess.run([program, str(pid), *words], stdin=subprocess.DEVNULL).returncode:
            return 1
    return 0


def _own(name: str) -> tuple[Range, ...]:
    with open(f"/proc/self/{name}") as file:
        return tuple(Range(*(int(word) for word in line.split())) for line in file)


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
