"""Where things go inside a container: steps that open a path in its root, making what is missing.

Every path is resolved by openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS) on the root's descriptor, directories are
made by mkdirat on the parent's; so a hostile symlink in an image or a volume can lead nowhere but into the container.
"""

import errno
import os
from typing import Final

from orchestr.runtime import syscalls as sc
from orchestr.runtime.plan import Builder, Result
from orchestr.runtime.seam import RuntimeFailure

_HERE: Final = sc.INSIDE | sc.RESOLVE_NO_SYMLINKS
_NO_MAGIC: Final = sc.INSIDE


def parts(path: str, where: str) -> list[str]:
    """The components of an absolute path. Raises RuntimeFailure on "..", a NUL, a relative path."""
    names = [name for name in path.split("/") if name not in ("", ".")]
    if not path.startswith("/") or ".." in names or "\0" in path:
        raise RuntimeFailure(
            f"cannot use path {path!r} to {where}: not absolute, or with '..' (write it from the container's /)",
            reason="StartError",
        )
    return names


def open_existing(
    b: Builder,
    root: int | Result,
    path: str,
    what: str,
    *,
    flags: int = sc.O_PATH,
    tolerate: tuple[int, ...] = (),
    missing: int = 0,
    resolve: int = sc.INSIDE,
    where: str = "",
) -> Result:
    """An O_PATH descriptor of what is there. `where` is what messages call it, when that is not the path."""
    how = sc.open_how(flags | os.O_CLOEXEC, 0, resolve)
    name = path.strip("/") or "."
    return b.keep(
        what, where or path, "openat2", root, os.fsencode(name), how, len(how), tolerate=tolerate, missing=missing
    )


def open_or_make(
    b: Builder, root: int | Result, path: str, what: str, *, directory: bool, symlinks: bool = True
) -> Result:
    """An O_PATH descriptor of the directory (or file) at `path`, made with its parents when it is not there."""
    names = parts(path, what)
    resolve = sc.INSIDE if symlinks else sc.INSIDE | sc.RESOLVE_NO_SYMLINKS
    final = sc.open_how(sc.O_PATH | (os.O_DIRECTORY if directory else 0), 0, resolve)
    middle = sc.open_how(sc.O_PATH | os.O_DIRECTORY, 0, resolve)
    whole = os.fsencode("/".join(names) or ".")
    slot = b.slot()
    absent = (errno.ENOENT,)
    b.keep(what, path, "openat2", root, whole, final, len(final), slot=slot, tolerate=absent, done=2 * len(names))
    parent: int | Result = root
    for depth, name in enumerate(names, 1):
        last = depth == len(names)
        prefix = os.fsencode("/".join(names[:depth]))
        encoded = os.fsencode(name)
        if last and not directory:
            # Read-only: one that is open for writing would keep the root from becoming read-only.
            made = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_RDONLY
            b.add(f"make the file to {what}", path, "openat", parent, encoded, made, 0o644, tolerate=(errno.EEXIST,))
        else:
            b.add(f"make the directory to {what}", path, "mkdirat", parent, encoded, 0o755, tolerate=(errno.EEXIST,))
        how = final if last else middle
        # The same slot for every depth: each one is the parent of the next.
        parent = b.keep(what, path, "openat2", root, prefix, how, len(how), slot=slot)
    return Result(slot)


def open_parent(b: Builder, root: int | Result, path: str, what: str) -> tuple[int | Result, str]:
    """The directory around `path`, made when it is not there, and the last name, which is not looked at."""
    *around, name = parts(path, what)
    if not around:
        return root, name
    return open_or_make(b, root, "/" + "/".join(around), what, directory=True), name


def make_directory(b: Builder, parent: Result, name: str, path: str, what: str) -> Result:
    """As open_or_make, straight in a directory that we have just made, with no link in it."""
    encoded, how = os.fsencode(name), sc.open_how(sc.O_PATH | os.O_DIRECTORY, 0, _HERE)
    b.add(f"make the directory to {what}", path, "mkdirat", parent, encoded, 0o755, tolerate=(errno.EEXIST,))
    return b.keep(what, path, "openat2", parent, encoded, how, len(how))


def make_file(b: Builder, parent: int | Result, name: str, path: str, what: str) -> Result:
    """A file like that. What is there already, by an entry of OCI `mounts`, is opened as it is, a link as a link."""
    encoded, how = os.fsencode(name), sc.open_how(sc.O_PATH | os.O_NOFOLLOW, 0, _NO_MAGIC)
    flags = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_RDONLY  # see open_or_make
    made = b.keep(
        f"make the file to {what}", path, "openat", parent, encoded, flags, 0o644, tolerate=(errno.EEXIST,), done=1
    )
    return b.keep(what, path, "openat2", parent, encoded, how, len(how), slot=made.slot)
