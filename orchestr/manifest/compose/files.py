"""What a service sees as files: volumes, binds, tmpfs, secrets, configs, /dev/shm."""

from collections.abc import Mapping
from dataclasses import dataclass

from orchestr.api import stack as compose
from orchestr.api.core import (
    ConfigMapVolumeSource,
    EmptyDirVolumeSource,
    HostPathVolumeSource,
    KeyToPath,
    PersistentVolumeClaimVolumeSource,
    SecretVolumeSource,
    Volume,
    VolumeMount,
)

FILE = "content"  # key of a config's ConfigMap


@dataclass(frozen=True)
class Files:
    volumes: tuple[Volume, ...]
    mounts: tuple[VolumeMount, ...]


def files(
    service: compose.Service,
    claims: Mapping[str, str],
    secrets: Mapping[str, compose.Secret],
    configs: Mapping[str, str],
) -> Files:
    """`claims` and `configs` map Compose's names to those of the claim and the ConfigMap."""
    pairs = [
        *(_mount(f"volume-{number}", mount, claims) for number, mount in enumerate(service.volumes)),
        *(_secret(f"secret-{number}", use, secrets[use.source]) for number, use in enumerate(service.secrets)),
        *(_config(f"config-{number}", use, configs[use.source]) for number, use in enumerate(service.configs)),
        *_shm(service.shm_size),
    ]
    return Files(tuple(volume for volume, _ in pairs), tuple(mount for _, mount in pairs))


def _mount(name: str, mount: compose.Mount, claims: Mapping[str, str]) -> tuple[Volume, VolumeMount]:
    at = VolumeMount(name=name, mount_path=mount.target, read_only=mount.read_only or None, sub_path=mount.subpath)
    if mount.type == "tmpfs":
        memory = EmptyDirVolumeSource(medium="Memory", size_limit=str(mount.size) if mount.size else None)
        return Volume(name=name, empty_dir=memory), at
    if mount.type == "bind":
        bind = mount.bind or compose.BindOptions()
        kind = "DirectoryOrCreate" if bind.create_host_path else ""
        return Volume(name=name, host_path=HostPathVolumeSource(path=mount.source or "", type=kind)), at
    if mount.source is None:
        return Volume(name=name, empty_dir=EmptyDirVolumeSource()), at
    claim = PersistentVolumeClaimVolumeSource(claim_name=claims[mount.source])
    return Volume(name=name, persistent_volume_claim=claim), at


def _secret(name: str, use: compose.FileMount, secret: compose.Secret) -> tuple[Volume, VolumeMount]:
    item = KeyToPath(key=secret.key, path=secret.key, mode=use.mode)
    volume = Volume(name=name, secret=SecretVolumeSource(secret_name=secret.name, items=(item,)))
    return volume, VolumeMount(name=name, mount_path=use.target, sub_path=secret.key, read_only=True)


def _config(name: str, use: compose.FileMount, config_map: str) -> tuple[Volume, VolumeMount]:
    item = KeyToPath(key=FILE, path=FILE, mode=use.mode)
    volume = Volume(name=name, config_map=ConfigMapVolumeSource(name=config_map, items=(item,)))
    return volume, VolumeMount(name=name, mount_path=use.target, sub_path=FILE, read_only=True)


def _shm(size: int | None) -> list[tuple[Volume, VolumeMount]]:
    if not size:
        return []
    memory = EmptyDirVolumeSource(medium="Memory", size_limit=str(size))
    return [(Volume(name="shm", empty_dir=memory), VolumeMount(name="shm", mount_path="/dev/shm"))]
