"""COPY and ADD, in a child whose root directory is the image's: whatever links are in it lead nowhere else."""

import os
import stat
import tarfile
from collections.abc import Mapping, Sequence
from typing import IO, Any

from orchestr.images.build.modes import changed
from orchestr.images.build.owners import Owner
from orchestr.images.build.patterns import Patterns
from orchestr.images.build.selecting import READ, Selected, included
from orchestr.images.build.trees import Refused, open_in
from orchestr.images.unpack import XATTRS, Counted, Hostile, compression

PIECE = 1 << 20


class Copier:
    """Writes below the present root directory."""

    def __init__(self, owner: Owner | None, mode: str, exclude: Patterns) -> None:
        """`owner` None: as the source has it. `mode`: octal or symbolic, "" as the source has it."""
        self._owner, self._mode, self._exclude = owner, mode, exclude

    def copy(self, root: int, selected: Sequence[Selected], target: str, *, parents: bool, unpack: bool) -> None:
        """Every source to `target`, an absolute path; it is a directory when it ends in a slash or must be one."""
        for path, kept in selected:
            source = open_in(root, path, READ)
            try:
                self._one(root, source, path, kept, target, parents=parents, unpack=unpack)
            finally:
                os.close(source)

    def _one(self, root: int, source: int, path: str, kept: str, target: str, *, parents: bool, unpack: bool) -> None:
        status = os.stat(source)
        if parents:
            place = os.path.join(target, kept)
            self._parents(root, path, kept, target)
        elif stat.S_ISDIR(status.st_mode):
            place = target
        elif target.endswith("/") or os.path.isdir(target):
            place = os.path.join(target, os.path.basename(path))
        else:
            place = os.path.realpath(target)
        if stat.S_ISDIR(status.st_mode):
            self._tree(source, place, status, kept=parents)
        elif stat.S_ISREG(status.st_mode) and unpack and self._unpacked(source, target, path):
            return
        elif stat.S_ISREG(status.st_mode):
            self.folder(os.path.dirname(place.rstrip("/")) or "/")
            self._file(os.dup(source), place, status)
        else:
            raise Refused(f"/{path} is neither a file nor a directory")

    def _parents(self, root: int, path: str, kept: str, target: str) -> None:
        """The directories of `kept`, with the rights that they have in the source."""
        self.folder(target)
        above, parts = path[: len(path) - len(kept)], kept.split("/")[:-1]
        for at in range(len(parts)):
            inner = "/".join(parts[: at + 1])
            place = os.path.join(target, inner)
            if not os.path.isdir(place):
                folder = open_in(root, above + inner)
                try:
                    os.mkdir(place)
                    self._finish(place, os.stat(folder))
                finally:
                    os.close(folder)

    def folder(self, path: str) -> None:
        """The directory and those above it; new ones belong to the owner that was asked for, else to root."""
        if os.path.isdir(path):
            return
        if os.path.lexists(path) and not os.path.islink(path):
            raise Refused(f"{path} is there and is not a directory")
        if os.path.islink(path):  # to what is not there yet
            path = os.path.realpath(path)
        self.folder(os.path.dirname(path.rstrip("/")) or "/")
        if os.path.isdir(path):
            return
        os.mkdir(path, 0o755)
        uid, gid = self._owner or (0, 0)
        os.chown(path, uid, gid)

    def _tree(self, source: int, place: str, status: os.stat_result, *, kept: bool) -> None:
        """The content of a directory; the directory's own rights only where it is copied under its own name."""
        fresh, folders = not os.path.isdir(place), list[tuple[str, os.stat_result]]()
        self.folder(place)
        if fresh or kept:
            self._finish(place, status)
            folders.append((place, status))
        for path, each, folder, name in included(source, self._exclude):
            at = os.path.join(place, path)
            if stat.S_ISDIR(each.st_mode):
                self._folder_like(at, each)
                folders.append((at, each))
            elif stat.S_ISLNK(each.st_mode):
                self._above(at, place)
                _clear(at)
                os.symlink(os.readlink(name, dir_fd=folder), at)
                os.chown(at, *(self._owner or (each.st_uid, each.st_gid)), follow_symlinks=False)
                os.utime(at, (each.st_mtime, each.st_mtime), follow_symlinks=False)
            elif stat.S_ISREG(each.st_mode):
                self._above(at, place)
                self._file(os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder), at, each)
        for at, each in reversed(folders):  # what was put in has changed them
            os.utime(at, (each.st_mtime, each.st_mtime))

    def _above(self, path: str, root: str) -> None:
        """A directory that was left out itself, for an exception below it."""
        folder = os.path.dirname(path)
        if not os.path.isdir(folder) and len(folder) > len(root):
            self.folder(folder)

    def _folder_like(self, path: str, status: os.stat_result) -> None:
        if os.path.lexists(path) and not os.path.isdir(path):
            raise Refused(f"{path} is there and is not a directory")
        if not os.path.isdir(path):
            self.folder(os.path.dirname(path))
            os.mkdir(path)
        self._finish(path, status)

    def _file(self, source: int, place: str, status: os.stat_result) -> None:
        """Closes `source`. What is at the place gives way, a link too."""
        with open(source, "rb") as reading:
            if os.path.isdir(place):
                raise Refused(f"{place} is a directory, and a file should take its place")
            _clear(place)
            with open(place, "xb") as writing:
                while piece := reading.read(PIECE):
                    writing.write(piece)
            attributes = {name: os.getxattr(reading.fileno(), name) for name in os.listxattr(reading.fileno())}
        self._finish(place, status)
        for name, value in attributes.items():
            if name.startswith(XATTRS):
                os.setxattr(place, name, value)

    def _finish(self, place: str, status: os.stat_result) -> None:
        os.chown(place, *(self._owner or (status.st_uid, status.st_gid)))
        os.chmod(place, changed(status.st_mode, self._mode))
        os.utime(place, (status.st_mtime, status.st_mtime))

    # -- archives

    def _unpacked(self, source: int, target: str, path: str) -> bool:
        """ADD of an archive puts what is in it below `target`; False when it is not an archive."""
        with open(os.dup(source), "rb") as file:
            try:
                archive = _archive(file)
            except (tarfile.TarError, Hostile, EOFError, OSError, ValueError):
                os.lseek(source, 0, os.SEEK_SET)
                return False
            with archive:
                self._members(archive, target, path)
        return True

    def extract(self, file: IO[bytes], target: str) -> None:
        """An archive that is not compressed."""
        with tarfile.open(fileobj=file, mode="r|") as archive:
            self._members(archive, target, "the archive")

    def _members(self, archive: tarfile.TarFile, target: str, path: str) -> None:
        self.folder(target)
        try:
            for member in archive:
                self._member(archive, member, target)
                archive.members = []  # type: ignore[attr-defined]  # a stream's are of no use again
        except (tarfile.TarError, Hostile, EOFError) as error:
            raise Refused(f"cannot unpack {path}: {error}") from error

    def _member(self, archive: tarfile.TarFile, member: tarfile.TarInfo, target: str) -> None:
        """One entry. The root directory is the image, so that nothing outside can be meant; `..` is refused still."""
        parts = [part for part in member.name.split("/") if part not in ("", ".")]
        if ".." in parts or (member.islnk() and ".." in member.linkname.split("/")):
            raise Refused(f"entry {member.name} of the archive leaves it")
        if not parts:
            return
        place = os.path.join(target, *parts)
        if member.isdir():
            if not os.path.isdir(place):
                _clear(place)
                self.folder(os.path.dirname(place))
                os.mkdir(place)
            os.chown(place, *(self._owner or (member.uid, member.gid)))
            os.chmod(place, changed(member.mode, self._mode))
            os.utime(place, (member.mtime, member.mtime))
            return
        self.folder(os.path.dirname(place))
        _clear(place)
        if member.issym():
            os.symlink(member.linkname, place)
        elif member.islnk():
            os.link(os.path.join(target, member.linkname.lstrip("/")), place, follow_symlinks=False)
            return
        elif member.isfile():
            content = archive.extractfile(member)
            with open(place, "xb") as file:
                while content and (piece := content.read(PIECE)):
                    file.write(piece)
        else:
            raise Refused(f"entry {member.name} of the archive is neither a file, a directory nor a link")
        os.chown(place, *(self._owner or (member.uid, member.gid)), follow_symlinks=False)
        if not member.issym():
            os.chmod(place, changed(member.mode, self._mode))
        os.utime(place, (member.mtime, member.mtime), follow_symlinks=False)


def _archive(file: Any) -> tarfile.TarFile:
    head = file.read(6)
    file.seek(0)
    if compression(head):
        return tarfile.open(fileobj=Counted(file), mode="r|")  # type: ignore[call-overload,no-any-return]
    kind = "bz2" if head.startswith(b"BZh") else "xz" if head == b"\xfd7zXZ\0" else ""
    return tarfile.open(fileobj=file, mode=f"r:{kind}")  # type: ignore[call-overload,no-any-return]


def _clear(place: str) -> None:
    """A file or link that is in the way."""
    if os.path.islink(place) or os.path.lexists(place):
        if os.path.isdir(place) and not os.path.islink(place):
            raise Refused(f"{place} is a directory, and a file or link should take its place")
        os.unlink(place)


def write_files(folder: str, files: Mapping[str, str]) -> None:
    """Here-documents as sources."""
    for name, content in files.items():
        with open(os.path.join(folder, name), "xb") as file:
            file.write(content.encode("utf-8", "surrogateescape"))
            os.fchmod(file.fileno(), 0o644)
