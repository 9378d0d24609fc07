"""Volumes of a pod (core/v1)."""

from orchestr.api.base import Items, Model
from orchestr.api.quantity import Quantity


class KeyToPath(Model):
    key: str
    path: str
    mode: int | None = None


class HostPathVolumeSource(Model):
    path: str
    type: str = ""  # "", Directory, DirectoryOrCreate, File, FileOrCreate, Socket, CharDevice, BlockDevice


class EmptyDirVolumeSource(Model):
    medium: str | None = None  # None or "": disk; Memory: tmpfs
    size_limit: Quantity | None = None


class ConfigMapVolumeSource(Model):
    name: str = ""
    items: Items[KeyToPath] = ()
    default_mode: int = 0o644
    optional: bool | None = None


class SecretVolumeSource(Model):
    secret_name: str = ""
    items: Items[KeyToPath] = ()
    default_mode: int = 0o644
    optional: bool | None = None


class PersistentVolumeClaimVolumeSource(Model):
    claim_name: str
    read_only: bool | None = None


class Volume(Model):
    """A name and exactly one source; none at all means an emptyDir."""

    name: str
    host_path: HostPathVolumeSource | None = None
    empty_dir: EmptyDirVolumeSource | None = None
    config_map: ConfigMapVolumeSource | None = None
    secret: SecretVolumeSource | None = None
    persistent_volume_claim: PersistentVolumeClaimVolumeSource | None = None
