"""Volumes of a pod (core/v1)."""

from pydantic import Field

from orchestr.api.base import Items, Model
from orchestr.api.container import ObjectFieldSelector
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


class ServiceAccountTokenProjection(Model):
    path: str
    audience: str | None = None  # None: the API itself
    expiration_seconds: int = 3600


class ConfigMapProjection(Model):
    name: str = ""
    items: Items[KeyToPath] = ()
    optional: bool | None = None


class SecretProjection(Model):
    name: str = ""
    items: Items[KeyToPath] = ()
    optional: bool | None = None


class DownwardAPIVolumeFile(Model):
    path: str
    field_ref: ObjectFieldSelector | None = None
    mode: int | None = None


class DownwardAPIProjection(Model):
    items: Items[DownwardAPIVolumeFile] = ()


class VolumeProjection(Model):
    """Exactly one of them."""

    service_account_token: ServiceAccountTokenProjection | None = None
    config_map: ConfigMapProjection | None = None
    secret: SecretProjection | None = None
    downward_api: DownwardAPIProjection | None = Field(default=None, alias="downwardAPI")


class ProjectedVolumeSource(Model):
    sources: Items[VolumeProjection] = ()
    default_mode: int = 0o644


class Volume(Model):
    """A name and exactly one source; none at all means an emptyDir."""

    name: str
    host_path: HostPathVolumeSource | None = None
    empty_dir: EmptyDirVolumeSource | None = None
    config_map: ConfigMapVolumeSource | None = None
    secret: SecretVolumeSource | None = None
    projected: ProjectedVolumeSource | None = None
    persistent_volume_claim: PersistentVolumeClaimVolumeSource | None = None
