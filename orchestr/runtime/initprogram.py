"""The reaping pid 1 of `init: true` and of a shared pid namespace: Debian's catatonit, or tini.

It runs from a read-only clone of its mount that no container has a path to, so /proc/1/exe can be no way to change the
host's file (CVE-2019-5736); it is static and loads nothing.
"""

import os
from typing import Final

from orchestr.runtime import syscalls as sc
from orchestr.runtime.seam import RuntimeFailure

PROGRAMS: Final = ("/usr/bin/catatonit", "/usr/libexec/podman/catatonit", "/usr/libexec/catatonit/catatonit")


def open_init() -> int:
    """A descriptor for execveat(2); the caller closes it."""
    path = next((path for path in PROGRAMS if os.path.isfile(path)), None)
    if path is None:
        raise RuntimeFailure("cannot find catatonit (install the package catatonit)", reason="StartError")
    return read_only(path)


def read_only(path: str) -> int:
    """A descriptor of the file through a detached read-only mount: whoever reaches it by /proc/PID/exe cannot write."""
    fd = sc.open_tree(sc.AT_FDCWD, path)
    sc.mount_setattr(fd, sc.mount_attr(sc.MOUNT_ATTR_RDONLY, 0, sc.MS_PRIVATE))
    return fd
