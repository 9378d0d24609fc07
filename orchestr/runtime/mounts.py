"""Mounts of a container: what comes from the host is opened and mapped here, before any child exists; what belongs to
the container's own namespaces (proc, sysfs, tmpfs, devpts, mqueue) is made by the child. See fsopen(2), open_tree(2).

A descriptor of a mount from another mount namespace cannot be cloned by the child (EINVAL), and a detached mount can be
attached once: so each launch clones what it needs.
"""

import errno
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from orchestr.runtime import mountopts, targets
from orchestr.runtime import syscalls as sc
from orchestr.runtime.mountcontext import Context, attach, change, resolve
from orchestr.runtime.mountopts import Options
from orchestr.runtime.plan import Builder, Result
from orchestr.runtime.seam import RuntimeFailure

__all__ = ["Context", "add", "filesystem", "finish"]

OWN_FILESYSTEMS: Final = ("proc", "sysfs", "tmpfs", "devpts", "mqueue")
# In a user namespace that does not own the network (the IPC) namespace these cannot be made; the host's show the same.
_SAME_ON_HOST: Final = {"sysfs": "/sys", "mqueue": "/dev/mqueue"}
_LABELLED: Final = ("tmpfs", "devpts")  # those that the child makes and the kernel can label as a whole


def add(context: Context, mount: Mapping[str, Any]) -> None:
    """One entry of OCI `mounts`."""
    destination = _destination(context, str(mount["destination"]))
    options = list(mount.get("options") or ())
    fstype = str(mount.get("type") or ("bind" if {"bind", "rbind"} & set(options) else "none"))
    parsed = mountopts.parse(options, fstype, destination)
    if parsed.remount:
        remount(context, destination, parsed)
    elif parsed.bind:
        from orchestr.runtime import binds

        binds.bind(context, str(mount.get("source") or ""), destination, parsed, mount)
    elif fstype == "tmpfs" and parsed.copy_up:
        from orchestr.runtime import copyup

        copyup.tmpfs(context, destination, parsed, str(mount.get("source") or "tmpfs"))
    elif fstype in OWN_FILESYSTEMS:
        filesystem(context, fstype, destination, parsed, str(mount.get("source") or fstype))
    elif fstype in ("cgroup", "cgroup2"):
        from orchestr.runtime import cgroupmounts

        cgroupmounts.cgroup(context, fstype, destination, parsed)
    else:
        from orchestr.runtime import binds

        binds.foreign(context, fstype, str(mount.get("source") or "none"), destination, parsed, mount)


def _destination(context: Context, path: str) -> str:
    """Relative ones are meant from "/"; one that names the root on the host means the place inside, as with runc."""
    if context.root_path and path.startswith(f"{context.root_path}/"):
        path = path[len(context.root_path) :]
    return "/" + "/".join(targets.parts(path if path.startswith("/") else f"/{path}", "mount"))


def filesystem(context: Context, fstype: str, destination: str, options: Options, source: str = "") -> Result:
    """The mount of a new proc, sysfs, tmpfs, devpts or mqueue, made by the child in its own namespaces."""
    b = context.builder
    parameters = options.parameters
    if fstype == "tmpfs" and not any(key == b"mode" for key, _ in parameters):
        parameters = (*parameters, *_mode(context, destination))
    if context.label and fstype in _LABELLED and not any(key == b"context" for key, _ in parameters):
        parameters = (*parameters, (b"context", os.fsencode(context.label)))
    target = place(context, fstype, destination)
    fallback = _fallback(context, fstype, destination, options)
    refused = (errno.EPERM,) if fallback >= 0 else ()
    opening = len(b.steps)  # where sysfs is refused; mqueue is, when it is created
    fs = b.keep(f"open {fstype}", destination, "fsopen", fstype.encode(), sc.FSOPEN_CLOEXEC, tolerate=refused)
    name = os.fsencode(source or fstype)
    b.add(f"name {fstype}", destination, "fsconfig", fs, sc.FSCONFIG_SET_STRING, b"source", name, 0)
    for key, value in parameters:
        if key == b"newinstance":
            continue  # every devpts is, since Linux 4.7
        kind = sc.FSCONFIG_SET_FLAG if value is None else sc.FSCONFIG_SET_STRING
        # A group that the container's user namespace does not have cannot own a terminal: then root does, as with crun.
        unmapped = (errno.EINVAL,) if fstype == "devpts" and key == b"gid" and context.userns >= 0 else ()
        b.add(f"set {key.decode()} of {fstype}", destination, "fsconfig", fs, kind, key, value, 0, tolerate=unmapped)
    creating = len(b.steps)
    b.add(f"create {fstype}", destination, "fsconfig", fs, sc.FSCONFIG_CMD_CREATE, None, None, 0, tolerate=refused)
    on = options.on | options.deep_on
    # What is mounted below a tmpfs later needs a place made in it.
    late = fstype == "tmpfs" and on & sc.MOUNT_ATTR_RDONLY
    made = b.keep(
        f"mount {fstype}", destination, "fsmount", fs, sc.FSMOUNT_CLOEXEC, on & ~sc.MOUNT_ATTR_RDONLY if late else on
    )
    if options.propagation not in (0, sc.MS_PRIVATE):
        change(b, made, sc.mount_attr(0, 0, options.propagation), "set propagation", destination)
    attach(b, made, target, fstype, destination)
    if fallback >= 0:
        for step in (opening, creating):
            b.steps[step] = b.steps[step]._replace(missing=len(b.steps) - step - 1)
        b.steps[-1] = b.steps[-1]._replace(done=2)
        attach(b, fallback, target, f"the host's {fstype}", destination)
        how = sc.OPEN_TREE_CLOEXEC | sc.AT_EMPTY_PATH
        b.keep(f"use the host's {fstype}", destination, "open_tree", fallback, b"", how, slot=made.slot)
    if late:
        context.late.append((destination, made))
    settle(context, destination, -1, made)
    return made


def place(context: Context, fstype: str, destination: str, *, directory: bool = True, links: bool = True) -> Result:
    """The step that opens where to mount, made when it is missing.

    proc and sysfs are never mounted through a link of the image (CVE-2023-27561).
    """
    b, what = context.builder, f"mount {fstype}"
    kernel = fstype in ("proc", "sysfs")
    if kernel:
        what += " (must be mounted on ordinary directory)"
    if not links:
        parent, name = targets.open_parent(b, context.root, destination, what)
        return targets.make_file(b, parent, name, destination, what)
    try:
        path = destination if kernel else resolve(context, destination, what)
    except OSError as error:
        raise RuntimeFailure(
            f"cannot mount {fstype} on {destination}: {error.strerror} (remove the link)", reason="StartError"
        ) from error
    return targets.open_or_make(b, context.root, path, what, directory=directory, symlinks=not kernel)


def settle(context: Context, destination: str, fd: int, mount: int | Result) -> None:
    """Notes what is mounted where. What is mounted on "/" is the root from here on."""
    context.made.append((destination if destination != "/" else "", fd))
    if destination == "/":
        context.root = mount
    elif destination in ("/proc", "/sys"):
        context.kernel[destination] = mount


def _mode(context: Context, destination: str) -> tuple[tuple[bytes, bytes | None], ...]:
    """A tmpfs has the mode of the directory it covers, as with runc and crun; on a new one the kernel's own, 1777."""
    with context.look(destination) as fd:
        if fd < 0:
            return ()
        return ((b"mode", b"%o" % stat.S_IMODE(os.fstat(fd).st_mode)),)


def _fallback(context: Context, fstype: str, destination: str, options: Options) -> int:
    """A clone of the host's mount for when the container may not make its own; -1 for none. The host's /sys only to
    read: root of a namespace may be the host's there (CVE-2023-25809).
    """
    source = _SAME_ON_HOST.get(fstype)
    if fstype == "sysfs" and not (options.on | options.deep_on) & sc.MOUNT_ATTR_RDONLY:
        return -1
    if not source or context.userns < 0 or not context.bundle:
        return -1
    with suppress(OSError):
        mount = context.own(sc.open_tree(sc.AT_FDCWD, source, recursive=True))
        sc.mount_setattr(mount, sc.mount_attr(options.on | options.deep_on, 0, sc.MS_PRIVATE), recursive=True)
        return mount
    return -1


def remount(context: Context, destination: str, options: Options) -> None:
    """Changes a mount that is there: its attributes, and with parameters its filesystem's too (without "bind")."""
    b, what = context.builder, "remount"
    target = targets.open_existing(b, context.root, destination, what)
    if options.parameters:
        _reconfigure(b, target, options.parameters, what, destination)
    if options.on or options.off or options.propagation:
        change(b, target, sc.mount_attr(options.on, options.off, options.propagation), what, destination)
    if options.deep_on or options.deep_off:
        change(b, target, sc.mount_attr(options.deep_on, options.deep_off), what, destination, recursive=True)


def _reconfigure(
    b: Builder, mount: int | Result, parameters: tuple[tuple[bytes, bytes | None], ...], what: str, destination: str
) -> None:
    fs = b.keep(what, destination, "fspick", mount, b"", 1 | 8)  # FSPICK_CLOEXEC | FSPICK_EMPTY_PATH
    for key, value in parameters:
        kind = sc.FSCONFIG_SET_FLAG if value is None else sc.FSCONFIG_SET_STRING
        b.add(f"set {key.decode()}", destination, "fsconfig", fs, kind, key, value, 0)
    b.add(what, destination, "fsconfig", fs, sc.FSCONFIG_CMD_RECONFIGURE, None, None, 0)


def finish(context: Context) -> None:
    """The last steps: what was asked to be read-only and had to be written to."""
    b, what, attr = context.builder, "make read-only", sc.mount_attr(sc.MOUNT_ATTR_RDONLY)
    for destination, mount in context.late:
        if context.private:
            change(b, mount, attr, what, destination)
        else:  # a detached tree is changed by its root alone: so it is the file system that becomes so
            _reconfigure(b, mount, ((b"ro", None),), what, destination)
