"""The context of a build as whoever asks for it can read it: an archive without what .dockerignore leaves out.

The daemon gets the bytes and never a path, so that nobody has a file read that he could not read himself.
"""

import os
import stat
import tarfile
from typing import IO

from orchestr.images.build.patterns import Patterns, read
from orchestr.images.build.seam import BuildError


def ignored(folder: str, dockerfile: str) -> Patterns:
    """Of Dockerfile.dockerignore beside the Dockerfile, else of .dockerignore. BuildError."""
    for path in (f"{dockerfile}.dockerignore", os.path.join(folder, ".dockerignore")):
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                return read(file.read())
        except FileNotFoundError:
            continue
        except ValueError as error:
            raise BuildError(f"cannot read {path}: {error}") from error
    return Patterns(())


def write(folder: str, ignore: Patterns, out: IO[bytes]) -> None:
    """The archive: all belongs to root, sockets and devices are left out. BuildError for what cannot be read."""
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        _folder(archive, folder, "", ignore)


def _folder(archive: tarfile.TarFile, folder: str, prefix: str, ignore: Patterns) -> None:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise BuildError(f"cannot read {folder}: {error.strerror} (or leave it out by .dockerignore)") from error
    for entry in entries:
        path = prefix + entry.name
        out = ignore.match(path)
        real_folder = entry.is_dir(follow_symlinks=False)
        if not out:
            _entry(archive, entry, path)
        if real_folder and (not out or ignore.exceptions):
            _folder(archive, entry.path, f"{path}/", ignore)


def _entry(archive: tarfile.TarFile, entry: "os.DirEntry[str]", path: str) -> None:
    try:
        status = entry.stat(follow_symlinks=False)
        info = tarfile.TarInfo(path)
        info.mode, info.mtime = stat.S_IMODE(status.st_mode), status.st_mtime
        if stat.S_ISLNK(status.st_mode):
            info.type, info.linkname = tarfile.SYMTYPE, os.readlink(entry.path)
            archive.addfile(info)
        elif stat.S_ISDIR(status.st_mode):
            info.type = tarfile.DIRTYPE
            archive.addfile(info)
        elif stat.S_ISREG(status.st_mode):
            with open(entry.path, "rb") as file:
                info.size = os.fstat(file.fileno()).st_size
                archive.addfile(info, file)
    except OSError as error:
        raise BuildError(
            f"cannot read {entry.path}: {error.strerror or error} (or leave it out by .dockerignore)"
        ) from error
