"""A bundle's config.json as a launch: namespaces made or joined by path, its root without an overlay."""

import os
import stat
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from orchestr.runtime import cgroups, mountopts, namespaces, seccomp
from orchestr.runtime import syscalls as sc
from orchestr.runtime.launch import Target, joins
from orchestr.runtime.namespaces import Namespaces
from orchestr.runtime.oci import config as configuration
from orchestr.runtime.oci import filters
from orchestr.runtime.seam import RuntimeFailure, SandboxSpec

_FLAGS: Final = {
    "network": sc.CLONE_NEWNET,
    "ipc": sc.CLONE_NEWIPC,
    "uts": sc.CLONE_NEWUTS,
    "pid": sc.CLONE_NEWPID,
    "cgroup": sc.CLONE_NEWCGROUP,
    "user": sc.CLONE_NEWUSER,
    "mount": sc.CLONE_NEWNS,
}


class Bundle(NamedTuple):
    config: dict[str, Any]
    sandbox: SandboxSpec
    root: str
    paths: tuple[tuple[str, str], ...]  # (type, path) of namespaces to join
    make: int  # clone flags of those that only the container has


def read(bundle: str, id: str) -> Bundle:
    """RuntimeFailure with what is wrong or not supported."""
    config = configuration.read(bundle)
    linux = config.get("linux") or {}
    wanted = {str(item["type"]): str(item.get("path") or "") for item in linux.get("namespaces") or ()}
    if unknown := set(wanted) - set(_FLAGS):
        raise RuntimeFailure(f"cannot make namespace {sorted(unknown)[0]}: not supported")
    if wanted.get("mount") != "" or wanted.get("user"):
        raise RuntimeFailure("cannot run without a new mount namespace, or in a given user namespace: not supported")
    base, count = _ids(linux) if "user" in wanted else (0, 65536)
    sandbox = SandboxSpec(
        id=id,
        hostname=str(config.get("hostname") or ""),
        domainname=str(config.get("domainname") or ""),
        cgroup=cgroups.path_of(str(linux.get("cgroupsPath") or ""), f"orch-oci/{id}"),
        host_users="user" not in wanted,
        host_network=wanted.get("network") != "",
        host_ipc=wanted.get("ipc") != "",
        uid_base=base,
        uid_count=count,
        sysctls=linux.get("sysctl") or {},
    )
    own = [name for name in ("mount", "pid", "cgroup") if wanted.get(name) == ""]
    paths = tuple((name, path) for name, path in wanted.items() if path)
    root = str((config.get("root") or {}).get("path") or "rootfs")
    return Bundle(config, sandbox, os.path.join(bundle, root), paths, sum(_FLAGS[name] for name in own))


def _ids(linux: Mapping[str, Any]) -> tuple[int, int]:
    maps = [linux.get("uidMappings") or [], linux.get("gidMappings") or []]
    if maps[0] != maps[1] or len(maps[0]) != 1 or maps[0][0]["containerID"] != 0:
        raise RuntimeFailure("cannot map ids: not supported but for one range from 0, the same for users and groups")
    return int(maps[0][0]["hostID"]), int(maps[0][0]["size"])


class Opened(NamedTuple):
    target: Target
    ns: Namespaces
    fds: tuple[int, ...]

    def close(self) -> None:
        self.ns.close()
        for fd in self.fds:
            os.close(fd)


def prepare(bundle: Bundle, gate: int) -> Opened:
    """Opens root and namespaces; the caller closes what is returned."""
    if section := (bundle.config.get("linux") or {}).get("seccomp"):
        if (bundle.config.get("annotations") or {}).get("run.oci.seccomp_fail_unknown_syscall") == "1":  # crun(1)
            section[seccomp.STRICT] = True
        filters.prepare(section)
    try:
        root = sc.open_tree(sc.AT_FDCWD, bundle.root, recursive=True)
        if not stat.S_ISDIR(os.fstat(root).st_mode):
            raise RuntimeFailure(f"cannot use root {bundle.root}: not a directory")
        propagation, _ = mountopts.root_propagation(
            str((bundle.config.get("linux") or {}).get("rootfsPropagation") or "")
        )
        # A slave still learns of the machine's mounts below its root; otherwise nothing passes, either way.
        kept = propagation if propagation == sc.MS_SLAVE else sc.MS_PRIVATE
        sc.mount_setattr(root, sc.mount_attr(0, 0, kept), recursive=True)
        given = [(os.open(path, os.O_RDONLY | os.O_CLOEXEC), _FLAGS[name]) for name, path in bundle.paths]
    except OSError as error:
        raise RuntimeFailure(f"cannot open the root or a namespace of {bundle.root}: {error.strerror}") from error
    ns = namespaces.make(bundle.sandbox)
    config = bundle.config
    target = Target(
        name=bundle.sandbox.id,
        root=root,
        userns=ns.user,
        uid_base=bundle.sandbox.uid_base,
        # Given ones first, while still root of the machine: they need not belong to the container's user namespace.
        join=(*given, *joins(ns)),
        make=bundle.make,
        cgroup=bundle.sandbox.cgroup,
        init=False,
        tty=bool((config.get("process") or {}).get("terminal")),
        readonly=bool((config.get("root") or {}).get("readonly")),
        gate=gate,
    )
    return Opened(target, ns, (root, *(fd for fd, _ in given)))
