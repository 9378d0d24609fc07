"""Who a process runs as: "redis", "redis:redis", "0:5" looked up in the container's own /etc/passwd and /etc/group.

The files belong to whoever made the image: they are opened by descriptor below the root, without blocking, must be
regular, and one MiB of them is read (CVE-2024-9676). Numbers beyond 2^31-2 are refused there
(CVE-2024-40635); the caller's own go to 2^32-2, for 2^32-1 is "unchanged" to setresuid(2).
"""

import os
import stat
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from orchestr.runtime import syscalls as sc
from orchestr.runtime.seam import RuntimeFailure

LIMIT: Final = 1 << 20  # bytes read of each file
LAST_ID: Final = 2**31 - 2
_DIGITS: Final = 20  # of a number that is looked at; leading zeros are fine


class User(NamedTuple):
    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    home: str = ""  # "" when not looked up or unknown
    keep: bool = False  # the caller's own supplementary groups, instead of `groups`


def keeps_groups(config: Mapping[str, Any]) -> bool:
    """crun(1)'s annotation of a bundle, by which podman's `--group-add keep-groups` is done."""
    return str((config.get("annotations") or {}).get("run.oci.keep_original_groups") or "0") != "0"


def number(text: str | int, what: str) -> int:
    """0 .. 2^31-2 in ASCII digits; RuntimeFailure else."""
    if isinstance(text, int):
        value = text
    else:  # some digits only: int() raises on very many
        value = int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else -1
    if not 0 <= value <= LAST_ID:
        raise RuntimeFailure(
            f"cannot use {what} {repr(text)[:40]}: not a number from 0 to {LAST_ID}", reason="StartError"
        )
    return value


def _given(user: Mapping[str, Any], key: str) -> int:
    value = user.get(key) or 0
    if type(value) is not int or not 0 <= value <= 2**32 - 2:
        raise RuntimeFailure(f"cannot use /process/user/{key} {value!r}: not a number from 0 to {2**32 - 2}")
    return value


def of_process(user: Mapping[str, Any], root: int, *, home: bool) -> User:
    """OCI `process.user`; with `username` ("redis:redis", "1000") that is looked up and decides."""
    name = str(user.get("username") or "")
    groups = tuple(_given({"additionalGids": group}, "additionalGids") for group in user.get("additionalGids") or ())
    if name:
        found = resolve(root, name)
        return found._replace(groups=(*found.groups, *groups))
    uid, gid = _given(user, "uid"), _given(user, "gid")
    entries = _entries(root, "etc/passwd", 6) if home else ()
    return User(uid, gid, groups, next((fields[5] for fields in entries if fields[2] == str(uid)), ""))


def resolve(root: int, spec: str) -> User:
    """As Docker reads USER: name or uid, then optionally ":" and a group's name or gid.

    A user given by name or known number without a group gets the groups that /etc/group lists for it.
    """
    name, colon, group = spec.partition(":")
    entry = next(
        (e for e in _entries(root, "etc/passwd", 6) if e[0] == name or (name.isdigit() and e[2] == name)), None
    )
    if entry is None and not name.isdigit():
        raise RuntimeFailure(
            f"cannot run as user {name!r}: not in the image's /etc/passwd (give a number)", reason="StartError"
        )
    uid = number(entry[2] if entry else name, "uid")
    home = entry[5] if entry else ""
    if colon and group:
        return User(uid, _group(root, group), (), home)
    gid = number(entry[3], "gid") if entry else 0
    listed = (e for e in _entries(root, "etc/group", 4) if entry and entry[0] in e[3].split(","))
    return User(uid, gid, tuple(number(e[2], "gid") for e in listed if e[2] != str(gid)), home)


def _group(root: int, group: str) -> int:
    if group.isdigit():
        return number(group, "gid")
    entry = next((e for e in _entries(root, "etc/group", 3) if e[0] == group), None)
    if entry is None:
        raise RuntimeFailure(
            f"cannot run as group {group!r}: not in the image's /etc/group (give a number)", reason="StartError"
        )
    return number(entry[2], "gid")


def _entries(root: int, path: str, fields: int) -> Iterator[list[str]]:
    # Not splitlines(): it takes 10 other characters for the end of a line, and whoever may write one in a comment
    # (chfn) would write entries.
    for line in _read(root, path).split("\n"):
        parts = line.split(":")
        if len(parts) >= fields:
            yield parts


def _read(root: int, path: str) -> str:
    """ "" when it is missing, a link out of the root, no regular file. Bytes that are no UTF-8 stay what they are."""
    try:
        # Looked at before it is opened: to open a device node that the container made may already do harm.
        place = sc.openat2(root, path, sc.O_PATH)
    except OSError:
        return ""
    try:
        if not stat.S_ISREG(os.fstat(place).st_mode):
            return ""
        fd = os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    finally:
        os.close(place)
    try:
        return os.read(fd, LIMIT).decode(errors="surrogateescape")
    except BlockingIOError:  # a link to something in the container's /proc
        return ""
    finally:
        os.close(fd)
