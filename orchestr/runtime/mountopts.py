"""OCI mount options (runtime-spec config.md, "mounts") as mount attributes, propagation and filesystem parameters.

The set of options is closed: what is not in these tables is refused, never handed to the kernel as it came.
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
    "noatime": (sc.MOUNT_ATTR_NOATIME, sc.MOUNT_ATTR_ATIME),
    "relatime": (0, sc.MOUNT_ATTR_ATIME),
    "strictatime": (sc.MOUNT_ATTR_STRICTATIME, sc.MOUNT_ATTR_ATIME),
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
_PARAMETERS: Final[Mapping[str, frozenset[str]]] = {
    "tmpfs": frozenset({"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "huge", "inode64", "inode32"}),
    "devpts": frozenset({"newinstance", "ptmxmode", "mode", "uid", "gid", "max"}),
    "proc": frozenset({"hidepid", "subset"}),
}
_NOTHING: Final = frozenset({"defaults", "silent", "loud", "async", "acl"})  # said, and already so
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
    subpath: str = ""  # "x-orch.subpath=a/b": below the source, resolved without leaving it
    parameters: tuple[tuple[bytes, bytes | None], ...] = ()


def parse(options: Iterable[str], fstype: str, where: str) -> Options:
    """Raises RuntimeFailure naming the first option that is not known for this type of mount."""
    found: dict[str, int] = {}
    result = Options(bind=fstype == "bind")
    parameters: list[tuple[bytes, bytes | None]] = []
    for option in options:
        deep, base = (True, option[1:]) if option[:1] == "r" and option[1:] in _ATTRS else (False, option)
        if option in ("bind", "rbind"):
            result = result._replace(bind=True, recursive=result.recursive or option == "rbind")
        elif option in ("idmap", "ridmap"):
            result = result._replace(idmap=True, deep_idmap=option == "ridmap")
        elif option.startswith(_SUBPATH):
            result = result._replace(subpath=option[len(_SUBPATH) :])
        elif option in _ATTRS or deep:
            on, off = _ATTRS[option] if option in _ATTRS else _ATTRS[base]
            deep = option not in _ATTRS
            _merge(found, "deep_" if deep else "", on, off)
        elif option.removeprefix("r") in _PROPAGATION:
            name = option.removeprefix("r")
            result = result._replace(propagation=_PROPAGATION[name], deep_propagation=name != option)
        elif option.partition("=")[0] in _PARAMETERS.get(fstype, ()):
            key, _, value = option.partition("=")
            parameters.append((key.encode(), value.encode() if value else None))
        elif option not in _NOTHING:
            raise RuntimeFailure(
                f"cannot mount {where}: option {option!r} is not supported for {fstype}", reason="StartError"
            )
    on, off = found.get("on", 0), found.get("off", 0)
    deep_on, deep_off = found.get("deep_on", 0), found.get("deep_off", 0)
    return result._replace(parameters=tuple(parameters), on=on, off=off, deep_on=deep_on, deep_off=deep_off)


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
