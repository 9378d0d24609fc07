"""Container (core/v1) and what it consists of."""

from typing import Literal

from orchestr.api.base import Dict, Items, Model
from orchestr.api.probe import Lifecycle, Probe
from orchestr.api.quantity import Quantity


class ConfigMapKeySelector(Model):
    name: str = ""
    key: str
    optional: bool | None = None


class SecretKeySelector(Model):
    name: str = ""
    key: str
    optional: bool | None = None


class ObjectFieldSelector(Model):
    api_version: str = "v1"
    field_path: str  # metadata.name, metadata.labels['app'], spec.nodeName, status.podIP, ...


class ResourceFieldSelector(Model):
    container_name: str | None = None
    resource: str  # limits.cpu, requests.memory, ...
    divisor: Quantity = "1"


class EnvVarSource(Model):
    """Exactly one of them."""

    config_map_key_ref: ConfigMapKeySelector | None = None
    secret_key_ref: SecretKeySelector | None = None
    field_ref: ObjectFieldSelector | None = None
    resource_field_ref: ResourceFieldSelector | None = None


class EnvVar(Model):
    name: str
    value: str | None = None
    value_from: EnvVarSource | None = None


class ConfigMapEnvSource(Model):
    name: str = ""
    optional: bool | None = None


class SecretEnvSource(Model):
    name: str = ""
    optional: bool | None = None


class EnvFromSource(Model):
    prefix: str | None = None
    config_map_ref: ConfigMapEnvSource | None = None
    secret_ref: SecretEnvSource | None = None


class ContainerPort(Model):
    container_port: int
    name: str | None = None
    protocol: Literal["TCP", "UDP"] = "TCP"
    host_port: int | None = None
    host_ip: str | None = None


class VolumeMount(Model):
    name: str
    mount_path: str
    read_only: bool | None = None
    sub_path: str | None = None
    mount_propagation: Literal["None"] | None = None
    recursive_read_only: Literal["Disabled"] | None = None


class ResourceRequirements(Model):
    """Keys: cpu, memory, ephemeral-storage, and in limits orchestr.dev/pids."""

    limits: Dict[Quantity] = {}
    requests: Dict[Quantity] = {}


class Capabilities(Model):
    add: Items[str] = ()  # without CAP_, or ALL
    drop: Items[str] = ()


class SeccompProfile(Model):
    type: Literal["RuntimeDefault", "Unconfined"]


class SecurityContext(Model):
    allow_privilege_escalation: bool | None = None
    capabilities: Capabilities | None = None
    privileged: bool | None = None
    proc_mount: Literal["Default"] | None = None
    read_only_root_filesystem: bool | None = None
    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    seccomp_profile: SeccompProfile | None = None


class ContainerResizePolicy(Model):
    resource_name: Literal["cpu", "memory"]
    restart_policy: Literal["NotRequired", "RestartContainer"]


class Container(Model):
    name: str
    image: str | None = None
    image_pull_policy: str | None = None
    command: Items[str] = ()
    args: Items[str] = ()
    working_dir: str | None = None
    env: Items[EnvVar] = ()
    env_from: Items[EnvFromSource] = ()
    ports: Items[ContainerPort] = ()
    volume_mounts: Items[VolumeMount] = ()
    resources: ResourceRequirements = ResourceRequirements()
    resize_policy: Items[ContainerResizePolicy] = ()
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None
    startup_probe: Probe | None = None
    lifecycle: Lifecycle | None = None
    security_context: SecurityContext | None = None
    stdin: bool | None = None
    stdin_once: bool | None = None
    tty: bool | None = None
    termination_message_path: Literal["/dev/termination-log"] = "/dev/termination-log"
    termination_message_policy: Literal["File", "FallbackToLogsOnError"] = "File"


class EphemeralContainer(Container):
    """One that is added to a running pod, to look into it; it is never restarted."""

    target_container_name: str | None = None  # whose process namespace it shares
