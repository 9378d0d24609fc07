"""A bundle's config.json as a launch: namespaces made or joined by path, its root without an overlay."""

import os
import stat
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from orchestr.runtime import capabilities, cgroups, idmap, mountopts, seccomp, users
from orchestr.runtime import namespaces as runtime_namespaces
from orchestr.runtime import syscalls as sc
from orchestr.runtime.idmap import Mappings
from orchestr.runtime.launch import Target
from orchestr.runtime.oci import config as configuration
from orchestr.runtime.oci import filters, namespaces, seccomp_agent
from orchestr.runtime.oci.namespaces import Wanted
from orchestr.runtime.seam import RuntimeFailure

if TYPE_CHECKING:
    from orchestr.runtime.oci.rootless import Maps

STRICT_CALLS: Final = "run.oci.seccomp_fail_unknown_syscall"  # annotation of crun(1)


class Bundle(NamedTuple):
    config: dict[str, Any]
    id: str
    cgroup: str  # relative to each hierarchy; "" for none
    root: str
    path: str  # of the bundle, absolute
    namespaces: Wanted
    ids: Mappings
    warnings: tuple[str, ...] = ()  # for the log: what the specification lets us go on without

    @property
    def state(self) -> dict[str, Any]:
        """What hooks are told while the container is being created."""
        return {
            "ociVersion": str(self.config["ociVersion"]),
            "id": self.id,
            "status": "creating",
            "bundle": self.path,
            "annotations": self.config.get("annotations") or {},
        }


def read(bundle: str, id: str, manager: str = "cgroupfs", maps: "Maps | None" = None, file: str = "") -> Bundle:
    """RuntimeFailure with what is wrong or not supported.

    `manager`: who makes cgroups, see cgroups.place_of. `maps`: of an ordinary user, see rootless.py. `file` is read
    instead of config.json.
    """
    bundle = os.path.abspath(bundle)
    config = configuration.read(bundle, file)
    if maps is not None:
        from orchestr.runtime.oci.rootless import translated

        config = translated(config, maps)
    linux = config.get("linux") or {}
    wanted = namespaces.wanted(config)
    if linux.get("netDevices"):
        from orchestr.runtime.oci import netdevices

        netdevices.check(config, wanted.kinds)
    ids = _ids(linux, wanted)
    cgroup = cgroups.place_of(str(linux.get("cgroupsPath") or ""), id, manager)
    root = os.path.join(bundle, str((config.get("root") or {}).get("path") or "rootfs"))
    warnings = _grant(config, host_users="user" not in wanted.kinds)
    return Bundle(config, id, cgroup, root, bundle, wanted, ids, warnings)


def _grant(config: dict[str, Any], *, host_users: bool) -> tuple[str, ...]:
    """Takes out what this runtime must not or cannot give. In a user namespace there is every capability."""
    process = dict(config.get("process") or {})
    if not process:
        return ()
    process["user"] = {key: value for key, value in (process.get("user") or {}).items() if key != "username"}
    held = set(capabilities.available()) if host_users else None
    process["capabilities"], lacking, unraised = capabilities.grantable(process.get("capabilities") or {}, held)
    config["process"] = process
    warnings = [
        f"can't raise ambient capability {name}: not permitted and inheritable, too (left out)" for name in unraised
    ]
    if lacking:
        warnings.append(f"cannot give capabilities {', '.join(lacking)}: unknown, or not ours to give (left out)")
    return tuple(warnings)


def _ids(linux: dict[str, Any], wanted: Wanted) -> Mappings:
    mapped = bool(linux.get("uidMappings") or linux.get("gidMappings"))
    if "user" in wanted.new:
        return idmap.parse(linux) if mapped else idmap.own()
    path, pointer = next(((path, where) for kind, path, where in wanted.given if kind == "user"), ("", ""))
    if not path:
        if mapped:
            raise RuntimeFailure(
                'cannot use /linux/uidMappings: there is no user namespace (add {"type": "user"} to linux.namespaces)',
                reason="StartError",
            )
        return idmap.HOST
    found = _mapped_by(path, pointer)
    if not found.uids or not found.gids:
        raise RuntimeFailure(f"cannot use {pointer}: {path} has no id mappings (write them)", reason="StartError")
    if mapped and idmap.parse(linux) != found:
        raise RuntimeFailure(
            f"cannot use /linux/uidMappings: {path} has other mappings (leave them out)", reason="StartError"
        )
    return found


def _mapped_by(path: str, pointer: str) -> Mappings:
    found = Wanted(frozenset(), (("user", path, pointer),), None)
    ((fd, _),) = namespaces.open_given(found)
    try:
        return runtime_namespaces.ids_of(fd)
    finally:
        os.close(fd)


class Opened(NamedTuple):
    target: Target
    fds: tuple[int, ...]

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)


def prepare(
    bundle: Bundle, gate: int, undo: ExitStack, *, pivot: bool = True, keyring: bool = True, preserve: int = 0
) -> Opened:
    """Opens root and namespaces; the caller closes what is returned.

    What the launch changes outside of the container is put back if `undo` ends by an error.
    """
    if section := (bundle.config.get("linux") or {}).get("seccomp"):
        if (bundle.config.get("annotations") or {}).get(STRICT_CALLS) == "1":
            section[seccomp.STRICT] = True
        filters.prepare(section)
    fds: list[int] = []
    try:
        return Opened(_target(bundle, gate, fds, undo, pivot, keyring, preserve), tuple(fds))
    except BaseException:
        for fd in fds:
            os.close(fd)
        raise


def _target(
    bundle: Bundle, gate: int, fds: list[int], undo: ExitStack, pivot: bool, keyring: bool, preserve: int
) -> Target:
    config, wanted = bundle.config, bundle.namespaces
    root = _open_root(bundle, fds)
    given = namespaces.open_given(wanted)
    fds += [fd for fd, _ in given]
    userns = next((fd for fd, flag in given if flag == sc.CLONE_NEWUSER), -1)
    if "user" in wanted.new:
        userns = runtime_namespaces.make_user(bundle.ids)
        fds.append(userns)
        given.append((userns, sc.CLONE_NEWUSER))
    called = _hooks(bundle, undo)
    return Target(
        name=bundle.id,
        root=root,
        userns=userns,
        ids=bundle.ids,
        join=tuple((fd, flag) for fd, flag in given if flag != sc.CLONE_NEWNS),
        make=wanted.make,
        cgroup=bundle.cgroup,
        init=False,
        tty=bool((config.get("process") or {}).get("terminal")),
        readonly=bool((config.get("root") or {}).get("readonly")),
        gate=gate,
        pivot=pivot,
        preserve=preserve,
        keyring=keyring,
        hooks=called,
        listener=seccomp_agent.told_by(config, bundle.state),
        place=bundle.root if called else "/",
        private="mount" in wanted.new,
        mounts=next((fd for fd, flag in given if flag == sc.CLONE_NEWNS), -1),
        time_offsets=wanted.time_offsets,
        configure=namespaces.configure(config, wanted),
        sysctls=namespaces.sysctls(config),
        bundle=bundle.path,
        root_path=os.path.realpath(bundle.root),
        keep_groups=users.keeps_groups(config),
    )


def _hooks(bundle: Bundle, undo: ExitStack) -> Callable[[str, int], None] | None:
    """What the network needs comes first, for the hooks may look for it."""
    called = None
    if bundle.config.get("hooks"):
        from orchestr.runtime.oci import hooks

        called = hooks.launching(bundle.config, bundle.state)
    linux = bundle.config.get("linux") or {}
    network = (linux.get("resources") or {}).get("network")
    if not linux.get("netDevices") and not network:
        return called
    from orchestr.runtime.oci import netclass, netdevices

    classes = bool(network) and bool(bundle.cgroup) and netclass.wanted(bundle.config)
    if not linux.get("netDevices") and not classes:
        return called

    def all_of_them(point: str, pid: int) -> None:
        if point == "createRuntime":
            netdevices.move(bundle.config, pid, undo)
            if classes:
                netclass.apply(bundle.config, bundle.cgroup, pid)
        if called:
            called(point, pid)

    return all_of_them


def _open_root(bundle: Bundle, fds: list[int]) -> int:
    try:
        root = sc.open_tree(sc.AT_FDCWD, bundle.root, recursive=True)
        fds.append(root)
        if not stat.S_ISDIR(os.fstat(root).st_mode):
            raise RuntimeFailure(f"cannot use root {bundle.root}: not a directory")
        linux = bundle.config.get("linux") or {}
        propagation, _ = mountopts.root_propagation(str(linux.get("rootfsPropagation") or ""))
        # A slave still learns of the machine's mounts below its root; otherwise nothing passes, either way.
        kept = propagation if propagation == sc.MS_SLAVE else sc.MS_PRIVATE
        sc.mount_setattr(root, sc.mount_attr(0, 0, kept), recursive=True)
    except OSError as error:
        raise RuntimeFailure(f"cannot open the root {bundle.root}: {error.strerror} (see /root/path)") from error
    return root
