"""OCI mount options (runtime-spec config.md, "Linux mount options") as mount attributes, propagation and parameters.

For the filesystems that a container always has the set of options is closed: what is not in these tables is refused,
before anything is made. For others (ext4, overlay, ...) an unknown word is the filesystem's, and its to refuse.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from orchestr.runtime import syscalls as sc
from orchestr.runtime.seam import RuntimeFailure

# option: (attributes to set, attributes to clear); with an "r" in front the same for everything below the mount
_ATTRS: Final[Mapping[str, tuple[int, int]]] = {
    "ro": (sc.MOUNT_ATTR_RDONLY, 0),
    "rw": (0, sc.MOUNT_ATTR_RDONLY),
    "nosuid": (sc.MOUNT_ATTR_NOSUID, 0),
    "suid": (0, sc.MOUNT_ATTR_NOSUID),
    "nodev": (sc.MOUNT_ATTR_NODEV, 0),
    "dev": (0, sc.MOUNT_ATTR_NODEV),
    "noexec": (sc.MOUNT_ATTR_NOEXEC, 0),
    "exec": (0, sc.MOUNT_ATTR_NOEXEC),
    # Four words for a field of three values; what is negated falls back to the kernel's default, relatime.
    "noatime": (sc.MOUNT_ATTR_NOATIME, sc.MOUNT_ATTR_ATIME),
    "atime": (0, sc.MOUNT_ATTR_ATIME),
    "relatime": (0, sc.MOUNT_ATTR_ATIME),
    "norelatime": (0, sc.MOUNT_ATTR_ATIME),
    "strictatime": (sc.MOUNT_ATTR_STRICTATIME, sc.MOUNT_ATTR_ATIME),
    "nostrictatime": (0, sc.MOUNT_ATTR_ATIME),
    "nodiratime": (sc.MOUNT_ATTR_NODIRATIME, 0),
    "diratime": (0, sc.MOUNT_ATTR_NODIRATIME),
    "nosymfollow": (sc.MOUNT_ATTR_NOSYMFOLLOW, 0),
    "symfollow": (0, sc.MOUNT_ATTR_NOSYMFOLLOW),
}
_PROPAGATION: Final = {
    "private": sc.MS_PRIVATE,
    "slave": sc.MS_SLAVE,
    "shared": sc.MS_SHARED,
    "unbindable": sc.MS_UNBINDABLE,
}
# Of a whole filesystem, not of a mount: a bind has them from its source, as with mount(8).
_SUPERBLOCK: Final = frozenset({"sync", "async", "dirsync", "lazytime", "nolazytime", "mand", "nomand"})
_LABELS: Final = frozenset({"context", "fscontext", "defcontext", "rootcontext"})
_TMPFS: Final = (
    "size mode uid gid nr_inodes nr_blocks huge mpol inode64 inode32 noswap quota usrquota grpquota "
    "usrquota_block_hardlimit usrquota_inode_hardlimit grpquota_block_hardlimit grpquota_inode_hardlimit casefold "
    "strict_encoding"
)
_PARAMETERS: Final[Mapping[str, frozenset[str]]] = {
    "tmpfs": _LABELS.union(_TMPFS.split()),
    "devpts": _LABELS.union(("newinstance", "ptmxmode", "mode", "uid", "gid", "max")),
    "proc": frozenset({"hidepid", "subset", "gid", "pidns"}),
    "sysfs": frozenset(),
    "mqueue": _LABELS,
    "cgroup": frozenset({"nsdelegate", "memory_recursiveprot", "memory_localevents", "favordynmods"}),
    "cgroup2": frozenset({"nsdelegate", "memory_recursiveprot", "memory_localevents", "favordynmods"}),
}
# A bind is no new filesystem, and the kernel ignores what is said for one. Callers who give each of their mounts the
# same options count on that; a word that no filesystem here knows is still refused.
_IGNORED_BY_BIND: Final = frozenset().union(*_PARAMETERS.values())
# Said, and already so: iversion has been on wherever there is one since Linux 5.18; silent is about the kernel's log.
_NOTHING: Final = frozenset({"defaults", "silent", "loud", "acl", "iversion", "noiversion"})
_SWITCHES: Final[Mapping[str, str]] = {
    "remount": "remount",
    "tmpcopyup": "copy_up",
    "copy-symlink": "copy_symlink",
    "src-nofollow": "source_itself",
    "dest-nofollow": "target_itself",
}
_SUBPATH: Final = "x-orch.subpath="


class Options(NamedTuple):
    bind: bool = False
    recursive: bool = False  # bind: with the mounts below
    on: int = 0
    off: int = 0
    deep_on: int = 0  # "rro": for everything below too
    deep_off: int = 0
    propagation: int = 0
    deep_propagation: bool = False
    idmap: bool = False
    deep_idmap: bool = False
    ranges: str = ""  # of idmap=RANGES, see idmapped.ranges
    subpath: str = ""  # "x-orch.subpath=a/b": below the source, resolved without leaving it
    parameters: tuple[tuple[bytes, bytes | None], ...] = ()
    remount: bool = False
    copy_up: bool = False  # tmpfs: with what the root has at that place
    copy_symlink: bool = False  # a source that is a symbolic link is made again, not followed
    source_itself: bool = False  # a symbolic link as source or target is mounted, or mounted on, itself
    target_itself: bool = False


def parse(options: Iterable[str], fstype: str, where: str) -> Options:
    """Raises RuntimeFailure naming the first option that is not known for this type of mount."""
    options = list(options)
    bind = fstype == "bind" or "bind" in options or "rbind" in options
    known = _IGNORED_BY_BIND if bind else _PARAMETERS.get(fstype)
    found: dict[str, int] = {}
    changed: dict[str, bool | int | str] = {"bind": bind}
    parameters: list[tuple[bytes, bytes | None]] = []
    for option in options:
        if option in _ATTRS:
            _merge(found, "", *_ATTRS[option])
        elif option[:1] == "r" and option[1:] in _ATTRS:
            _merge(found, "deep_", *_ATTRS[option[1:]])
        elif option.removeprefix("r") in _PROPAGATION:
            name = option.removeprefix("r")
            changed.update(propagation=_PROPAGATION[name], deep_propagation=name != option)
        elif option in ("bind", "rbind"):
            changed["recursive"] = changed.get("recursive", False) or option == "rbind"
        elif option in ("idmap", "ridmap"):
            changed.update(idmap=True, deep_idmap=option == "ridmap")
        elif bind and option.startswith(("idmap=", "ridmap=")):
            changed.update(idmap=True, deep_idmap=option[0] == "r", ranges=option.partition("=")[2])
        elif option.startswith(_SUBPATH):
            changed["subpath"] = option[len(_SUBPATH) :]
        elif option in _SWITCHES:
            changed[_SWITCHES[option]] = True
        elif option in _NOTHING:
            continue
        elif option in _SUPERBLOCK or known is None or option.partition("=")[0] in known:
            key, equals, value = option.partition("=")
            if not bind:
                parameters.append((key.encode(), value.encode() if equals else None))
        else:
            raise RuntimeFailure(
                f"cannot mount {where}: option {option!r} is not supported for {'bind' if bind else fstype}",
                reason="StartError",
            )
    return Options()._replace(parameters=tuple(parameters), **changed, **found)  # type: ignore[arg-type]


def root_propagation(name: str) -> tuple[int, bool]:
    """OCI `linux.rootfsPropagation`: (propagation, for everything below too); (0, False) when it is not given."""
    if not name:
        return 0, False
    if name.removeprefix("r") not in _PROPAGATION:
        raise RuntimeFailure(f"cannot use rootfsPropagation {name!r}: not supported (one of {', '.join(_PROPAGATION)})")
    return _PROPAGATION[name.removeprefix("r")], name not in _PROPAGATION


def _merge(found: dict[str, int], prefix: str, on: int, off: int) -> None:
    """The later option wins, as with mount(8)."""
    on_key, off_key = f"{prefix}on", f"{prefix}off"
    found[on_key] = (found.get(on_key, 0) & ~off) | on
    found[off_key] = (found.get(off_key, 0) & ~on) | off
