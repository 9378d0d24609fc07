"""A pod's volumes: made ready on the machine, then told to the runtime as OCI mounts.

ConfigMaps, Secrets and projected sources are copied into files on a tmpfs at every start; they are mounted read-only,
so that we never write where a container could (CVE-2025-9566); their owner is root of the pod's id range. Host paths,
claims and emptyDirs are mounted idmapped, so that nothing is ever chowned and root inside is not root outside.
"""

import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from orchestr.agent import projected
from orchestr.agent.env import MissingConfig, Sources, config_bytes, secret_bytes
from orchestr.agent.places import Places
from orchestr.api.core import Container, KeyToPath, Pod, Volume, VolumeMount
from orchestr.api.quantity import whole
from orchestr.api.storage import PROVISIONED_BY, PROVISIONER
from orchestr.api.volume import PersistentVolumeClaimVolumeSource
from orchestr.runtime import tmpfs


class VolumeFailure(Exception):
    """A volume cannot be made; text as "cannot VERB OBJECT: CAUSE (WHAT TO DO)"."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A volume that can be mounted."""

    source: str  # path on the machine
    idmap: bool
    readonly: bool = False  # whatever the mount says


def prepare(pod: Pod, places: Places, sources: Sources, owner: int) -> dict[str, Ready]:
    """Makes every volume of the pod; `owner` is the host's id of its root. Raises MissingConfig, VolumeFailure."""
    return {volume.name: _one(pod, volume, places, sources, owner) for volume in pod.spec.volumes}


def _one(pod: Pod, volume: Volume, places: Places, sources: Sources, owner: int) -> Ready:
    uid = pod.metadata.uid or ""
    if volume.host_path is not None:
        return Ready(_host_path(volume.name, volume.host_path.path, volume.host_path.type or ""), idmap=True)
    if volume.empty_dir is not None and volume.empty_dir.medium == "Memory":
        path = places.memory(uid, volume.name)
        if volume.empty_dir.size_limit:
            tmpfs.mount(path, mode=0o1777, size=str(whole(volume.empty_dir.size_limit)))
            os.chown(path, owner, owner)
        _directory(path, 0o1777, owner)
        return Ready(path, idmap=False)
    if not (volume.config_map or volume.secret or volume.projected or volume.persistent_volume_claim):
        path = places.empty(uid, volume.name)  # an emptyDir, also when nothing at all is named
        _directory(path, 0o777, 0)
        _give_to_group(path, _group(pod))
        return Ready(path, idmap=True)
    if volume.persistent_volume_claim is not None:
        return _claimed(pod, volume.persistent_volume_claim, sources)
    path = _copies(places, uid, volume.name)
    found = _content(volume, sources) if volume.projected is None else projected.files(pod, volume.projected, sources)
    projected.write(path, _checked(found), owner, _group(pod))
    return Ready(path, idmap=False, readonly=True)


def _claimed(pod: Pod, source: PersistentVolumeClaimVolumeSource, sources: Sources) -> Ready:
    """A claim's volume. One that this machine made is a directory that comes with its first pod."""
    volume = sources.volume(source.claim_name)
    if volume is None:
        raise VolumeFailure(f"cannot mount claim {source.claim_name}: it is not bound to a volume (see orch get pvc)")
    if not volume.spec.path:
        raise VolumeFailure(
            f"cannot mount claim {source.claim_name}: the source of volume {volume.metadata.name} is not supported "
            "(use local or hostPath)"
        )
    if volume.metadata.annotations.get(PROVISIONED_BY) == PROVISIONER:
        _directory(volume.spec.path, 0o777, 0)
    kind = (volume.spec.host_path.type or "") if volume.spec.host_path else "Directory"
    path = _host_path(f"of claim {source.claim_name}", volume.spec.path, kind)
    _give_to_group(path, _group(pod))
    return Ready(path, idmap=True, readonly=bool(source.read_only))


def _copies(places: Places, uid: str, name: str) -> str:
    return os.path.join(places.tmpfs(uid), "volumes", name)


def renew(pod: Pod, volume: Volume, places: Places, sources: Sources, owner: int, now: float) -> None:
    """New tokens in a projected volume that is in use, where that is due. Raises MissingConfig, OSError."""
    path = _copies(places, pod.metadata.uid or "", volume.name)
    if volume.projected is not None and projected.stale(path, volume.projected, now):
        projected.write(path, _checked(projected.files(pod, volume.projected, sources)), owner, _group(pod))


def _group(pod: Pod) -> int:
    """The group that owns the pod's volumes; 0 when none is asked for."""
    return pod.spec.security_context.fs_group or 0


def _give_to_group(root: str, group: int) -> None:
    """fsGroup: everything below belongs to the group and new files will; done once, when the root does not yet.

    What lies there may be a container's, which may change it while we walk: modes are changed by descriptor, for
    chmod(2) by name would follow a link to a directory of the machine.
    """
    if not group or os.stat(root).st_gid == group:
        return
    for _, folders, files, here in os.fwalk(root, topdown=False, follow_symlinks=False):
        for name in (*folders, *files):
            with suppress(FileNotFoundError):
                os.chown(name, -1, group, dir_fd=here, follow_symlinks=False)
        os.fchmod(here, stat.S_IMODE(os.fstat(here).st_mode) | 0o2070)
    os.chown(root, -1, group)
    os.chmod(root, stat.S_IMODE(os.stat(root).st_mode) | 0o2070)


def _directory(path: str, mode: int, owner: int) -> None:
    """Made with the mode and owner when it was not there; what is there is left as it is."""
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        os.mkdir(path)
    except FileExistsError:
        return
    os.chmod(path, mode)
    os.chown(path, owner, owner)


def _host_path(name: str, path: str, kind: str) -> str:
    """The path checked against its type, made where the type asks for it (core/v1 HostPathType)."""
    try:
        if kind == "DirectoryOrCreate":
            os.makedirs(path, exist_ok=True)
        elif kind == "FileOrCreate" and not os.path.exists(path):
            with open(path, "xb"):
                pass
        mode = os.stat(path).st_mode
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise VolumeFailure(f"cannot mount volume {name}: {path}: {why} (create it, or give its type)") from error
    wanted = {
        "Directory": stat.S_ISDIR,
        "File": stat.S_ISREG,
        "Socket": stat.S_ISSOCK,
        "CharDevice": stat.S_ISCHR,
        "BlockDevice": stat.S_ISBLK,
    }.get(kind.removesuffix("OrCreate"))
    if wanted is not None and not wanted(mode):
        raise VolumeFailure(
            f"cannot mount volume {name}: {path} is no {kind.removesuffix('OrCreate')} (correct its type)"
        )
    return path


def _content(volume: Volume, sources: Sources) -> list[tuple[str, bytes, int]]:
    """(relative path, content, mode) of the files of a ConfigMap or Secret volume."""
    if volume.config_map is not None:
        source = volume.config_map
        config = sources.config_map(source.name)
        content = None if config is None else config_bytes(config)
        return _files("ConfigMap", source.name, content, source.items, source.optional, source.default_mode)
    if volume.secret is not None:
        found = sources.secret(volume.secret.secret_name)
        content = None if found is None else secret_bytes(found)
        secret = volume.secret
        return _files("Secret", secret.secret_name, content, secret.items, secret.optional, secret.default_mode)
    raise AssertionError(f"volume {volume.name} has no content")


def _files(
    kind: str,
    name: str,
    content: Mapping[str, bytes] | None,
    items: Iterable[KeyToPath],
    optional: bool | None,
    default_mode: int | None,
) -> list[tuple[str, bytes, int]]:
    mode = 0o644 if default_mode is None else default_mode
    if content is None:
        if optional:
            return []
        raise MissingConfig(f"{kind} {name} does not exist")
    chosen = list(items)
    if not chosen:
        return [(key, value, mode) for key, value in content.items()]
    files = []
    for item in chosen:
        if item.key in content:
            files.append((item.path, content[item.key], mode if item.mode is None else item.mode))
        elif not optional:
            raise MissingConfig(f"{kind} {name} has no key {item.key}")
    return files


def _checked(files: Iterable[projected.File]) -> list[projected.File]:
    """The files, each below the volume. VolumeFailure."""
    found = list(files)
    for path, _, _ in found:
        if any(part in ("", ".", "..") for part in path.split("/")):
            raise VolumeFailure(f"cannot write {path!r}: not a path below the volume (remove '..' and empty parts)")
    return found


def remove_memory(places: Places, uid: str) -> None:
    """Unmounts the pod's volumes that live in memory, before its tree is removed."""
    folder = places.memory(uid, "")
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        if os.path.ismount(place := os.path.join(folder, name)):
            tmpfs.unmount(place)


def remove_tree(path: str) -> None:
    """Removes a tree by descriptors, following no link (shutil does so on Linux); gone already is fine."""
    import shutil

    assert shutil.rmtree.avoids_symlink_attacks
    shutil.rmtree(path, ignore_errors=False, onerror=_gone_is_fine)


def _gone_is_fine(_function: Any, _path: str, info: Any) -> None:
    if not isinstance(info[1], FileNotFoundError):
        raise info[1]


def mounts(container: Container, ready: Mapping[str, Ready]) -> list[dict[str, Any]]:
    """OCI mounts of a container's volumeMounts, in the order of their depth."""
    return [
        _mount(container, mount, ready)
        for mount in sorted(container.volume_mounts, key=lambda mount: mount.mount_path.rstrip("/").count("/"))
    ]


def _mount(container: Container, mount: VolumeMount, ready: Mapping[str, Ready]) -> dict[str, Any]:
    volume = ready.get(mount.name)
    if volume is None:
        raise VolumeFailure(f"cannot mount {mount.name} in container {container.name}: no such volume in the pod")
    if mount.sub_path and volume.idmap:
        _make_sub_path(volume.source, mount.sub_path)
    return {
        "destination": mount.mount_path,
        "type": "bind",
        "source": volume.source,
        "options": [
            *("rbind", "ro" if mount.read_only or volume.readonly else "rw", "nosuid", "nodev", "rprivate"),
            *(["ridmap"] if volume.idmap else []),
            *([f"x-orch.subpath={mount.sub_path}"] if mount.sub_path else []),  # opened below the source by the runtime
        ],
    }


def _make_sub_path(root: str, sub_path: str) -> None:
    """Makes the missing directories of a subPath, component by component, following no link (CVE-2017-1002101)."""
    here = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in sub_path.split("/"):
            if part == "..":
                raise VolumeFailure(f"cannot mount subPath {sub_path}: it leaves the volume (remove '..')")
            try:
                os.mkdir(part, dir_fd=here)
                made = True
            except FileExistsError:
                made = False
            try:
                step = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
            except OSError:
                return  # a file, or a link that the runtime follows inside the volume only
            os.close(here)
            here = step
            if made:
                os.fchmod(here, 0o755)  # not by its name, which a container may have made a link in the meantime
    finally:
        os.close(here)
