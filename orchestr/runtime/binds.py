"""Mounts whose source is the host's: binds, mapped or not, and filesystems on a device or of several directories."""

import os
import stat
from collections.abc import Mapping
from typing import Any

from orchestr.runtime import mounts, targets
from orchestr.runtime import syscalls as sc
from orchestr.runtime.mountcontext import Context, attach, change, clone, stage
from orchestr.runtime.mountopts import Options
from orchestr.runtime.plan import Result
from orchestr.runtime.seam import RuntimeFailure


def bind(context: Context, source: str, destination: str, options: Options, mount: Mapping[str, Any]) -> None:
    """A host directory or file, cloned and mapped here."""
    if context.bundle and not source.startswith("/"):
        source = os.path.join(context.bundle, source)
    if options.target_itself and destination.startswith("/proc/"):
        # The links there are the kernel's: covering one would deceive every program that asks it who it is.
        raise RuntimeFailure(f"cannot mount {source} on {destination}: a link of proc (leave dest-nofollow out)")
    if options.copy_symlink and os.path.islink(source):
        return copy_symlink(context, source, destination)
    if context.root_path and os.path.normpath(source).startswith(f"{context.root_path}/"):
        source = os.path.normpath(source)
        mapped = context.userns >= 0 and _is_mapped(options, mount)
        opened = _open_inside(context, source, destination, options) if mapped else None
        if opened is None:
            return bind_inside(context, source, destination, options, mount)
        cloned, directory = opened
    else:
        cloned, directory = open_source(context, source, destination, options)
    again = bool(context.bundle) and context.private
    late = again and options.propagation == sc.MS_UNBINDABLE
    set_attributes(context, cloned, source, destination, options._replace(propagation=0) if late else options, mount)
    target = mounts.place(context, "volume", destination, directory=directory, links=not options.target_itself)
    if again:
        stage(context, cloned, "volume", directory=directory)
    moved = _in_order(context, cloned, destination, options, unbindable=late) if again else cloned
    attach(context.builder, moved, target, "volume", destination)
    mounts.settle(context, destination, cloned, moved)


def _in_order(context: Context, cloned: int, destination: str, options: Options, *, unbindable: bool) -> Result:
    """The clone's clone, made by the child after what comes before it in `mounts`.

    /proc/self/mountinfo lists mounts as they were made, not as they were attached (Linux 6.8), and that is how callers
    and the specification's tests see the order that they asked for.
    """
    b = context.builder
    moved = clone(b, cloned, b"", "volume", destination, recursive=options.recursive)
    if unbindable:
        attr = sc.mount_attr(0, 0, sc.MS_UNBINDABLE)
        change(b, moved, attr, "set propagation", destination, recursive=options.deep_propagation)
    return moved


def bind_inside(context: Context, source: str, destination: str, options: Options, mount: Mapping[str, Any]) -> None:
    """A source below the container's own root is what the container has there by then, earlier mounts included."""
    b, inside = context.builder, source[len(context.root_path) :]
    opened = targets.open_existing(b, context.root, inside, "open to bind")
    cloned = clone(b, opened, b"", "volume", destination, recursive=options.recursive)
    change(b, cloned, sc.mount_attr(0, 0, options.propagation or sc.MS_PRIVATE), "set propagation", destination)
    for on, off, recursive in ((options.on, options.off, False), (options.deep_on, options.deep_off, True)):
        if on or off:
            change(b, cloned, sc.mount_attr(on, off), "set attributes", destination, recursive=recursive)
    userns = _mapping(context, source, destination, options, mount)
    if userns >= 0:
        attr = sc.mount_attr(sc.MOUNT_ATTR_IDMAP, userns=userns)
        change(b, cloned, attr, "map the ids", destination, recursive=options.deep_idmap)
    target = mounts.place(context, "volume", destination, directory=os.path.isdir(source) or not os.path.exists(source))
    attach(b, cloned, target, "volume", destination)
    mounts.settle(context, destination, -1, cloned)


def _open_inside(context: Context, source: str, destination: str, options: Options) -> tuple[int, bool] | None:
    """As `open_source`, for a source below the container's root whose ids are to be mapped: its filesystem is the
    machine's, and the child in its user namespace may not map that. None for what the child itself mounts.
    """
    inside = source[len(context.root_path) :]
    fd = -1
    try:
        if any(inside == made or inside.startswith(f"{made}/") for made, _ in context.made):
            with context.look(inside) as seen:
                fd = os.dup(seen) if seen >= 0 else -1
            if fd < 0:
                return None
        else:
            root = os.open(context.root_path, sc.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fd = sc.openat2(root, inside.strip("/"), sc.O_PATH)
            finally:
                os.close(root)
        cloned = context.own(sc.open_tree(fd, "", recursive=options.recursive))
    except OSError as error:
        raise RuntimeFailure(
            f"cannot mount {source} on {destination}: {error.strerror} (the source must exist; below a mount that is "
            "made before it Linux 6.15 is needed)",
            reason="StartError",
        ) from error
    finally:
        if fd >= 0:
            os.close(fd)
    return cloned, stat.S_ISDIR(os.fstat(cloned).st_mode)


def copy_symlink(context: Context, source: str, destination: str) -> None:
    """The link itself, as it is, in place of what it leads to."""
    b, text = context.builder, os.fsencode(os.readlink(source))
    parent, name = targets.open_parent(b, context.root, destination, "copy the link")
    b.add("copy the link", destination, "symlinkat", text, parent, os.fsencode(name), tolerate=(17,))  # EEXIST


def open_source(context: Context, source: str, destination: str, options: Options) -> tuple[int, bool]:
    """The detached clone, and whether it is a directory."""
    try:
        if options.subpath:
            base = os.open(source, sc.O_PATH | os.O_DIRECTORY)
            try:
                beneath = sc.RESOLVE_BENEATH | sc.RESOLVE_NO_MAGICLINKS
                fd = sc.openat2(base, options.subpath, sc.O_PATH, beneath)
            finally:
                os.close(base)
            context.own(fd)
            cloned = sc.open_tree(fd, "", recursive=options.recursive)
        else:
            cloned = sc.open_tree(sc.AT_FDCWD, source, recursive=options.recursive, follow=not options.source_itself)
    except OSError as error:
        path = f"{source}/{options.subpath}" if options.subpath else source
        raise RuntimeFailure(
            f"cannot mount {path} on {destination}: {error.strerror} (the source must exist on the host)",
            reason="StartError",
        ) from error
    context.own(cloned)
    return cloned, stat.S_ISDIR(os.fstat(cloned).st_mode)


def set_attributes(
    context: Context, cloned: int, source: str, destination: str, options: Options, mount: Mapping[str, Any]
) -> None:
    """Flags, propagation and id mapping of a detached bind; nothing can see it yet."""
    propagation = options.propagation or sc.MS_PRIVATE
    if not options.propagation or options.deep_propagation:
        sc.mount_setattr(cloned, sc.mount_attr(0, 0, propagation), recursive=options.recursive)
        propagation = 0
    try:
        if options.deep_on or options.deep_off:
            sc.mount_setattr(cloned, sc.mount_attr(options.deep_on, options.deep_off), recursive=True)
        if options.on or options.off or propagation:
            sc.mount_setattr(cloned, sc.mount_attr(options.on, options.off, propagation))
    except OSError as error:
        raise RuntimeFailure(
            f"cannot set the options of {destination}: {error.strerror}", reason="StartError"
        ) from error
    userns = _mapping(context, source, destination, options, mount)
    if userns >= 0:
        try:
            attr = sc.mount_attr(sc.MOUNT_ATTR_IDMAP, userns=userns)
            sc.mount_setattr(cloned, attr, recursive=options.deep_idmap)
        except OSError as error:
            raise RuntimeFailure(
                f"cannot map the ids of {source} for {destination}: {os.strerror(error.errno or 0)} "
                "(its filesystem has no idmapped mounts; set hostUsers: true)",
                reason="NotIdmappable",
            ) from error


def _is_mapped(options: Options, mount: Mapping[str, Any]) -> bool:
    return bool(options.idmap or options.ranges or mount.get("uidMappings") or mount.get("gidMappings"))


def _mapping(context: Context, source: str, destination: str, options: Options, mount: Mapping[str, Any]) -> int:
    """The user namespace that has the mount's mappings: its own, the container's, or -1 for none."""
    if options.ranges or mount.get("uidMappings") or mount.get("gidMappings"):
        from orchestr.runtime import idmapped

        if options.ranges:
            mount = idmapped.ranges(options.ranges, context.ids, destination)
        return context.own(idmapped.user_namespace(mount, destination))
    if options.idmap and context.userns < 0 and context.bundle:
        raise RuntimeFailure(
            f"cannot map the ids of {source} for {destination}: neither the mount nor the container has mappings "
            "(give uidMappings and gidMappings, or leave idmap out)"
        )
    return context.userns if options.idmap else -1


def foreign(
    context: Context, fstype: str, source: str, destination: str, options: Options, mount: Mapping[str, Any]
) -> None:
    """Any other filesystem that the kernel knows, made here: of the host's devices and directories."""
    made = context.own(_create(context, fstype, source, destination, options))
    if options.propagation not in (0, sc.MS_PRIVATE):
        sc.mount_setattr(made, sc.mount_attr(0, 0, options.propagation))
    userns = _mapping(context, source, destination, options, mount)
    if userns >= 0:
        sc.mount_setattr(made, sc.mount_attr(sc.MOUNT_ATTR_IDMAP, userns=userns))
    directory = stat.S_ISDIR(os.fstat(made).st_mode)
    target = mounts.place(context, fstype, destination, directory=directory, links=not options.target_itself)
    attach(context.builder, made, target, fstype, destination)
    mounts.settle(context, destination, made, made)


def _create(context: Context, fstype: str, source: str, destination: str, options: Options) -> int:
    on = options.on | options.deep_on
    parameters = [(b"source", os.fsencode(source)), *_parameters(fstype, options)]
    if on & sc.MOUNT_ATTR_RDONLY:
        parameters.append((b"ro", None))
    if context.label:
        parameters.append((b"context", os.fsencode(context.label)))
    fs = -1
    try:
        fs = sc.call("fsopen", fstype.encode(), sc.FSOPEN_CLOEXEC)
        for key, value in parameters:
            sc.call("fsconfig", fs, sc.FSCONFIG_SET_FLAG if value is None else sc.FSCONFIG_SET_STRING, key, value, 0)
        sc.call("fsconfig", fs, sc.FSCONFIG_CMD_CREATE, None, None, 0)
        return sc.call("fsmount", fs, sc.FSMOUNT_CLOEXEC, on)
    except OSError as error:
        raise RuntimeFailure(
            f"cannot mount {source} on {destination}: type {fstype!r}: {_said(fs) or error.strerror} "
            "(/proc/filesystems lists the types that the kernel knows)",
            reason="StartError",
        ) from error
    finally:
        if fs >= 0:
            os.close(fs)


def _parameters(fstype: str, options: Options) -> list[tuple[bytes, bytes | None]]:
    """fsconfig(2) takes 255 bytes a value, so an overlay gets its layers one by one (Linux 6.8)."""
    found: list[tuple[bytes, bytes | None]] = []
    for key, value in options.parameters:
        if fstype == "overlay" and key == b"lowerdir" and value and len(value) > 255:
            layers, _, data = value.replace(b"\\:", b"\0").partition(b"::")
            for name, part in ((b"lowerdir+", layers), (b"datadir+", data)):
                found += [(name, layer.replace(b"\0", b":")) for layer in part.split(b":") if layer]
        else:
            found.append((key, value))
    return found


def _said(fs: int) -> str:
    """The kernel's own words about the last failure, without their "e " for error."""
    try:
        return os.read(fs, 4096).decode("utf-8", "replace").strip().removeprefix("e ") if fs >= 0 else ""
    except OSError:
        return ""
