"""A finished upper directory as a layer: one archive that is the same for the same files, and the directory like it.

Whiteouts and opaque directories go from overlayfs' form to the archive's (image-spec layer.md). What the archive cannot
say is taken from the directory too, so that it is exactly what unpacking the archive elsewhere gives: parts of seconds,
sockets, overlayfs' own attributes.
"""

import hashlib
import os
import stat
import tarfile
from typing import IO, Any

from orchestr.images.build.trees import Refused, walk
from orchestr.images.unpack import XATTRS

OPAQUE = "trusted.overlay.opaque"
INCOMPLETE = ("trusted.overlay.redirect", "trusted.overlay.metacopy")


class _Hashed:
    """A file for writing that knows its digest."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw, self.size, self.digest = raw, 0, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.size += len(data)
        return self._raw.write(data)


def pack(upper: int, target: int, epoch: int | None) -> dict[str, Any]:
    """{"digest", "size"}, or {"empty": True} when there is nothing in it. Closes `target`.

    No time is later than `epoch`.
    """
    with open(target, "wb") as raw:
        if not os.listdir(upper) and stat.S_IMODE(os.stat(upper).st_mode) == 0o755:
            return {"empty": True}
        hashed = _Hashed(raw)
        with tarfile.open(fileobj=hashed, mode="w|", format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload]
            _fill(archive, upper, epoch)
    return {"digest": f"sha256:{hashed.digest.hexdigest()}", "size": hashed.size}


def _fill(archive: tarfile.TarFile, upper: int, epoch: int | None) -> None:
    links: dict[tuple[int, int], str] = {}
    folders: list[tuple[str, int]] = []
    root = os.stat(upper)
    if stat.S_IMODE(root.st_mode) != 0o755 or root.st_uid or root.st_gid:
        archive.addfile(_info("./", root, _time(root, epoch)))
    for path, status, folder, name in walk(upper):
        if stat.S_ISSOCK(status.st_mode):
            os.unlink(name, dir_fd=folder)
            continue
        if name.startswith(".wh."):
            raise Refused(f"the name of /{path} means a whiteout in a layer (name it otherwise)")
        if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
            archive.addfile(_whiteout(path, name))
            continue
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode) or stat.S_ISLNK(status.st_mode)
                or stat.S_ISFIFO(status.st_mode)):  # fmt: skip
            raise Refused(f"/{path} is a device node (a layer may not have one)")
        _entry(archive, path, status, folder, name, links, epoch)
        if stat.S_ISDIR(status.st_mode):
            folders.append((path, _time(status, epoch)))
    for path, moment in reversed(folders):  # what was taken out has changed them
        os.utime(path, (moment, moment), dir_fd=upper, follow_symlinks=False)


def _entry(
    archive: tarfile.TarFile,
    path: str,
    status: os.stat_result,
    folder: int,
    name: str,
    links: dict[tuple[int, int], str],
    epoch: int | None,
) -> None:
    info = _info(path, status, _time(status, epoch))
    opaque = False
    if stat.S_ISLNK(status.st_mode):
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(name, dir_fd=folder)
        os.utime(name, (info.mtime, info.mtime), dir_fd=folder, follow_symlinks=False)
        archive.addfile(info)
        return
    if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
        first = links.setdefault((status.st_dev, status.st_ino), path)
        if first != path:
            info.type, info.linkname, info.size = tarfile.LNKTYPE, first, 0
            archive.addfile(info)
            return
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    with open(descriptor, "rb", closefd=True) if not stat.S_ISDIR(status.st_mode) else _Folder(descriptor) as file:
        info.pax_headers, opaque = _attributes(descriptor, path)
        os.utime(descriptor, (info.mtime, info.mtime))
        archive.addfile(info, file if stat.S_ISREG(status.st_mode) else None)
    if opaque:
        archive.addfile(_whiteout(f"{path}/.opq", ".wh..opq"))


class _Folder:
    """Closes a directory's descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def _attributes(descriptor: int, path: str) -> tuple[dict[str, str], bool]:
    """The attributes that a layer keeps, and whether the directory hides what is below it."""
    kept, opaque = {}, False
    for name in sorted(os.listxattr(descriptor)):
        if name in INCOMPLETE:
            raise Refused(f"/{path} is not whole on disk ({name}; the kernel's overlay must not redirect)")
        if name.startswith(XATTRS):
            kept[f"SCHILY.xattr.{name}"] = os.getxattr(descriptor, name).decode("utf-8", "surrogateescape")
        elif name == OPAQUE:
            opaque = True
        elif name.startswith("trusted.overlay."):
            os.removexattr(descriptor, name)
    return kept, opaque


def _time(status: os.stat_result, epoch: int | None) -> int:
    return max(0, int(status.st_mtime) if epoch is None else min(int(status.st_mtime), epoch))


def _info(path: str, status: os.stat_result, mtime: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path)
    mode = status.st_mode
    info.type = tarfile.DIRTYPE if stat.S_ISDIR(mode) else tarfile.FIFOTYPE if stat.S_ISFIFO(mode) else tarfile.REGTYPE
    info.size = status.st_size if stat.S_ISREG(mode) else 0
    info.mode, info.uid, info.gid, info.mtime = stat.S_IMODE(mode), status.st_uid, status.st_gid, mtime
    return info


def _whiteout(path: str, name: str) -> tarfile.TarInfo:
    folder = path.rpartition("/")[0]
    info = tarfile.TarInfo(f"{folder}/.wh.{name}" if folder else f".wh.{name}")
    info.mode = 0
    return info
